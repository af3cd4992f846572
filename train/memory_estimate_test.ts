import assert from "node:assert/strict";
import { parseConfig } from "../model/config.ts";
import { QWEN3_0_6B } from "../tests/support/model_configs.ts";
import { estimateMemory, type MemoryEstimate } from "./memory_estimate.ts";

const MIB = 2 ** 20;
const config = parseConfig(QWEN3_0_6B);

/** Whether the estimate is within a share of what was measured. */
function assertNear({ total }: MemoryEstimate, measuredMib: number, share: number): void {
  const ratio = total / MIB / measuredMib;
  assert.ok(Math.abs(ratio - 1) <= share, `${total / MIB} MiB is ${ratio} of ${measuredMib} MiB`);
}

Deno.test("estimateMemory() is within 1 % of the peaks measured at Qwen3-0.6B, T = 512", () => {
  const batch = { rows: 1, length: 512 };
  assertNear(estimateMemory(config, batch), 9789, 0.01);
  assertNear(estimateMemory(config, { ...batch, gradientCheckpointing: false }), 10518, 0.01);
});

Deno.test("estimateMemory() is within 5 % of the peaks measured on two layers of it", () => {
  // Peak RSS of bench/step.ts's step with these sizes, two updates of two batches each.
  const measured = [
    { vocab: 151936, rows: 1, length: 512, mib: 3478 },
    { vocab: 1000, rows: 1, length: 512, mib: 748 },
    { vocab: 1000, rows: 1, length: 2048, mib: 1770 },
    { vocab: 1000, rows: 1, length: 2048, mib: 1993, gradientCheckpointing: false },
    { vocab: 1000, rows: 4, length: 512, mib: 1213 },
  ];
  for (const { vocab, mib, ...batch } of measured) {
    const small = parseConfig({ ...QWEN3_0_6B, num_hidden_layers: 2, vocab_size: vocab });
    assertNear(estimateMemory(small, batch), mib, 0.05);
  }
});

Deno.test("estimateMemory() adds up, and grows with length and rows, less with checkpointing", () => {
  const small = estimateMemory(config, { rows: 1, length: 128, supervised: 10 });
  const { total, ...parts } = small;
  assert.equal(total, Object.values(parts).reduce((sum, bytes) => sum + bytes, 0));
  assert.equal(parts.moments, 2 * parts.weights);
  assert.ok(estimateMemory(config, { rows: 1, length: 256 }).total > total);
  assert.ok(estimateMemory(config, { rows: 2, length: 128 }).total > total);
  const kept = estimateMemory(config, { rows: 1, length: 128, gradientCheckpointing: false });
  assert.ok(kept.activations > 10 * small.activations);
});
