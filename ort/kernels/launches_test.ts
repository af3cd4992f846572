/** What each wrapper launches, without a device: kernels, grids, shared memory, and values by their types. */

import assert from "node:assert/strict";
import { recordedGpu, STREAM } from "../../tests/support/recorded_gpu.ts";
import {
  ADAMW_CONTROL,
  ADAMW_CONTROL_BYTES,
  AdamWKernels,
  adamWSource,
  NORM_ELEMENTS,
  NORM_PARTIALS,
} from "./adamw_kernels.ts";
import { AttentionKernels } from "./attention_kernels.ts";
import { ColumnSumsKernel } from "./column_sums.ts";
import { CrossEntropyKernel } from "./cross_entropy_kernels.ts";
import { DropoutKernel } from "./dropout_kernel.ts";
import { HeadsKernels } from "./heads_kernels.ts";
import { LORA_PARTS, LoraKernels, loraSource } from "./lora_kernels.ts";
import { RmsNormGradientKernel } from "./rms_norm_kernels.ts";
import { SwigluKernels } from "./swiglu_kernels.ts";

Deno.test("sums of columns: 32 columns a block", async () => {
  const { gpu, take } = recordedGpu();
  const kernel = await ColumnSumsKernel.load(gpu, "bfloat16");
  const pointers = { partials: 1n, to: 2n };
  for (const width of [1, 32, 33]) {
    kernel.launch(STREAM, pointers, { blocks: 7, width, pitch: 40, accumulate: true });
  }
  kernel.launch(STREAM, pointers, { blocks: 7, width: 5, accumulate: false });
  const name = "column_sums_bfloat16.columnSums ppiiii";
  assert.deepEqual(take(), [
    `${name} [1] x 256: 1 2 7 40 1 1`,
    `${name} [1] x 256: 1 2 7 40 32 1`,
    `${name} [2] x 256: 1 2 7 40 33 1`,
    `${name} [1] x 256: 1 2 7 5 5 0`,
  ]);
});

Deno.test("attention: tiles of 128 queries forwards, of 64 queries and keys backwards", async () => {
  const pointers = {
    ...{ q: 1n, k: 2n, v: 3n, starts: 4n, ends: 5n, mixed: 6n, sums: 7n },
    ...{ dMixed: 8n, dots: 9n, dQ: 10n, dK: 11n, dV: 12n },
  };
  const { gpu, take } = recordedGpu();
  for (const headDim of [64, 128] as const) {
    const kernels = await AttentionKernels.load(gpu, headDim);
    const row = 2 * (headDim + 8);
    const name = `attention_${headDim}.attention`;
    const scale = headDim ** -0.5;
    for (const [tokens, forward, backward] of [[128, 1, 2], [129, 2, 3]]) {
      kernels.forward(STREAM, pointers, { tokens, heads: 6, kvHeads: 2 });
      kernels.backward(STREAM, pointers, { tokens, heads: 6, kvHeads: 2 });
      const sizes = `${tokens} 6 3 ${scale}`;
      // Eight elements a thread.
      const dots = Math.ceil(tokens * 6 * headDim / 1024);
      const step = headDim === 64 ? 64 : 32;
      assert.deepEqual(take(), [
        // The queries, and a tile of 64 keys and one of values.
        `${name}Forward ppppppiiif [${forward},6] x 128 shared ${256 * row}: 1 2 3 4 6 7 ${sizes}`,
        `${name}Dots pppii [${dots}] x 128: 6 8 9 ${tokens} 6`,
        // Queries and their gradients, 64 keys and values.
        `${name}BackwardQueries ppppppppiiif [${backward},6] x 128 shared ${
          256 * row
        }: 1 2 3 8 4 7 9 10 ${sizes}`,
        `${name}BackwardKeys ppppppppppiiif [${backward},2] x 128 shared ${
          (128 + 4 * step) * row + 4 * 70 * step
        }: 1 2 3 8 4 5 7 9 11 12 ${sizes}`,
      ]);
    }
    kernels.forward(STREAM, pointers, { tokens: 1, heads: 2, kvHeads: 1, scale: 0.5 });
    assert.match(take()[0], / 1 2 2 0\.5$/);
    assert.throws(() => kernels.forward(STREAM, pointers, { tokens: 1, heads: 3, kvHeads: 2 }), {
      name: "RangeError",
      message: "Cannot attend with 3 heads over 2 key heads: key heads must divide heads",
    });
  }
});

Deno.test("LoRA: 16 tokens a block down, 32 up, 64 columns a block of a weight's gradient", async () => {
  assert.equal(LORA_PARTS, 8);
  assert.equal(loraSource(24).name, "lora_24");
  const { gpu, take } = recordedGpu();
  const kernels = await LoraKernels.load(gpu, 16);
  const dropout = { rows: 20n, columns: [21n, 22n], above: -5 };
  const down = { tokens: 33, width: 128, parts: 2, scale: 0.5 };
  const name = (kernel: string) => `lora_16.lora${kernel}`;
  kernels.down(STREAM, { x: 1n, a: [2n, 3n], hidden: 4n }, { ...down, dropout });
  kernels.down(STREAM, { x: 1n, a: [2n, 3n, 5n], hidden: 4n }, { ...down, parts: 3, tokens: 32 });
  assert.deepEqual(take(), [
    `${name("Down")} ppppppppipiif [3,2] x 256: 1 2 3 0 20 21 22 0 -5 4 33 128 0.5`,
    `${name("Down")} ppppppppipiif [2,3] x 256: 1 2 3 5 0 0 0 0 0 4 32 128 0.5`,
  ]);
  kernels.downInput(STREAM, { dHidden: 1n, a: [2n], dX: 3n }, { ...down, parts: 1, dropout });
  kernels.downInput(STREAM, { dHidden: 1n, a: [2n], past: 4n, dX: 3n }, {
    ...down,
    width: 320,
    tokens: 64,
  });
  assert.deepEqual(take(), [
    `${name("DownInput")} ppppppppippiiif [1,2] x 256: 1 2 0 0 20 21 22 0 -5 0 3 33 128 1 0.5`,
    `${name("DownInput")} ppppppppippiiif [2,2] x 256: 1 2 0 0 0 0 0 0 0 4 3 64 320 2 0.5`,
  ]);
  const gradients = { partials: 6n, to: [7n, 8n], accumulate: true };
  kernels.downWeight(STREAM, { x: 1n, dHidden: 2n, ...gradients }, { ...down, dropout });
  assert.deepEqual(take(), [
    `${name("DownWeight")} ppppppipiif [2,8,2] x 256: 2 1 20 21 22 0 -5 6 33 128 0.5`,
    // 16 ranks of 128 and 256 columns.
    `${name("Sums")} ppppiiiii [16] x 256: 6 7 8 0 2048 4096 4096 8 1`,
  ]);
  const up = { tokens: 33, widths: [64, 192] };
  kernels.up(STREAM, { hidden: 1n, b: [2n, 3n], y: 4n }, up);
  kernels.up(STREAM, { hidden: 1n, b: [2n], past: 5n, y: 4n }, { tokens: 32, widths: [320] });
  kernels.upHidden(STREAM, { dy: 1n, b: [2n, 3n, 4n], dHidden: 5n }, {
    tokens: 17,
    widths: [64, 128, 256],
  });
  assert.deepEqual(take(), [
    `${name("Up")} ppppppiiiii [1,2] x 256: 1 2 3 0 0 4 33 64 256 256 2`,
    `${name("Up")} ppppppiiiii [2,1] x 256: 1 2 0 0 5 4 32 320 320 320 1`,
    `${name("UpHidden")} pppppiiii [2,3] x 256: 1 2 3 4 5 17 64 192 448`,
  ]);
  kernels.upWeight(STREAM, { hidden: 1n, dy: 2n, ...gradients, accumulate: false }, up);
  assert.deepEqual(take(), [
    `${name("UpWeight")} pppiiiii [4,8] x 256: 1 2 6 33 64 256 256 2`,
    `${name("Sums")} ppppiiiii [16] x 256: 6 7 8 0 1024 4096 4096 8 0`,
  ]);
  for (const widths of [[64, 65], [0], [-64], [32]]) {
    assert.throws(() => kernels.up(STREAM, { hidden: 1n, b: [], y: 2n }, { tokens: 1, widths }), {
      name: "RangeError",
      message: `Cannot adapt layers of widths ${widths.join(", ")}: they must be multiples of 64`,
    });
  }
  for (const rank of [0, -8, 7, 12, 72]) {
    await assert.rejects(LoraKernels.load(gpu, rank), {
      name: "RangeError",
      message: `Cannot load kernels for LoRA of rank ${rank}: it must be a multiple of 8 up to 64`,
    });
  }
  for (const rank of [8, 64]) await LoraKernels.load(gpu, rank);
});

Deno.test("AdamW: 2048 elements a block, one block that decides", async () => {
  assert.deepEqual([NORM_PARTIALS, NORM_ELEMENTS, ADAMW_CONTROL_BYTES], [1024, 2048, 64]);
  // Words of 4 bytes, in the order that kernels have them in.
  assert.deepEqual(Object.values(ADAMW_CONTROL), [0, 1, 2, 3, 4, 5, 6, 7]);
  const constants = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.1 };
  const { gpu, take } = recordedGpu();
  const pointers = { parameters: 1n, gradients: 2n, m: 3n, v: 4n, control: 5n };
  const load = (
    parameters: "float32" | "bfloat16" | "master",
    moments: "float32" | "bfloat16" | "int8",
    gradients: "float32" | "bfloat16" = "float32",
    rounding: "nearest" | "stochastic" = "nearest",
  ) => AdamWKernels.load(gpu, { parameters, gradients, moments, rounding }, constants);
  const plain = await load("float32", "bfloat16");
  plain.sumOfSquares(STREAM, { gradients: 1n, partials: 2n }, 24);
  plain.sumOfSquares(STREAM, { gradients: 1n, partials: 2n }, 0, 3);
  plain.decide(STREAM, { partials: 1n, control: 2n }, 9);
  plain.decide(STREAM, { partials: 1n, control: 2n, loss: 3n, result: 4n }, 9);
  plain.update(STREAM, pointers, { count: 2048, decaying: 16 });
  plain.update(STREAM, pointers, { count: 2056, decaying: 0, first: 77 });
  const betas = `0.9 ${1 - 0.9} 0.999 ${1 - 0.999}`;
  const name = "adamw_001n.";
  assert.deepEqual(take(), [
    `${name}sumOfSquares ppl [1024] x 256: 1 2 24`,
    `${name}sumOfSquares ppl [3] x 256: 1 2 0`,
    `${name}decide ppppidddd [1] x 256: 1 0 2 0 9 0.9 0.999 1e-8 0.1`,
    `${name}decide ppppidddd [1] x 256: 1 3 2 4 9 0.9 0.999 1e-8 0.1`,
    `${name}update pppppppplllffff [1] x 256: 1 0 2 3 4 0 0 5 2048 16 0 ${betas}`,
    `${name}update pppppppplllffff [2] x 256: 1 0 2 3 4 0 0 5 2056 0 77 ${betas}`,
  ]);
  const full = await load("master", "int8", "bfloat16", "stochastic");
  const more = { master: 6n, mScales: 7n, vScales: 8n };
  full.update(STREAM, { ...pointers, ...more }, { count: 256, decaying: 8 });
  assert.deepEqual(take(), [
    `adamw_212s.update pppppppplllffff [1] x 256: 1 6 2 3 4 7 8 5 256 8 0 ${betas}`,
  ]);
  // What the format needs none of is not handed over.
  plain.update(STREAM, { ...pointers, ...more }, { count: 8, decaying: 8 });
  assert.match(take()[0], /: 1 0 2 3 4 0 0 5 8 8 0 /);
  for (const missing of ["master", "mScales", "vScales"] as const) {
    const given = { ...pointers, ...more, [missing]: undefined };
    assert.throws(() => full.update(STREAM, given, { count: 256, decaying: 8 }), {
      name: "RangeError",
      message: `Cannot update parameters: master parameters with int8 moments need ${missing}`,
    });
  }
  for (
    const [act, message] of [
      [
        () => plain.sumOfSquares(STREAM, { gradients: 1n, partials: 2n }, 12),
        "sum squares: 12 elements are no multiple of 8",
      ],
      [
        () => plain.update(STREAM, pointers, { count: 12, decaying: 8 }),
        "update parameters: 12 elements are no multiple of 8",
      ],
      [
        () => full.update(STREAM, pointers, { count: 264, decaying: 8 }),
        "update parameters: 264 elements are no multiple of 256",
      ],
      [
        () => plain.update(STREAM, pointers, { count: 8, decaying: 4 }),
        "decay parameters: 4 elements are no multiple of 8",
      ],
      [
        () => plain.update(STREAM, pointers, { count: -8, decaying: 8 }),
        "update parameters: -8 elements are no multiple of 8",
      ],
    ] as const
  ) assert.throws(act, { name: "RangeError", message: `Cannot ${message}. Pad them` });
  const code = (parameters: "float32" | "master", rounding: "nearest" | "stochastic") =>
    adamWSource({ parameters, gradients: "float32", moments: "int8", rounding }).code;
  assert.match(
    code("master", "nearest"),
    /typedef bf16 Parameter;\ntypedef float Gradient;\ntypedef u8 Moment;\nconstexpr bool MASTER = true;\nconstexpr bool STOCHASTIC = false;/,
  );
  assert.match(
    code("float32", "stochastic"),
    /typedef float Parameter;[\s\S]*MASTER = false;\nconstexpr bool STOCHASTIC = true;/,
  );
});

Deno.test("heads: a block a token, and few where sums of the norms' gradients are kept", async () => {
  const { gpu, take } = recordedGpu();
  const tables = { positions: 4n, cos: 5n, sin: 6n };
  const norms = { qWeight: 7n, kWeight: 8n, invStd: 9n };
  const sizes = { tokens: 300, heads: 4, kvHeads: 2 };
  const kernels = await HeadsKernels.load(gpu, 128, "bfloat16");
  const forward = "heads_128_bfloat16.headsForward ppppppppppppiillf";
  kernels.forward(STREAM, {
    from: { q: 1n, k: 2n },
    to: { q: 10n, k: 11n },
    tables,
    norms: { ...norms, epsilon: 1e-6 },
  }, sizes);
  kernels.forward(
    STREAM,
    { from: { q: 1000n }, to: { q: 10n, k: 11n, v: 12n }, tables },
    { ...sizes, stacked: true },
  );
  assert.deepEqual(take(), [
    `${forward} [300] x 256: 1 2 0 4 5 6 7 8 10 11 0 9 4 2 512 256 0.000001`,
    // Queries of 512 numbers, keys and values of 256 each, two bytes a number.
    `${forward} [300] x 256: 1000 2024 2536 4 5 6 0 0 10 11 12 0 4 2 1024 1024 0`,
  ]);
  const backward = "heads_128_bfloat16.headsBackward pppppppppppppppiiill";
  const gradients = { q: 20n, k: 21n, v: 22n };
  kernels.backward(
    STREAM,
    { from: { q: 1n, k: 2n }, gradients: { q: 20n, k: 21n }, to: { q: 30n, k: 31n }, tables },
    sizes,
  );
  const weightGradients = { partials: 4000n, qWeight: 41n, kWeight: 42n, accumulate: true };
  for (const tokens of [300, 200]) {
    kernels.backward(STREAM, {
      from: { q: 1000n },
      gradients,
      to: { q: 3000n },
      tables,
      norms,
      weightGradients,
    }, { ...sizes, tokens, stacked: true });
  }
  const values = "1000 2024 4 5 6 7 8 9 20 21 22 3000 4024 4536 4000";
  const sums = "column_sums_bfloat16.columnSums ppiiii [4] x 256:";
  assert.deepEqual(take(), [
    `${backward} [300] x 256: 1 2 4 5 6 0 0 0 20 21 0 30 31 0 0 300 4 2 512 256`,
    // 32 groups of 8 lanes, 256 floats each.
    `${backward} [256] x 256 shared 32768: ${values} 300 4 2 1024 1024`,
    `${sums} 4000 41 256 256 128 1`,
    `${sums} 4512 42 256 256 128 1`,
    `${backward} [200] x 256 shared 32768: ${values} 200 4 2 1024 1024`,
    `${sums} 4000 41 200 256 128 1`,
    `${sums} 4512 42 200 256 128 1`,
  ]);
  const floats = await HeadsKernels.load(gpu, 64, "float32");
  floats.backward(STREAM, {
    from: { q: 1000n },
    gradients,
    to: { q: 3000n },
    tables,
    norms,
    weightGradients: { ...weightGradients, accumulate: false },
  }, { ...sizes, tokens: 1, stacked: true });
  assert.deepEqual(take(), [
    "heads_64_float32.headsBackward pppppppppppppppiiill [1] x 256 shared 32768: " +
    "1000 2024 4 5 6 7 8 9 20 21 22 3000 4024 4536 4000 1 4 2 512 512",
    "column_sums_float32.columnSums ppiiii [2] x 256: 4000 41 1 128 64 0",
    "column_sums_float32.columnSums ppiiii [2] x 256: 4256 42 1 128 64 0",
  ]);
});

Deno.test("RMSNorm backwards: lanes by the width, and warps that share what memory a block has", async () => {
  const { gpu, take } = recordedGpu();
  const kernel = await RmsNormGradientKernel.load(gpu, {
    elements: "bfloat16",
    weights: "float32",
    weightGradients: "float32",
  });
  const pointers = { x: 1n, dy: 2n, weight: 3n, invStd: 4n, dx: 5n };
  const name = "rms_norm_bf.rmsNormBackward ppppppplilu".replace("lilu", "liu");
  for (
    const [rows, width, lanes, blocks] of [
      [5, 8, 1, 1],
      [257, 16, 2, 3],
      [64, 64, 8, 2],
      [65, 248, 16, 5],
      [9, 256, 32, 2],
      [4000, 1024, 32, 256],
    ]
  ) {
    kernel.launch(STREAM, pointers, { rows, width });
    assert.deepEqual(take(), [
      `${name} [${blocks}] x 256: 1 2 3 4 0 5 0 ${rows} ${width} ${lanes}`,
    ]);
  }
  const weightGradient = { partials: 6n, dWeight: 7n };
  for (
    const [width, block, shared, blocks] of [
      // Padded to whole groups of 8 columns a lane; a group a row.
      [8, 256, 4 * 8 * 256, 1],
      [264, 256, 4 * 512 * 8, 13],
      [1024, 256, 4 * 1024 * 8, 13],
      [3072, 256, 4 * 3072 * 8, 13],
      [3328, 128, 4 * 3328 * 4, 25],
      [24_576, 32, 4 * 24_576, 100],
    ]
  ) {
    kernel.launch(STREAM, { ...pointers, past: 8n, weightGradient }, {
      rows: 100,
      width,
      accumulate: true,
    });
    const [first, second] = take();
    const lanes = Math.min(32, width / 8);
    assert.equal(
      first,
      `${name} [${blocks}] x ${block} shared ${shared}: 1 2 3 4 8 5 6 100 ${width} ${lanes}`,
    );
    assert.equal(
      second,
      `column_sums_float32.columnSums ppiiii [${
        Math.ceil(width / 32)
      }] x 256: 6 7 ${blocks} ${width} ${width} 1`,
    );
  }
  kernel.launch(STREAM, { ...pointers, weightGradient }, { rows: 1, width: 8 });
  assert.match(take()[1], / 0$/);
  assert.throws(
    () => kernel.launch(STREAM, { ...pointers, weightGradient }, { rows: 1, width: 24_832 }),
    {
      name: "RangeError",
      message: "Cannot take RMSNorm's gradient: rows of 24832 exceed 24576",
    },
  );
  kernel.launch(STREAM, pointers, { rows: 1, width: 24_832 });
  for (const width of [0, -8, 12]) {
    assert.throws(() => kernel.launch(STREAM, pointers, { rows: 1, width }), {
      message: `Cannot norm rows of ${width}: the width must be a multiple of 8`,
    });
  }
});

Deno.test("cross-entropy, SwiGLU and dropout: a block a row", async () => {
  const { gpu, take } = recordedGpu();
  const entropy = await CrossEntropyKernel.load(gpu, "bfloat16");
  const pointers = { logits: 16n, targets: 2n, factor: 3n, losses: 4n };
  entropy.launch(STREAM, pointers, { rows: 5, vocabulary: 100, targets: "int64" });
  entropy.launch(STREAM, pointers, {
    ...{ rows: 6, vocabulary: 100, stride: 104, targets: "int32" as const, gradient: false },
  });
  const name = "cross_entropy_bfloat16.crossEntropy ppppilii";
  assert.deepEqual(take(), [
    `${name} [5] x 1024: 16 2 3 4 100 100 1 1`,
    `${name} [6] x 1024: 16 2 3 4 100 104 0 0`,
  ]);
  for (const [stride, logits] of [[99, 16n], [100, 24n]] as const) {
    assert.throws(
      () =>
        entropy.launch(STREAM, { ...pointers, logits }, {
          ...{ rows: 1, vocabulary: 100, stride, targets: "int32" as const },
        }),
      {
        name: "RangeError",
        message:
          `Cannot take the cross-entropy of rows ${stride} apart at ${logits}: rows hold 100 logits, and the ` +
          "first must be aligned to 16 bytes",
      },
    );
  }
  const swiglu = await SwigluKernels.load(gpu, "float32");
  const gates = { gate: 1n, up: 2n, product: 3n, dProduct: 4n, dGate: 5n, dUp: 6n };
  swiglu.forward(STREAM, gates, { rows: 7, width: 16 });
  swiglu.forward(STREAM, gates, { rows: 7, width: 16, stride: 32 });
  swiglu.backward(STREAM, gates, { rows: 7, width: 16 });
  swiglu.backward(STREAM, gates, { rows: 7, width: 16, stride: 32 });
  assert.deepEqual(take(), [
    "swiglu_float32.swigluForward pppil [7] x 256: 1 2 3 16 16",
    "swiglu_float32.swigluForward pppil [7] x 256: 1 2 3 16 32",
    "swiglu_float32.swigluBackward pppppil [7] x 256: 1 2 4 5 6 16 16",
    "swiglu_float32.swigluBackward pppppil [7] x 256: 1 2 4 5 6 16 32",
  ]);
  for (const [width, stride] of [[12, 16], [16, 20], [0, 8], [8, -8]]) {
    for (const run of ["forward", "backward"] as const) {
      assert.throws(() => swiglu[run](STREAM, gates, { rows: 1, width, stride }), {
        name: "RangeError",
        message: `Cannot gate rows of ${width}, ${stride}: sizes must be multiples of 8`,
      });
    }
  }
  const dropout = await DropoutKernel.load(gpu, "bfloat16");
  const drops = { x: 1n, rows: 2n, columns: 3n, y: 4n };
  dropout.launch(STREAM, drops, { rows: 7, width: 8, above: -9 });
  assert.deepEqual(take(), ["dropout_bfloat16.hashedDropout ppppii [7] x 256: 1 2 3 4 8 -9"]);
  for (const width of [0, -8, 12]) {
    assert.throws(() => dropout.launch(STREAM, drops, { rows: 1, width, above: 0 }), {
      name: "RangeError",
      message: `Cannot drop out of rows of ${width}: the width must be a multiple of 8`,
    });
  }
});
