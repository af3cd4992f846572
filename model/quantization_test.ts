import assert from "node:assert/strict";
import {
  BASE_BLOCK_SIZES,
  BASE_COMPUTES,
  blocksOf,
  numbersFormat,
  productBytes,
  type Quantization,
  scalesName,
  storedMatrices,
} from "./quantization.ts";
import { parameter } from "./parts/parameter_spec.ts";

const EMBEDDING = "model.embed_tokens.weight";
const SPECS = [
  parameter(EMBEDDING, [10, 40]),
  parameter("q.weight", [6, 40]),
  parameter("norm.weight", [40]),
];
const UNTIED = [...SPECS, parameter("lm_head.weight", [10, 40])];

function stored(quantization: Quantization, specs = SPECS): Readonly<Record<string, unknown>> {
  return Object.fromEntries(storedMatrices(specs, quantization));
}

Deno.test("blocks are whole, of sizes and products that there are", () => {
  assert.deepEqual([1, 31, 32, 33, 64].map((width) => blocksOf(width, 32)), [1, 1, 1, 2, 2]);
  assert.deepEqual(BASE_BLOCK_SIZES, [32, 64, 128]);
  assert.deepEqual(BASE_COMPUTES, ["int8", "fp32"]);
  assert.equal(scalesName("q.weight"), "q.weight.scales");
});

Deno.test("numbers of 8 bits stand alone, those of 4 bits two to a byte", () => {
  assert.deepEqual(numbersFormat(8, 7), { dtype: "int8", columns: 7 });
  assert.deepEqual(numbersFormat(4, 6), { dtype: "uint8", columns: 3 });
  assert.throws(() => numbersFormat(4, 7), {
    name: "RangeError",
    message:
      "Cannot keep a matrix of 7 columns in 4 bits: two share a byte; take --base-dtype int8",
  });
});

Deno.test("matrices that are dequantized are tensors of numbers and scales, the embedding's of 8 bits", () => {
  const table = {
    bits: 8,
    tensors: [
      { name: EMBEDDING, shape: [10, 40], dtype: "int8" },
      { name: `${EMBEDDING}.scales`, shape: [10, 2], dtype: "float32" },
    ],
    products: [],
  };
  const scales = { name: "q.weight.scales", shape: [6, 2], dtype: "float32" };
  assert.deepEqual(stored({ bits: 4, block: 32, compute: "fp32" }), {
    [EMBEDDING]: table,
    "q.weight": {
      bits: 4,
      tensors: [{ name: "q.weight", shape: [6, 20], dtype: "uint8" }, scales],
      products: [],
    },
  });
  assert.deepEqual(stored({ bits: 8, block: 32, compute: "fp32", layout: "rows" }), {
    [EMBEDDING]: table,
    "q.weight": {
      bits: 8,
      tensors: [{ name: "q.weight", shape: [6, 40], dtype: "int8" }, scales],
      products: [],
    },
  });
});

Deno.test("in blocks matrices lie as a device's kernels read them, with scales of the model's type", () => {
  assert.deepEqual(stored({ bits: 4, block: 32, compute: "fp32", layout: "blocks" }, UNTIED), {
    [EMBEDDING]: {
      bits: 8,
      tensors: [
        { name: EMBEDDING, shape: [10, 2, 32], dtype: "uint8" },
        { name: `${EMBEDDING}.scales`, shape: [10, 2] },
      ],
      products: [],
    },
    "q.weight": {
      bits: 4,
      tensors: [
        { name: "q.weight", shape: [6, 2, 16], dtype: "uint8" },
        { name: "q.weight.scales", shape: [6, 2] },
      ],
      products: [],
    },
    "lm_head.weight": {
      bits: 4,
      tensors: [
        { name: "lm_head.weight", shape: [10, 2, 16], dtype: "uint8" },
        { name: "lm_head.weight.scales", shape: [10, 2] },
      ],
      products: [],
    },
  });
});

Deno.test("products of whole numbers take copies of linear layers, and of a tied head one", () => {
  const both = { tensors: [], products: ["forward", "backward"] };
  const table = (products: readonly string[]) => ({
    bits: 8,
    tensors: [
      { name: EMBEDDING, shape: [10, 40], dtype: "int8" },
      { name: `${EMBEDDING}.scales`, shape: [10, 1], dtype: "float32" },
    ],
    products,
  });
  const how: Quantization = { bits: 4, block: 64, compute: "int8" };
  assert.deepEqual(stored(how), {
    [EMBEDDING]: table(["forward"]),
    "q.weight": { bits: 4, ...both },
  });
  assert.deepEqual(stored(how, UNTIED), {
    [EMBEDDING]: table([]),
    "q.weight": { bits: 4, ...both },
    "lm_head.weight": { bits: 4, ...both },
  });
  // Packed copies are in bytes of their own: an odd width is no matter there.
  assert.deepEqual(stored({ ...how, bits: 8 }, [parameter("q.weight", [6, 40])]), {
    "q.weight": { bits: 8, ...both },
  });
});

Deno.test("productBytes() counts numbers, scales and sums of each copy's blocks", () => {
  // Of [6, 40] in blocks of 32: 6 · 2 blocks forwards, and 40 · 1 backwards.
  const bytes = (bits: 4 | 8, ...products: ("forward" | "backward")[]) =>
    productBytes({ bits, products }, [6, 40], 32);
  assert.equal(bytes(8), 0);
  assert.equal(bytes(8, "forward"), 12 * (32 + 8));
  assert.equal(bytes(4, "forward"), 12 * (16 + 8));
  assert.equal(bytes(4, "backward"), 40 * (16 + 8));
  assert.equal(bytes(8, "forward", "backward"), 52 * (32 + 8));
});
