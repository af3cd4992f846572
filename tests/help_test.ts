/** What `--help` says: every task explains itself, and the READMEs use flags that it has. */

import assert from "node:assert/strict";
import { repositoryPath } from "./support/run_script.ts";
import { runTask, tasks } from "./support/run_task.ts";

/** Tasks that are scripts of this configuration. */
const SCRIPTS = Object.entries(tasks).filter(([name, command]) =>
  / (cli|quickstart)\/\w+\.ts$/.test(command) && !name.startsWith("bench")
).map(([name]) => name);

const helps = new Map(
  await Promise.all(
    SCRIPTS.map(async (name) => [name, await runTask(name, ".", "--help")] as const),
  ),
);

Deno.test(`${SCRIPTS.length} tasks explain themselves, their defaults once and in words`, () => {
  assert.ok(SCRIPTS.length > 12, SCRIPTS.join());
  for (const [name, { code, stdout, stderr }] of helps) {
    assert.deepEqual([code, stderr], [0, ""], name);
    assert.ok(stdout.startsWith(`Usage: deno task ${name} `), stdout);
    const options = stdout.split(/\n {2}(?=-)/).slice(1).map((each) => each.replace(/\s+/g, " "));
    for (const option of options) {
      assert.doesNotMatch(option, /\(default: (\[|false)|\(default.*\(default/, name);
      assert.match(option, /^-\S+( --help)?( [<[]\S+[>\]]| <hub or file>)? [^(]/, name);
    }
  }
});

for (const readme of ["README.md", "README.zh.md"]) {
  Deno.test(`${readme} gives tasks flags that they have`, async () => {
    const text = (await Deno.readTextFile(repositoryPath(readme))).replaceAll("\\\n", " ");
    let checked = 0;
    for (const [, name, rest] of text.matchAll(/deno task ([a-z:]+)([^`#\n]*)/g)) {
      const help = helps.get(name)?.stdout;
      for (const [flag] of help === undefined ? [] : rest.matchAll(/--[a-z][a-z-]*/g)) {
        assert.match(help!, new RegExp(`^ +(-h, )?${flag}\\b(?!-)`, "m"), `${name} ${flag}`);
        checked++;
      }
    }
    assert.ok(checked > 30, `${checked}`);
  });

  Deno.test(`${readme} names no flag that there is not`, async () => {
    const text = await Deno.readTextFile(repositoryPath(readme));
    const all = [...helps.values()].map(({ stdout }) => stdout).join("\n");
    // Of Deno and TensorBoard.
    const others = /^--(allow-\w+|install|logdir)$/;
    const unknown = [...text.matchAll(/(?<![\w-])--[a-z][a-z-]*/g)].map(([flag]) => flag)
      .filter((flag) => !others.test(flag) && !new RegExp(`${flag}(?![\\w-])`).test(all));
    assert.deepEqual(unknown, []);
  });
}
