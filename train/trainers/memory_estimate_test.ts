import assert from "node:assert/strict";
import { parseConfig } from "../../model/config.ts";
import { createLoraAdapter } from "../../lora/block_adapter.ts";
import { DEFAULT_LORA } from "../../lora/lora_options.ts";
import { CUBLAS_WORKSPACE_BYTES } from "../../ort/runtime/cublas_workspace.ts";
import type { BlockAdapter } from "../../model/graphs/block.ts";
import { BASE_STORAGES, type BaseStorage } from "../../model/base_storage.ts";
import { layoutParameters } from "../../model/engine/parameter_store.ts";
import { modelParameters } from "../../model/parameters.ts";
import { elementCount } from "../../ort/tensor/dtype.ts";
import { QWEN3_0_6B, QWEN3_1_7B } from "../../tests/support/model_configs.ts";
import { tinyConfig, WINDOWED } from "../../tests/support/tiny_model.ts";
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

Deno.test("estimateMemory() is within 3 % of the peaks measured of LoRA on all its layers, T = 512", () => {
  const adapter = createLoraAdapter(config, DEFAULT_LORA);
  const batch = { rows: 1, length: 512, adapter };
  assertNear(estimateMemory(config, batch), 2817, 0.03);
  assertNear(estimateMemory(config, { ...batch, headChunk: 256 }), 3049, 0.03);
});

Deno.test("estimateMemory() is up to 8 % above the peaks measured of LoRA on three layers in 8 and 4 bits", () => {
  const small = parseConfig({ ...QWEN3_0_6B, num_hidden_layers: 3 });
  const adapter = createLoraAdapter(small, DEFAULT_LORA);
  // Peak RSS of bench/quantized_base.ts's first step.
  const measured = [
    { base: "int8", compute: "int8", mib: 907 },
    { base: "int8", compute: "fp32", mib: 719 },
    { base: "int4", compute: "int8", mib: 865 },
    { base: "int4", compute: "fp32", mib: 691 },
  ] as const;
  for (const { base, compute, mib } of measured) {
    const storage = BASE_STORAGES[base];
    const plan = estimateMemory(small, {
      ...{ rows: 1, length: 512, adapter },
      storage: { ...storage, quantization: { ...storage.quantization!, compute } },
    });
    assertNear(plan, 1.04 * mib, 0.04);
  }
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

Deno.test("estimateMemory() counts what each optimizer keeps, and whole tensors that it works on", () => {
  const plan = (optim: string) => estimateMemory(config, { rows: 1, length: 128, optim });
  const adamW = plan("adamw");
  const embeddings = 4 * config.vocabSize * config.hiddenSize;
  assert.equal(plan("lion").moments, adamW.moments / 2);
  assert.equal(plan("schedule_free_adamw").total, adamW.total);
  // A moment more of the embeddings, which AdamW updates, and of the norms.
  const muon = plan("muon");
  const norms = 4 * (28 * (2 * 1024 + 2 * 128) + 1024);
  assert.ok(Math.abs(muon.moments - adamW.moments / 2 - embeddings - norms) < MIB);
  // Of the embeddings' rows and columns, and of two intermediate values as large as they.
  const adafactor = plan("adafactor");
  assert.ok(adafactor.moments < 0.002 * adamW.moments, `${adafactor.moments}`);
  assert.ok(adafactor.workspace >= 2 * embeddings, `${adafactor.workspace}`);
});

Deno.test("estimateMemory() counts gradients and state of the last layers alone, where only they are trained", () => {
  const [all, last] = [undefined, 7].map((lastLayers) =>
    estimateMemory(config, { rows: 1, length: 128, lastLayers })
  );
  assert.equal(last.weights, all.weights);
  const layer = 4 * (1024 * (2 * 2048 + 2 * 1024 + 3 * 3072) + 2 * 1024 + 2 * 128);
  assert.ok(Math.abs(last.gradients - 7 * layer) < MIB, `${last.gradients}`);
  assert.equal(last.moments, 2 * last.gradients);
  assert.ok(last.total < all.total - (all.gradients - last.gradients));
});

Deno.test("estimateMemory() adds up, and grows with length and rows, less with checkpointing", () => {
  const small = estimateMemory(config, { rows: 1, length: 128, supervised: 10 });
  const { total, largest, ...parts } = small;
  assert.equal(largest, 4 * config.vocabSize * config.hiddenSize);
  assert.equal(total, Object.values(parts).reduce((sum, bytes) => sum + bytes, 0));
  assert.equal(parts.moments, 2 * parts.weights);
  assert.ok(estimateMemory(config, { rows: 1, length: 256 }).total > total);
  assert.ok(estimateMemory(config, { rows: 2, length: 128 }).total > total);
  const kept = estimateMemory(config, { rows: 1, length: 128, gradientCheckpointing: false });
  assert.ok(kept.activations > 10 * small.activations);
});

Deno.test("the largest tensor of a base in float16 is the embedding as it is stored, or what graphs hold", () => {
  const plan = (vocabSize: number, storage: BaseStorage, length: number) => {
    const sized = parseConfig({ ...QWEN3_1_7B, vocab_size: vocabSize });
    const adapter = createLoraAdapter(sized, DEFAULT_LORA);
    return estimateMemory(sized, { rows: 1, length, adapter, storage, device: "webgpu" }).largest;
  };
  const { fp32, fp16 } = BASE_STORAGES;
  assert.equal(plan(151936, fp32, 128), 4 * 151936 * 2048);
  assert.equal(plan(151936, fp16, 128), 2 * 151936 * 2048);
  // A layer's largest matrix is widened in whole, right before its product.
  assert.equal(plan(1000, fp16, 128), 4 * 2048 * 6144);
  // Scores of 512 queries and 2048 keys.
  assert.equal(plan(1000, fp16, 2048), 4 * 16 * 512 * 2048);
});

/**
 * Gigabytes that Qwen3-1.7B takes at least, without CUDA's own: block checkpointing, logits of 512
 * tokens at a time, attention without scores in memory.
 */
const FLOORS = [
  { format: "bfloat16-stochastic", at2048: 14.9, at8192: 16.4 },
  { format: "bfloat16", at2048: 14.9, at8192: 16.4 },
  { format: "master", at2048: 28.7, at8192: 30.2 },
  { format: "bfloat16-8bit", at2048: 11.5, at8192: 13.0 },
  { format: "lora", at2048: 4.7, at8192: 6.2 },
] as const;

Deno.test("in bfloat16 Qwen3-1.7B takes at most 1.1 times its least memory, by plan", () => {
  const large = parseConfig(QWEN3_1_7B);
  const adapter = createLoraAdapter(large, { ...DEFAULT_LORA, dropout: 0 });
  for (const { format, at2048, at8192 } of FLOORS) {
    const how = format === "lora" ? { adapter } : { format };
    for (const [rows, floor] of [[1, at2048], [4, at8192]]) {
      const plan = estimateMemory(large, {
        rows,
        length: 2048,
        precision: "bfloat16",
        device: "cuda",
        kernels: true,
        ...how,
      });
      const ratio = (plan.total - plan.process) / 1e9 / floor;
      if (Deno.env.get("ORTUNE_REPORT")) console.log(format, rows * 2048, plan, ratio);
      assert.ok(ratio > 0.9 && ratio <= 1.1, `${format}, ${rows} rows: ${ratio} of ${floor} GB`);
    }
  }
});

Deno.test("with own kernels the head holds its logits once, and nothing of their size besides", () => {
  const batch = { rows: 1, length: 512, precision: "bfloat16", device: "cuda" } as const;
  const [stock, own] = [false, true].map((kernels) =>
    estimateMemory(config, { ...batch, kernels, headChunk: 256 })
  );
  const logits = 256 * config.vocabSize * 2;
  // Float32 logits, their logarithms and probabilities, and both types of the gradient.
  assert.ok(stock.workspace - own.workspace > 3 * logits);
  assert.ok(stock.total - own.total > 2 * logits);
});

Deno.test("stock attention holds its scores, several of each pair of tokens", () => {
  const [short, long] = [1024, 2048].map((length) => {
    const batch = { rows: 2048 / length, length, precision: "bfloat16", device: "cuda" } as const;
    return [false, true].map((kernels) => estimateMemory(config, { ...batch, kernels }));
  });
  // As many tokens in rows twice as long: twice the pairs.
  const pairs = config.heads * (2048 ** 2 - 2 * 1024 ** 2);
  assert.ok(long[0].workspace - short[0].workspace > 4 * pairs);
  assert.equal(long[1].total, short[1].total);
});

Deno.test("where attention is a kernel only tokens count, not the grid they came in", () => {
  const batch = { rows: 4, length: 2048, precision: "bfloat16", device: "cuda" } as const;
  const plan = (how: { readonly tokens?: number; readonly kernels: boolean }) =>
    estimateMemory(config, { ...batch, ...how });
  const [grid, real] = [undefined, 2213].map((tokens) => plan({ kernels: true, tokens }));
  const logits = 2048 * config.vocabSize * 2;
  assert.ok(real.activations - logits < 0.3 * (grid.activations - logits));
  assert.ok(real.workspace < grid.workspace);
  // As one row of that many, rounded up as it is laid out.
  const row = { ...batch, rows: 1, length: 2224, kernels: true };
  assert.deepEqual(real, { ...estimateMemory(config, row), workspace: real.workspace });
  // With a mask the grid is computed; of it fewer tokens may be supervised.
  const [masked, all] = [2213, undefined].map((tokens) => plan({ kernels: false, tokens }));
  assert.deepEqual(masked, all);
});

Deno.test("where attention goes in chunks, the scores of one are planned, and no mask of all", () => {
  const plan = (length: number, device: "cpu" | "webgpu") =>
    estimateMemory(config, { rows: 1, length, device });
  const [short, long] = [plan(2048, "webgpu"), plan(8192, "webgpu")];
  const scores = config.heads * 2048 ** 2 * 4;
  assert.ok(plan(2048, "cpu").workspace - short.workspace > 3 * scores);
  // Sixteen times the pairs, four times the tokens.
  assert.ok(long.workspace < 4 * short.workspace);
  const hidden = (config.layers + 3) * 2048 * config.hiddenSize;
  const masks = 512 * (512 + 1024 + 1536 + 2048);
  // In widths of hidden states: q, mixed, their gradients and q before its norm 2 each, k, v, the same of
  // them and k before its norm 1 each, the block's input normed and what is added to attention 1 each.
  const between = (short.activations / 4 - hidden - masks) / (2048 * config.hiddenSize);
  assert.ok(between > 17 && between < 17.1, `${between}`);
  // As one row of the tokens that are not padding.
  const padded = { rows: 4, length: 2048, tokens: 2213, device: "webgpu" } as const;
  const { activations } = estimateMemory(config, { rows: 1, length: 2224, device: "webgpu" });
  assert.ok(estimateMemory(config, padded).activations <= activations);
});

Deno.test("a device's plan counts a workspace of cuBLAS for each session", () => {
  const batch = { rows: 1, length: 512, precision: "bfloat16" } as const;
  const sessions = (kernels: boolean, adapter?: BlockAdapter): number =>
    estimateMemory(config, { ...batch, device: "cuda", kernels, adapter }).handles /
    CUBLAS_WORKSPACE_BYTES;
  // As tests/cuda_calls_test.ts counts them.
  assert.deepEqual([sessions(false), sessions(true)], [14, 20]);
  const adapter = createLoraAdapter(config, DEFAULT_LORA);
  assert.deepEqual([sessions(false, adapter), sessions(true, adapter)], [13, 21]);
  assert.equal(estimateMemory(config, { ...batch, precision: "float32" }).handles, 0);
});

/** 64 tokens, two layers of 16 wide states, and heads of 8. */
const tiny = tinyConfig();
const all = layoutParameters(modelParameters(tiny)).length;
/** Without the gaps between them. */
const numbers = modelParameters(tiny).reduce((sum, { shape }) => sum + elementCount(shape), 0);
const batch = { rows: 3, length: 5 };

Deno.test("a plan has weights, gradients, moments and activations of what is trained", () => {
  // Inputs of both layers, the last output and two gradients of such; a mask of each row.
  const activations = 4 * (5 * 15 * 16 + 3 * 5 * 5);
  const { workspace: _, total: _total, largest: _largest, ...parts } = estimateMemory(tiny, batch);
  assert.deepEqual(parts, {
    weights: 4 * all,
    gradients: 4 * all,
    moments: 8 * numbers,
    activations,
    handles: 0,
    process: 140 * 1024 * 1024,
  });
  const half = estimateMemory(tiny, { ...batch, precision: "bfloat16", shards: 4, process: 7 });
  assert.deepEqual([half.weights, half.gradients, half.moments, half.activations, half.process], [
    ...[2 * all, 2 * all, (8 * numbers + 4 * all) / 4, activations / 2, 7],
  ]);
  // Two heads' queries, and both sides of the matrices of an MLP.
  const lora = { ...DEFAULT_LORA, rank: 2, targetModules: ["q_proj", "down_proj"] };
  const adapted = 2 * 2 * (16 + 32 + 24 + 16);
  const adapter = createLoraAdapter(tiny, lora);
  const of = estimateMemory(tiny, { ...batch, adapter, several: true, format: "master" });
  assert.deepEqual([of.weights, of.gradients, of.moments, of.activations], [
    ...[4 * all + 4 * adapted, 4 * adapted, 8 * adapted, activations],
  ]);
});

Deno.test("a plan has what a device takes besides, unless it is told", () => {
  const processes = (["cpu", "cuda", "webgpu"] as const).map((device) =>
    estimateMemory(tiny, { ...batch, device }).process
  );
  assert.deepEqual(processes, [140 * 2 ** 20, 500_000_000, 0]);
});

Deno.test("gradients that are not float32 are summed in float32, those of all weights alone", () => {
  const of = (precision: "float32" | "bfloat16", several?: boolean, sized = tiny) =>
    estimateMemory(sized, { ...batch, precision, several }).gradients;
  assert.deepEqual(
    [of("float32", true), of("float32"), of("bfloat16"), of("bfloat16", false)],
    [4 * all, 4 * all, 2 * all, 2 * all],
  );
  assert.equal(of("bfloat16", true), 2 * all + 4 * all);
  // Of a larger model two buckets of 4 Mi numbers, as its layers are small.
  const large = tinyConfig({ vocab_size: 2 ** 20 });
  const length = layoutParameters(modelParameters(large)).length;
  assert.equal(of("bfloat16", true, large), 2 * length + 4 * 2 * 2 ** 22);
});

Deno.test("a mask is planned for each window that hides something of a row", () => {
  const masks = (sliding_window: number) => {
    const config = tinyConfig({ ...WINDOWED, sliding_window });
    const { activations } = estimateMemory(config, batch);
    return (activations / 4 - 5 * 15 * 16) / (3 * 5 * 5);
  };
  assert.deepEqual([1, 4, 5, 6].map(masks), [2, 2, 1, 1]);
});

Deno.test("sessions of a pass without gradients are counted where training drops inputs or keeps activations", () => {
  const sessions = (how: object) =>
    estimateMemory(tiny, { ...batch, device: "cuda", ...how }).handles / CUBLAS_WORKSPACE_BYTES;
  const adapter = (dropout: number) => createLoraAdapter(tiny, { ...DEFAULT_LORA, dropout });
  assert.equal(sessions({ gradientCheckpointing: false }) - sessions({}), 1);
  assert.equal(sessions({ adapter: adapter(0.1) }) - sessions({ adapter: adapter(0) }), 1);
  // DoRA's norms are one graph for all matrices.
  const dora = createLoraAdapter(tiny, { ...DEFAULT_LORA, dropout: 0, dora: true });
  assert.equal(sessions({ adapter: dora }) - sessions({ adapter: adapter(0) }), 1);
});

Deno.test("a base in float16 is planned with matrices of two bytes a number, beside an adapter in float32", () => {
  const matrices = modelParameters(tiny).filter(({ shape }) => shape.length > 1)
    .reduce((sum, { shape }) => sum + elementCount(shape), 0);
  // The table, and of two layers q and o of 16 × 32, k and v of 16 × 16, and three of 16 × 24.
  assert.equal(matrices, 64 * 16 + 2 * 16 * (2 * 32 + 2 * 16 + 3 * 24));
  const adapter = createLoraAdapter(tiny, {
    ...{ ...DEFAULT_LORA, rank: 3, targetModules: ["k_proj"] },
  });
  const adapted = 2 * 3 * (16 + 16);
  const weights = (storage: BaseStorage) => estimateMemory(tiny, { ...batch, adapter, storage });
  assert.equal(weights(BASE_STORAGES.fp32).weights, 4 * all + 4 * adapted);
  assert.equal(weights(BASE_STORAGES.fp16).weights, 4 * all - 2 * matrices + 4 * adapted);
  assert.equal(weights(BASE_STORAGES.fp16).gradients, 4 * adapted);
});

Deno.test("the largest tensor is the table, the scores of a batch, or its logits", () => {
  const largest = (how: Partial<Parameters<typeof estimateMemory>[1]>) =>
    estimateMemory(tiny, { ...batch, ...how }).largest;
  assert.equal(largest({}), 4 * 64 * 16);
  assert.equal(largest({ rows: 1, length: 17 }), 4 * 4 * 17 ** 2);
  assert.equal(largest({ rows: 2, length: 17 }), 4 * 2 * 4 * 17 ** 2);
  // Logits of as many tokens as are supervised, up to a chunk.
  assert.equal(largest({ rows: 8, length: 3 }), 4 * 24 * 64);
  assert.equal(largest({ rows: 8, length: 3, supervised: 20 }), 4 * 20 * 64);
  assert.equal(largest({ rows: 8, length: 3, headChunk: 18 }), 4 * 18 * 64);
  assert.equal(largest({ rows: 8, length: 3, headChunk: 8 }), 4 * 64 * 16);
});
