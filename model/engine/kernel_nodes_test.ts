/** Which kernel each operation launches, without a device: operands and sizes in the kernels' own order. */

import assert from "node:assert/strict";
import { recordedGpu, STREAM } from "../../tests/support/recorded_gpu.ts";
import { tinyConfig } from "../../tests/support/tiny_model.ts";
import { type Attribute, KERNEL_DOMAIN, type Node, type Value } from "../../ort/graph/ir.ts";
import type { Tensor } from "../../ort/runtime/tensor.ts";
import type { DType } from "../../ort/tensor/dtype.ts";
import type { BlockAdapter } from "../graphs/block.ts";
import type { ModelConfig } from "../config.ts";
import type { Precision } from "../precision.ts";
import { loadBlockKernels } from "./kernel_nodes.ts";

const HEADS_OF_64 = tinyConfig({ head_dim: 64, hidden_size: 64, intermediate_size: 128 });

type Operand = Tensor | undefined;
const none = undefined;

/** A tensor at an address. */
const at = (address: number, ...shape: number[]): Tensor => typed("bfloat16", address, ...shape);
const typed = (dtype: DType, address: number, ...shape: number[]): Tensor =>
  ({ address: BigInt(address), dtype, shape }) as unknown as Tensor;

/** Kernels of a model, and what an operation launches on tensors. */
async function recorded(
  { config = HEADS_OF_64, precision = "bfloat16", rank, dropout = 0 }: {
    readonly config?: ModelConfig;
    readonly precision?: Precision;
    readonly rank?: number;
    readonly dropout?: number;
  } = {},
) {
  const { gpu, take, sources } = recordedGpu();
  const adapter = rank && { products: { rank }, dropout } as unknown as BlockAdapter;
  const how = { config, precision, ...adapter ? { adapter } : {} };
  const { parts, launcher } = await loadBlockKernels(gpu, how);
  const launch = launcher(STREAM);
  return {
    parts: [...parts],
    sources: sources(),
    launched: (
      op: string,
      inputs: readonly Operand[],
      outputs: readonly Tensor[],
      attributes: Record<string, Attribute> = {},
    ): string[] => {
      const value = ({ address, dtype, shape }: Tensor): Value => ({
        ...{ name: `at ${address}`, dtype, shape },
      });
      const node: Node = {
        ...{ op, domain: KERNEL_DOMAIN, attributes },
        inputs: inputs.map((each) => each && value(each)),
        outputs: outputs.map(value),
      };
      launch(node, inputs, outputs);
      return take();
    },
  };
}

Deno.test("what a block's kernels are compiled for are its parts, its precision and its adapter's rank", async () => {
  const sums = "column_sums_bfloat16";
  const base = ["attention_64", "heads_64_bfloat16", sums, "rms_norm_bb", sums, "swiglu_bfloat16"];
  const loaded = async (options: Parameters<typeof recorded>[0]) => {
    const { parts, sources } = await recorded(options);
    return { parts, sources };
  };
  assert.deepEqual(await loaded({}), {
    parts: ["attention", "rmsNorm", "swiglu"],
    sources: base,
  });
  assert.deepEqual(await loaded({ rank: 8, dropout: 0.1 }), {
    parts: ["attention", "rmsNorm", "swiglu", "lora"],
    sources: base.toSpliced(3, 0, "lora_8"),
  });
  assert.deepEqual(await loaded({ rank: 12, dropout: 0.1 }), {
    parts: ["attention", "rmsNorm", "swiglu", "dropout"],
    sources: base.toSpliced(3, 0, "dropout_bfloat16"),
  });
  assert.deepEqual(await loaded({ precision: "float32", rank: 8, dropout: 0.1 }), {
    parts: ["rmsNorm", "swiglu", "dropout"],
    sources: ["dropout_float32", "rms_norm_ff", "column_sums_float32", "swiglu_float32"],
  });
  const narrow = tinyConfig({ hidden_size: 12, intermediate_size: 12, head_dim: 12 });
  assert.deepEqual(await loaded({ config: narrow, precision: "float32" }), {
    ...{ parts: [], sources: [] },
  });
});

Deno.test("attention takes its tokens from where they start, its heads and its scale from the node", async () => {
  const { launched } = await recorded();
  const attributes = { heads: 6n, kv_heads: 2n, scale: 0.25 };
  const qkv = [at(1, 70, 384), at(2, 70, 128), at(3, 70, 128)];
  const starts = at(4, 70);
  const name = "attention_64.attention";
  assert.deepEqual(
    launched("SegmentAttention", [...qkv, starts], [at(5, 70, 384), at(6, 6, 70)], attributes),
    [`${name}Forward ppppppiiif [1,6] x 128 shared 36864: 1 2 3 4 5 6 70 6 3 0.25`],
  );
  const kept = [at(5, 1), at(6, 70, 384), at(7, 6, 70), at(8, 70, 384)];
  const gradients = [at(9, 70, 384), at(10, 70, 128), at(11, 70, 128), at(12, 6, 70)];
  assert.deepEqual(
    launched("SegmentAttentionGradient", [...qkv, starts, ...kept], gradients, attributes),
    [
      `${name}Dots pppii [27] x 128: 6 8 12 70 6`,
      `${name}BackwardQueries ppppppppiiif [2,6] x 128 shared 36864: 1 2 3 8 4 7 12 9 70 6 3 0.25`,
      `${name}BackwardKeys ppppppppppiiif [2,2] x 128 shared 73216: 1 2 3 8 4 5 7 12 10 11 70 6 3 0.25`,
    ],
  );
});

const HEADS = { heads: 6n, kv_heads: 2n };
const TABLES = [at(3, 2, 35), at(4, 90, 32), at(5, 90, 32)];
const NORMS = [at(6, 64), at(7, 64)];

Deno.test("heads are turned from projections side by side, and from three that lie apart", async () => {
  const { launched } = await recorded();
  const name = "heads_64_bfloat16.headsForward ppppppppppppiillf [70] x 256";
  const stacked = [at(1, 70, 640), none, ...TABLES];
  const [q, k, v, invStd] = [at(8, 70, 384), at(9, 70, 128), at(10, 70, 128), at(11, 70, 8)];
  const epsilon = { ...HEADS, epsilon: 0.5 };
  // Keys begin 384 numbers of two bytes behind the queries, values 512.
  assert.deepEqual(launched("RotaryHeads", [...stacked, ...NORMS], [q, k, v, invStd], epsilon), [
    `${name}: 1 769 1025 3 4 5 6 7 8 9 10 11 6 2 640 640 0.5`,
  ]);
  assert.deepEqual(launched("RotaryHeads", [...stacked, none, none], [q, k, v], HEADS), [
    `${name}: 1 769 1025 3 4 5 0 0 8 9 10 0 6 2 640 640 0`,
  ]);
  const apart = [at(1, 70, 384), at(2, 70, 128), ...TABLES];
  assert.deepEqual(launched("RotaryHeads", [...apart, ...NORMS], [q, k, invStd], epsilon), [
    `${name}: 1 2 0 3 4 5 6 7 8 9 0 11 6 2 384 128 0.5`,
  ]);
  assert.deepEqual(launched("RotaryHeads", [...apart, none, none], [q, k], HEADS), [
    `${name}: 1 2 0 3 4 5 0 0 8 9 0 0 6 2 384 128 0`,
  ]);
});

Deno.test("gradients of heads go to the projections, and where norms are trained to their weights", async () => {
  const { launched } = await recorded();
  const launchedBack = (inputs: readonly Operand[], outputs: readonly Tensor[]): string[] =>
    launched("RotaryHeadsGradient", inputs, outputs, HEADS);
  const name = "heads_64_bfloat16.headsBackward pppppppppppppppiiill [70] x 256";
  const sums = "column_sums_bfloat16.columnSums ppiiii [2] x 256";
  const [invStd, dQ, dK, dV] = [at(8, 70, 8), at(9, 70, 384), at(10, 70, 128), at(11, 70, 128)];
  const stacked = [at(1, 70, 640), none, ...TABLES];
  const [qWeight, kWeight, partials] = [at(22, 64), at(23, 64), at(24, 256, 128)];
  const dStacked = at(20, 70, 640);
  assert.deepEqual(
    launchedBack(
      [...stacked, ...NORMS, invStd, dQ, dK, dV, qWeight, kWeight],
      [dStacked, qWeight, kWeight, partials],
    ),
    [
      `${name} shared 32768: 1 769 3 4 5 6 7 8 9 10 11 20 788 1044 24 70 6 2 640 640`,
      `${sums}: 24 22 70 128 64 1`,
      // The sums of keys lie 64 floats behind those of queries.
      `${sums}: 280 23 70 128 64 1`,
    ],
  );
  // Norms that are frozen.
  assert.deepEqual(launchedBack([...stacked, ...NORMS, invStd, dQ, dK, dV], [dStacked]), [
    `${name}: 1 769 3 4 5 6 7 8 9 10 11 20 788 1044 0 70 6 2 640 640`,
  ]);
  const apart = [at(1, 70, 384), at(2, 70, 128), ...TABLES];
  const dApart = [at(20, 70, 384), at(21, 70, 128)];
  assert.deepEqual(
    launchedBack(
      [...apart, ...NORMS, invStd, dQ, dK, none, none, none],
      [...dApart, qWeight, kWeight, partials],
    ),
    [
      `${name} shared 32768: 1 2 3 4 5 6 7 8 9 10 0 20 21 0 24 70 6 2 384 128`,
      `${sums}: 24 22 70 128 64 0`,
      `${sums}: 280 23 70 128 64 0`,
    ],
  );
  assert.deepEqual(launchedBack([...apart, none, none, none, dQ, dK, none], dApart), [
    `${name}: 1 2 3 4 5 0 0 0 9 10 0 20 21 0 0 70 6 2 384 128`,
  ]);
});

Deno.test("a norm's gradient counts rows by the weight's width, however x was reshaped", async () => {
  const { launched } = await recorded();
  const name = "rms_norm_bb.rmsNormBackward pppppppliu [3] x 256";
  const sums = "column_sums_bfloat16.columnSums ppiiii [2] x 256";
  const inputs = [at(1, 2, 35, 64), at(2, 70, 64), at(3, 64), at(4, 70, 1)];
  const [past, dx, dWeight, partials] = [at(5, 70, 64), at(6, 70, 64), at(7, 64), at(8, 256, 64)];
  // Eight lanes a row of 64, and a block's 32 rows of sums, 64 floats each.
  assert.deepEqual(
    launched("RMSNormGradient", [...inputs, past, dWeight], [dx, dWeight, partials]),
    [`${name} shared 8192: 1 2 3 4 5 6 8 70 64 8`, `${sums}: 8 7 3 64 64 1`],
  );
  assert.deepEqual(launched("RMSNormGradient", [...inputs, none, none], [dx, dWeight, partials]), [
    `${name} shared 8192: 1 2 3 4 0 6 8 70 64 8`,
    `${sums}: 8 7 3 64 64 0`,
  ]);
  assert.deepEqual(launched("RMSNormGradient", [...inputs, past, none], [dx]), [
    `${name}: 1 2 3 4 5 6 0 70 64 8`,
  ]);
});

Deno.test("a gate and what it gates lie apart or side by side in a row", async () => {
  for (const [precision, half] of [["bfloat16", 256], ["float32", 512]] as const) {
    const { launched } = await recorded({ precision });
    const each = (address: number, width: number): Tensor => typed(precision, address, 70, width);
    const name = `swiglu_${precision}.swiglu`;
    const [gate, up, product] = [each(1, 128), each(2, 128), each(3, 128)];
    assert.deepEqual(launched("SwiGLU", [gate, up], [product]), [
      `${name}Forward pppil [70] x 256: 1 2 3 128 128`,
    ]);
    assert.deepEqual(launched("SwiGLU", [each(1, 256)], [product]), [
      `${name}Forward pppil [70] x 256: 1 ${1 + half} 3 128 256`,
    ]);
    const [dGate, dUp] = [each(4, 128), each(5, 128)];
    assert.deepEqual(launched("SwiGLUGradient", [gate, up, product], [dGate, dUp]), [
      `${name}Backward pppppil [70] x 256: 1 2 3 4 5 128 128`,
    ]);
    assert.deepEqual(launched("SwiGLUGradient", [each(1, 256), product], [each(4, 256)]), [
      `${name}Backward pppppil [70] x 256: 1 ${1 + half} 3 4 ${4 + half} 128 256`,
    ]);
  }
});

Deno.test("dropout takes its rows, its width and its threshold", async () => {
  const { launched } = await recorded({ rank: 12, dropout: 0.1 });
  assert.deepEqual(
    launched("HashedDropout", [at(1, 2, 35, 64), at(2, 70, 1), at(3, 64)], [at(4, 70, 64)], {
      above: -9n,
    }),
    ["dropout_bfloat16.hashedDropout ppppii [70] x 256: 1 2 3 4 64 -9"],
  );
});

const DOWN = { scale: 2, above: -9n };

Deno.test("an adapter's first product takes A and its dropout's columns in turns", async () => {
  const { launched } = await recorded({ rank: 8 });
  const name = "lora_8.loraDown";
  const [x, rows, hidden] = [at(1, 2, 35, 128), at(2, 70, 1), at(7, 70, 16)];
  const [a, b] = [at(3, 8, 128), at(5, 8, 128)];
  const [columnsA, columnsB] = [at(4, 128), at(6, 128)];
  assert.deepEqual(launched("LoraDown", [x, rows, a, columnsA, b, columnsB], [hidden], DOWN), [
    `${name} ppppppppipiif` +
    " [5,2] x 256: 1 3 5 0 2 4 6 0 -9 7 70 128 2",
  ]);
  assert.deepEqual(launched("LoraDown", [x, none, a, none], [hidden], DOWN), [
    `${name} ppppppppipiif [5,1] x 256: 1 3 0 0 0 0 0 0 0 7 70 128 2`,
  ]);
  // Its gradient of x.
  const [dHidden, past, dX] = [at(8, 70, 16), at(9, 70, 128), at(10, 70, 128)];
  assert.deepEqual(
    launched(
      "LoraDownInputGradient",
      [dHidden, past, rows, a, columnsA, b, columnsB],
      [dX],
      DOWN,
    ),
    [`${name}Input ppppppppippiiif [1,3] x 256: 8 3 5 0 2 4 6 0 -9 9 10 70 128 2 2`],
  );
  assert.deepEqual(launched("LoraDownInputGradient", [dHidden, none, none, a, none], [dX], DOWN), [
    `${name}Input ppppppppippiiif [1,3] x 256: 8 3 0 0 0 0 0 0 0 0 10 70 128 1 2`,
  ]);
  // Its gradient of each A.
  const [dA, dB, partials] = [at(11, 8, 128), at(12, 8, 128), at(13, 8, 2048)];
  assert.deepEqual(
    launched(
      "LoraDownWeightGradient",
      [x, dHidden, rows, columnsA, dA, columnsB, dB],
      [dA, dB, partials],
      DOWN,
    ),
    [
      `${name}Weight ppppppipiif [2,8,2] x 256: 8 1 2 4 6 0 -9 13 70 128 2`,
      "lora_8.loraSums ppppiiiii [8] x 256: 13 11 12 0 1024 2048 2048 8 1",
    ],
  );
  assert.deepEqual(
    launched("LoraDownWeightGradient", [x, dHidden, none, none, dA], [dA, partials], DOWN),
    [
      `${name}Weight ppppppipiif [2,8,1] x 256: 8 1 0 0 0 0 0 13 70 128 2`,
      "lora_8.loraSums ppppiiiii [4] x 256: 13 11 0 0 1024 1024 1024 8 1",
    ],
  );
});

Deno.test("an adapter's second product takes the columns of each B", async () => {
  const { launched } = await recorded({ rank: 8 });
  const name = "lora_8.loraUp";
  const [past, hidden, y] = [at(1, 70, 192), at(2, 70, 16), at(5, 2, 35, 192)];
  const [a, b] = [at(3, 64, 8), at(4, 128, 8)];
  assert.deepEqual(launched("LoraUp", [past, hidden, a, b], [y]), [
    `${name} ppppppiiiii [1,3] x 256: 2 3 4 0 1 5 70 64 192 192 2`,
  ]);
  assert.deepEqual(launched("LoraUpInputGradient", [y, a, b], [at(6, 70, 16)]), [
    `${name}Hidden pppppiiii [5,2] x 256: 5 3 4 0 6 70 64 192 192`,
  ]);
  const [dA, dB, partials] = [at(7, 64, 8), at(8, 128, 8), at(9, 8, 1536)];
  const weight = `${name}Weight pppiiiii [3,8] x 256: 2 5 9 70 64 192 192 2`;
  const sums = "lora_8.loraSums ppppiiiii [6] x 256: 9 7 8 0 512 1536 1536 8";
  assert.deepEqual(launched("LoraUpWeightGradient", [hidden, y, dA, dB], [dA, dB, partials]), [
    ...[weight, `${sums} 1`],
  ]);
  assert.deepEqual(launched("LoraUpWeightGradient", [hidden, y, none, none], [dA, dB, partials]), [
    ...[weight, `${sums} 0`],
  ]);
});

Deno.test("a weight's gradient is added to where it lies, and nowhere else", async () => {
  const { launched } = await recorded({ rank: 8 });
  const refused = (
    op: string,
    to: number,
    inputs: readonly Operand[],
    outputs: readonly Tensor[],
  ): void =>
    assert.throws(() => launched(op, inputs, outputs, { ...HEADS, ...DOWN }), {
      name: "Error",
      message: `Cannot add up in ${op} to at ${to}: a weight's gradient and what it is ` +
        "added to are bound to different memory",
    });
  const norm = [at(1, 70, 64), at(2, 70, 64), at(3, 64), at(4, 70, 1), none];
  refused("RMSNormGradient", 6, [...norm, at(9, 64)], [at(6, 70, 64), at(7, 64), at(8, 256, 64)]);
  const heads = [at(1, 70, 640), none, ...TABLES, ...NORMS, at(8, 70, 8), at(9, 70, 384)];
  const made = [at(20, 70, 640), at(22, 64), at(23, 64), at(24, 256, 128)];
  const more = [at(10, 70, 128), at(11, 70, 128)];
  refused("RotaryHeadsGradient", 20, [...heads, ...more, at(30, 64), made[2]], made);
  refused("RotaryHeadsGradient", 20, [...heads, ...more, made[1], at(30, 64)], made);
  const weights = [at(11, 8, 64), at(12, 8, 64), at(13, 8, 1024)];
  const other = at(30, 8, 64);
  const first = [at(1, 70, 64), at(2, 70, 16), none];
  refused("LoraDownWeightGradient", 11, [...first, none, other, none, weights[1]], weights);
  refused("LoraDownWeightGradient", 11, [...first, none, weights[0], none, other], weights);
  const widths = [at(11, 64, 8), at(12, 64, 8), at(13, 8, 1024)];
  refused("LoraUpWeightGradient", 11, [at(1, 70, 16), at(2, 70, 128), widths[0], other], widths);
});
