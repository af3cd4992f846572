/** The pool of a process has the threads of its first runtime, and so all tests' numbers depend on that one. */

import assert from "node:assert/strict";
import { LONG } from "./support/long_tests.ts";
import { THREADS } from "./support/quickstart_folder.ts";

const ROOMS = ["ort", "model", "lora", "infer", "train", "data", "hub", "cli", "tests"];
const root = new URL("../", import.meta.url);

async function* testFiles(folder: string): AsyncGenerator<string, void, void> {
  for await (const { name, isDirectory } of Deno.readDir(new URL(folder, root))) {
    if (isDirectory) yield* testFiles(`${folder}/${name}`);
    else if (name.endsWith("_test.ts")) yield `${folder}/${name}`;
  }
}

Deno.test(`a runtime that a test leaves open has ${THREADS} threads`, async () => {
  const wrong: string[] = [];
  let checked = 0;
  for (const room of ROOMS) {
    for await (const file of testFiles(room)) {
      const text = await Deno.readTextFile(new URL(file, root));
      for (
        const [line, threads] of text.matchAll(/const \w+ = new Runtime\(\{ threads: (\w+).*/g)
      ) {
        checked++;
        // Beside other processes a pool of one thread waits for nobody.
        if (LONG.includes(file) && threads === "1") continue;
        if (threads !== `${THREADS}` && threads !== "THREADS") wrong.push(`${file}: ${line}`);
      }
    }
  }
  assert.deepEqual(wrong, []);
  assert.ok(checked > 20, `only ${checked} runtimes were found`);
});
