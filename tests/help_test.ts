/** What `--help` says: every task explains itself, and the guides use flags that it has. */

import assert from "node:assert/strict";
import { documentText, guides, shellCommands } from "./support/documents.ts";
import { declaredTasks, runTask, task, tasks } from "./support/run_task.ts";

/** Tasks that users run, but for example:browser, whose packages `deno task test:clients` fetches. */
const SCRIPTS = Object.entries(tasks).filter(([, command]) =>
  / (cli\/commands|examples\/quickstart)\/\w+\.ts$/.test(command)
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

Deno.test("every task has a description of one line for deno task", () => {
  const lines = Object.entries(declaredTasks).map(([name, { description }]) => [name, description]);
  for (const [name, line] of lines) assert.match(line, /^[A-Z][^\n]{9,99}[^.\n]$/, name);
  assert.equal(new Set(lines.map(([, line]) => line)).size, lines.length);
});

/** Words of `--help` by the script that gives them. */
const helpOf = new Map([...helps].map(([name, { stdout }]) => [task(name).script, stdout]));

/** Flags among words that a help does not list, and how many it does. */
function compareFlags(
  words: readonly string[],
  help: string,
): { unknown: string[]; known: number } {
  const flags = words.flatMap((word) => /^--[a-z][a-z0-9-]*/.exec(word) ?? []);
  const unknown = flags.filter((flag) => !new RegExp(`^ +(-h, )?${flag}\\b(?!-)`, "m").test(help));
  return { unknown, known: flags.length - unknown.length };
}

Deno.test("commands in the guides give tasks and scripts flags that they have", () => {
  let checked = 0;
  for (const path of guides) {
    for (const words of shellCommands(documentText(path))) {
      const at = words[1] === "task" ? 2 : words.findIndex((word) => helpOf.has(word));
      const help = words[1] === "task" ? helps.get(words[2])?.stdout : helpOf.get(words[at]);
      if (help === undefined) continue;
      const { unknown, known } = compareFlags(words.slice(at + 1), help);
      assert.deepEqual(unknown, [], `${path}: ${words.join(" ")}`);
      checked += known;
    }
  }
  assert.ok(checked > 60, `${checked}`);
});

for (const path of guides) {
  Deno.test(`${path} gives tasks flags that they have, in its sentences too`, () => {
    const text = documentText(path).replaceAll("\\\n", " ");
    for (const [, name, rest] of text.matchAll(/deno task ([a-z:]+)([^`#\n]*)/g)) {
      const help = helps.get(name)?.stdout;
      if (help === undefined) continue;
      const { unknown } = compareFlags(rest.split(/[\s|]+/), help);
      assert.deepEqual(unknown, [], `${name}${rest}`);
    }
  });

  Deno.test(`${path} names no flag that there is not`, () => {
    const all = [...helps.values()].map(({ stdout }) => stdout).join("\n");
    // Of Deno, TensorBoard, lm-eval and benches; of mpirun and srun.
    const others = new RegExp(
      "^--(allow-\\w+|quiet|install|logdir|tasks|batch|docs|" +
        "bind-to|host|mca|mpi|ntasks-per-node|cpus-per-task|signal)$",
    );
    const unknown = [...documentText(path).matchAll(/(?<![\w-])--[a-z][a-z0-9-]*/g)]
      .map(([flag]) => flag)
      .filter((flag) => !others.test(flag) && !new RegExp(`${flag}(?![\\w-])`).test(all));
    assert.deepEqual(unknown, []);
  });
}
