/** What the READMEs name is there: tasks, flags, files, folders, dependencies. */

import assert from "node:assert/strict";
import { Command } from "commander";
import { addLoraFlags } from "../cli/arguments/lora_flags.ts";
import { addTrainingFlags } from "../cli/arguments/training_flags.ts";
import { repositoryPath } from "./support/run_script.ts";
import { tasks } from "./support/run_task.ts";

const training = new Command();
addTrainingFlags(training);
addLoraFlags(training);
const flags = new Set(training.options.map(({ long }) => long));

const config = JSON.parse(await Deno.readTextFile(repositoryPath("deno.json")));

for (const name of ["README.md", "README.zh.md"]) {
  const text = await Deno.readTextFile(repositoryPath(name));

  Deno.test(`${name} names tasks that there are, and every task that users run`, () => {
    const named = new Set(
      [...text.matchAll(/(?:deno|deno@[\d.]+) task ([a-z][\w:]*)/g)].map(([, t]) => t),
    );
    assert.deepEqual([...named].filter((task) => !(task in tasks)), []);
    const own = Object.keys(tasks).filter((task) => !/^(test|bench|check|ok)/.test(task));
    assert.deepEqual(own.filter((task) => !named.has(task)), []);
  });

  Deno.test(`${name} lists flags of training that there are, and all of them`, () => {
    const start = text.indexOf("| `--train-file");
    const rows = text.slice(text.lastIndexOf("\n|---|---|\n", start), text.indexOf("\n\n", start));
    const listed = [...rows.matchAll(/--[a-z][a-z-]*/g)].map(([flag]) => flag);
    assert.deepEqual(listed.filter((flag) => !flags.has(flag)), []);
    const untold = training.options.map(({ long }) => long!).filter((flag) => !text.includes(flag));
    assert.deepEqual(untold, []);
  });

  Deno.test(`${name} serves beyond this machine with the task's permissions but the network's`, () => {
    const command = /deno run (--allow-net=0\.0\.0\.0[^`]*?)cli\/serve\.ts/.exec(text)![1];
    const permissions = (words: string): string[] =>
      [...words.matchAll(/--allow-(?!net)\S+/g)].map(([flag]) => flag);
    assert.deepEqual(permissions(command), permissions(tasks.serve));
  });

  Deno.test(`${name} links to files that there are`, async () => {
    const links = [...text.matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(([, path]) => path);
    assert.ok(links.length > 3);
    for (const path of links) await Deno.stat(repositoryPath(path));
  });

  Deno.test(`${name} gives a line to every folder of the library and every dependency`, async () => {
    const folders = (config.publish.include as string[])
      .filter((each) => /^[a-z]+\/?(\*\*)?$/.test(each))
      .map((each) => each.replace(/\/.*$/, ""))
      .filter((each) => !["cli", "quickstart"].includes(each));
    assert.ok(folders.length > 8, folders.join());
    for (const folder of folders) {
      assert.ok((await Deno.stat(repositoryPath(folder))).isDirectory);
      assert.ok(text.includes(`| \`${folder}/\` |`), folder);
    }
    const untold = Object.keys(config.imports).filter((name) => !text.includes(name));
    assert.deepEqual(untold, []);
  });
}
