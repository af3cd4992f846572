import assert from "node:assert/strict";
import { chooseEntries, ortuneEntries } from "./entries.ts";

const side = {
  model: "model",
  workload: "rows.json",
  adapter: "adapter",
  device: "cuda:0",
  gradientCheckpointing: true,
  kernels: true,
  microRows: 4,
  learningRate: 1e-4,
  totalSteps: 10,
};

Deno.test("chooseEntries() takes those whose names match a regular expression, in order", () => {
  const entries = ortuneEntries("full", { script: "compare.js", cpu: false, side });
  const names = (only: RegExp) => chooseEntries(entries, only).map(({ name }) => name);
  assert.deepEqual(names(/^ortune (bf16|adamw_bf16)$/), ["ortune bf16", "ortune adamw_bf16"]);
  assert.equal(names(new RegExp("")).length, entries.length);
  assert.throws(
    () => names(/^bf16$/),
    /^RangeError: Cannot choose contenders: \/\^bf16\$\/ matches none of "ortune bf16", .*; give --only /,
  );
});

Deno.test("ortuneEntries() starts the script that is given, with an adapter without dropout where losses count", () => {
  const [still, dropped] = ortuneEntries("lora", { script: "/pack/compare.js", cpu: true, side });
  assert.deepEqual(still.args.slice(0, 4), [
    "run",
    "--allow-all",
    "/pack/compare.js",
    "--contender",
  ]);
  const adapter = (args: readonly string[]) => JSON.parse(args.at(-1)!).adapter;
  assert.deepEqual([adapter(still.args), still.comparable], ["adapter-still", true]);
  assert.deepEqual([adapter(dropped.args), dropped.comparable], ["adapter", false]);
});
