/** What needs no native library does in Node and Bun what it does in Deno. */

import assert from "node:assert/strict";
import { factsOf, runtimeVersion, writeWithoutNative } from "./support/other_runtime.ts";
import { tempFolder } from "./support/temp_folder.ts";
import { withoutNative } from "./support/without_native.ts";

/** Programs, the first version that is tested, and flags. */
const RUNTIMES = [
  {
    name: "Node",
    program: Deno.env.get("ORTUNE_NODE") ?? "node",
    // The first that runs TypeScript as it is.
    oldest: [22, 18],
    flags: ["--no-warnings"],
  },
  {
    name: "Bun",
    program: Deno.env.get("ORTUNE_BUN") ?? "bun",
    oldest: [1, 2],
    flags: ["--no-install"],
  },
] as const;

for (const { name, program, oldest: [oldestMajor, oldestMinor], flags } of RUNTIMES) {
  const [major = 0, minor = 0] = await runtimeVersion(program) ?? [];
  const found = major > oldestMajor || major === oldestMajor && minor >= oldestMinor;
  const missing = found ? "" : ` (no ${name} ${oldestMajor}.${oldestMinor} or newer here)`;
  Deno.test({
    name:
      `tokenizer, examples, weights, graphs and adapter settings are the same in ${name}${missing}`,
    ignore: !found,
    fn: async () => {
      await using own = await tempFolder();
      await writeWithoutNative(own.path);
      const facts = await withoutNative(own.path);
      assert.deepEqual(await factsOf(program, flags), JSON.parse(JSON.stringify(facts)));
      assert.match(String(facts.missing), /there is no such folder/);
      assert.ok((facts.files as unknown[]).length > 1);
    },
  });
}
