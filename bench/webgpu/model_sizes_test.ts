import assert from "node:assert/strict";
import { chooseSize, type Means, SIZES, trainingBytes, trainingSeconds } from "./model_sizes.ts";

const GPU: Means = { flopsPerSecond: 5e12, bytesPerSecond: 4e9, seconds: 25, bytes: 40e9 };

Deno.test("chooseSize() takes Qwen3-0.6B whole where time and memory allow it", () => {
  assert.equal(chooseSize(SIZES, "full", GPU), SIZES[0]);
  assert.equal(SIZES[0].shape.num_hidden_layers, 28);
});

Deno.test("chooseSize() takes what fits into memory", () => {
  const means = { ...GPU, bytes: 6e9 };
  const full = chooseSize(SIZES, "full", means)!;
  assert.ok(trainingBytes(full, "full") <= means.bytes);
  assert.ok(trainingBytes(SIZES[SIZES.indexOf(full) - 1], "full") > means.bytes);
  // An adapter's training keeps 4 bytes a parameter in place of 16.
  const lora = chooseSize(SIZES, "lora", means)!;
  assert.ok(SIZES.indexOf(lora) < SIZES.indexOf(full));
});

Deno.test("chooseSize() takes what fits into time, and nothing where nothing does", () => {
  const means = { ...GPU, flopsPerSecond: 1e10 };
  const slow = chooseSize(SIZES, "full", means)!;
  assert.ok(SIZES.indexOf(slow) > 0);
  assert.ok(trainingSeconds(slow, "full", means) <= means.seconds);
  assert.equal(chooseSize(SIZES, "full", { ...GPU, seconds: 0 }), undefined);
});

Deno.test("sizes to choose from cost less and less", () => {
  for (const method of ["full", "lora"] as const) {
    const seconds = SIZES.map((size) => trainingSeconds(size, method, GPU));
    assert.deepEqual(seconds, seconds.toSorted((a, b) => b - a));
    const bytes = SIZES.map((size) => trainingBytes(size, method));
    assert.deepEqual(bytes, bytes.toSorted((a, b) => b - a));
  }
});
