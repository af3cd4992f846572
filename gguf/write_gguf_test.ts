import assert from "node:assert/strict";
import { tempFolder } from "../tests/support/temp_folder.ts";
import type { GgufValue } from "./gguf_value.ts";
import { openGguf } from "./read_gguf.ts";
import { type GgufTensorToWrite, writeGguf } from "./write_gguf.ts";

const METADATA: ReadonlyMap<string, GgufValue> = new Map<string, GgufValue>([
  ["general.architecture", { type: "string", value: "llama" }],
  ["b.uint8", { type: "uint8", value: 200 }],
  ["b.int8", { type: "int8", value: -100 }],
  ["b.uint16", { type: "uint16", value: 60_000 }],
  ["b.int16", { type: "int16", value: -30_000 }],
  ["b.uint32", { type: "uint32", value: 4e9 }],
  ["b.int32", { type: "int32", value: -2e9 }],
  ["b.float32", { type: "float32", value: Math.fround(1e-6) }],
  ["b.float64", { type: "float64", value: 0.1 }],
  ["b.uint64", { type: "uint64", value: 2n ** 64n - 1n }],
  ["b.int64", { type: "int64", value: -(2n ** 63n) }],
  ["b.bool", { type: "bool", value: true }],
  ["a.texts", { type: "array", of: "string", values: ["", "发烧", "\u0000a"] }],
  ["a.bools", { type: "array", of: "bool", values: [true, false] }],
  ["a.floats", { type: "array", of: "float32", values: Float32Array.of(-1.5, 0) }],
  ["a.bigs", { type: "array", of: "int64", values: BigInt64Array.of(-1n, 5n) }],
  ["a.none", { type: "array", of: "int32", values: new Int32Array() }],
]);

function tensor(name: string, shape: readonly number[], values: Float32Array): GgufTensorToWrite {
  const columns = shape.at(-1)!;
  return {
    name,
    shape,
    type: "f32",
    rows: (first, rows) =>
      Promise.resolve(values.subarray(first * columns, (first + rows) * columns)),
  };
}

Deno.test("metadata and tensors come back as they were written, in their order", async () => {
  await using folder = await tempFolder();
  const path = `${folder.path}/a.gguf`;
  const numbers = Float32Array.from({ length: 24 }, (_, i) => i / 8);
  const tensors = [
    tensor("output_norm.weight", [3], numbers.subarray(0, 3)),
    { ...tensor("a.weight", [3, 2, 4], numbers), type: "f16" as const },
    { ...tensor("b.weight", [6, 4], numbers), type: "bf16" as const },
  ];
  const written: number[] = [];
  const { bytes } = await writeGguf(path, {
    metadata: METADATA,
    tensors,
    onBytes: (done, total) => written.push(done / total),
  });
  assert.equal(bytes % 32, 0);
  assert.equal(written.at(-1), 1);
  await using file = await openGguf(path);
  assert.equal(file.version, 3);
  assert.deepEqual([...file.metadata], [...METADATA]);
  assert.deepEqual([...file.tensors.keys()], tensors.map(({ name }) => name));
  assert.deepEqual(file.tensor("a.weight").shape, [3, 2, 4]);
  assert.deepEqual(await file.readRows("a.weight", 2, 3), numbers.subarray(8, 20));
  assert.deepEqual(await file.readRows("b.weight", 0, 6), numbers);
  assert.throws(() => file.tensor("c.weight"), /Cannot find tensor "c\.weight": .*a\.gguf/);
  await assert.rejects(file.readRows("b.weight", 5, 2), /Cannot read 2 rows .* it has 6/);
});

Deno.test("what the format cannot hold is refused, and no file remains", async () => {
  await using folder = await tempFolder();
  const numbers = new Float32Array(8).fill(1);
  const one = tensor("a", [2, 4], numbers);
  const bad: readonly [tensors: readonly GgufTensorToWrite[], message: RegExp][] = [
    [[one, one], /"a" which is listed twice/],
    [[{ ...one, name: "x".repeat(64) }], /of 64 bytes; llama\.cpp takes 1 to 63/],
    [[{ ...one, shape: [1, 1, 1, 2, 4] }], /with 5 dimensions; ggml has 1 to 4/],
    [[{ ...one, shape: [0, 4] }], /of shape \[0, 4\]; sizes are whole and from 1 on/],
    [[{ ...one, type: "q4_k" }], /rows of 4 numbers are no whole blocks of 256/],
    [[{ ...one, shape: [4, 4] }], /its rows 0 to 4 have 8 numbers, expected 16/],
    [
      [tensor("a", [1], Float32Array.of(NaN))],
      /number 0 is NaN, which f32 cannot hold; the weights/,
    ],
    [[{ ...tensor("a", [1], Float32Array.of(65520)), type: "f16" }], /65520, .* write bf16 or f32/],
  ];
  for (const [tensors, message] of bad) {
    const writing = writeGguf(`${folder.path}/a.gguf`, { metadata: new Map(), tensors });
    await assert.rejects(writing, message);
  }
  const metadata = new Map([["k", { type: "string", value: "\ud800" } as const]]);
  await assert.rejects(writeGguf(`${folder.path}/a.gguf`, { metadata, tensors: [] }), /no UTF-8/);
  assert.deepEqual(await Array.fromAsync(Deno.readDir(folder.path)), []);
});
