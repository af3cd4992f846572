import assert from "node:assert/strict";
import { MemoryBudget, type ToldMemory } from "./memory_budget.ts";

const gpu: ToldMemory = { name: "GPU", heap: 1000, free: 500, largestBuffer: 400 };
const what = "allocate a tensor";

Deno.test("a tensor larger than a buffer may be is refused, with both sizes and a way out", () => {
  const budget = new MemoryBudget(() => gpu);
  assert.throws(() => budget.claim(401, what), {
    name: "RangeError",
    message:
      "Cannot allocate a tensor on webgpu: it has 401 bytes, and a buffer of GPU at most 400; " +
      "train shorter rows or fewer of them at once, an adapter, or a smaller model",
  });
  budget.claim(400, what);
  assert.equal(budget.held, 400);
});

Deno.test("what is free is counted from what the driver told, and asked again before a refusal", () => {
  let free = 500;
  let asked = 0;
  const budget = new MemoryBudget(() => {
    asked++;
    return { ...gpu, free };
  });
  budget.claim(300, what);
  budget.claim(200, what);
  assert.equal(asked, 1);
  free = 0;
  assert.throws(() => budget.claim(1, what), {
    name: "RangeError",
    message: "Cannot allocate a tensor on webgpu: it has 1 bytes, and GPU has 0 free of 1000, of " +
      "which 500 are this program's tensors; train shorter rows or fewer of them at once, an " +
      "adapter, or a smaller model",
  });
  assert.equal(asked, 2);
  assert.equal(budget.held, 500);
  free = 100; // another program has ended
  budget.claim(100, what);
  assert.equal(asked, 3);
  budget.release(300);
  budget.claim(300, what);
  assert.equal(asked, 3);
  assert.equal(budget.held, 600);
});

Deno.test("where nothing is told nothing is refused, and without free memory only what no buffer holds", () => {
  const unknown = new MemoryBudget(() => undefined);
  unknown.claim(2 ** 50, what);
  const heapOnly = new MemoryBudget(() => ({ ...gpu, free: undefined }));
  for (let i = 0; i < 9; i++) heapOnly.claim(400, what);
  assert.throws(() => heapOnly.claim(401, what), RangeError);
});
