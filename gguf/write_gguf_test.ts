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

Deno.test("a file is written byte by byte as the format says", async () => {
  await using folder = await tempFolder();
  const path = `${folder.path}/a.gguf`;
  const hex = (bytes: ArrayBufferView<ArrayBuffer>) => new Uint8Array(bytes.buffer).toHex();
  const u32 = (value: number) => hex(Uint32Array.of(value));
  const u64 = (value: number) => hex(BigUint64Array.of(BigInt(value)));
  const text = (value: string) => {
    const bytes = new TextEncoder().encode(value);
    return u64(bytes.length) + bytes.toHex();
  };
  const written: (readonly [number, number])[] = [];
  const asked: (readonly [number, number])[] = [];
  const numbers = Float32Array.of(1, 2, 3, 4, 5, 6);
  const source = tensor("a", [2, 3], numbers);
  const rows: GgufTensorToWrite["rows"] = (first, rows) => {
    asked.push([first, rows]);
    return source.rows(first, rows);
  };
  await writeGguf(path, {
    metadata: new Map<string, GgufValue>([
      ["k", { type: "string", value: "é" }],
      ["general.alignment", { type: "uint32", value: 64 }],
      ["b", { type: "bool", value: true }],
      ["l", { type: "array", of: "uint16", values: [1, 515] }],
    ]),
    tensors: [{ ...source, rows }, { ...tensor("c", [2], numbers.subarray(0, 2)), type: "bf16" }],
    onBytes: (done, total) => void written.push([done, total]),
  });
  const header = [
    ...["47475546", u32(3), u64(2), u64(3)],
    ...[text("k"), u32(8), text("é")],
    ...[text("b"), u32(7), "01"],
    ...[text("l"), u32(9), u32(2), u64(2), "01000302"],
    ...[text("a"), u32(2), u64(3), u64(2), u32(0), u64(0)],
    ...[text("c"), u32(1), u64(2), u32(30), u64(32)],
  ].join("");
  const pad = (text: string) => text.padEnd(Math.ceil(text.length / 64) * 64, "0");
  const data = pad(hex(numbers)) + pad("803f0040");
  assert.equal((await Deno.readFile(path)).toHex(), pad(header) + data);
  assert.deepEqual(asked, [[0, 2]]);
  const [first, start] = [header.length / 2, pad(header).length / 2];
  const total = start + 64;
  assert.deepEqual(
    written,
    [first, start, start + 24, start + 32, start + 36, start + 64].map((each) => [each, total]),
  );
});

Deno.test("rows are asked for by a million numbers at a time, none more than there are", async () => {
  await using folder = await tempFolder();
  const asked: (readonly [number, number])[] = [];
  const write = async (shape: readonly number[]) => {
    asked.length = 0;
    const columns = shape.at(-1)!;
    await writeGguf(`${folder.path}/a.gguf`, {
      metadata: new Map(),
      tensors: [{
        name: "a",
        shape,
        type: "f16",
        rows: (first, rows) => {
          asked.push([first, rows]);
          return Promise.resolve(new Float32Array(rows * columns));
        },
      }],
    });
    return [...asked];
  };
  const half = 1 << 19;
  assert.deepEqual(await write([5, half]), [[0, 2], [2, 2], [4, 1]]);
  assert.deepEqual(await write([2, 2, half]), [[0, 2], [2, 2]]);
  assert.deepEqual(await write([2, (1 << 20) + 1]), [[0, 1], [1, 1]]);
  assert.deepEqual(await write([7]), [[0, 1]]);
});

Deno.test("texts and lists beyond the reader's memory come back", async () => {
  await using folder = await tempFolder();
  const path = `${folder.path}/a.gguf`;
  const values = Array.from({ length: 40_000 }, (_, i) => `token ${i} ${"x".repeat(i % 60)}`);
  const metadata = new Map<string, GgufValue>([
    ["tokens", { type: "array", of: "string", values }],
    ["long", { type: "string", value: "y".repeat(1_500_000) }],
    ["scores", {
      type: "array",
      of: "float32",
      values: Float32Array.from({ length: 500_000 }, (_, i) => i),
    }],
    ["last", { type: "uint8", value: 7 }],
  ]);
  await writeGguf(path, { metadata, tensors: [tensor("a", [1], Float32Array.of(5))] });
  await using file = await openGguf(path);
  assert.deepEqual([...file.metadata], [...metadata]);
  assert.deepEqual([...await file.readRows("a", 0, 1)], [5]);
});

Deno.test("names of 1 to 63 bytes, one to four sizes and a stopped writing", async () => {
  await using folder = await tempFolder();
  const path = `${folder.path}/a.gguf`;
  const numbers = new Float32Array(1);
  const write = (name: string, shape: readonly number[], more = {}) =>
    writeGguf(path, { metadata: new Map(), tensors: [tensor(name, shape, numbers)], ...more });
  await write("x".repeat(63), [1, 1, 1, 1]);
  await write("x", [1]);
  const refused = (message: string, ...args: Parameters<typeof write>) =>
    assert.rejects(write(...args), {
      name: "RangeError",
      message: `Cannot write ${JSON.stringify(path)}: it has a tensor ${message}`,
    });
  await refused('"" of 0 bytes; llama.cpp takes 1 to 63', "", [1]);
  const long = `${"é".repeat(31)}xx`;
  await refused(`"${long}" of 64 bytes; llama.cpp takes 1 to 63`, long, [1]);
  await refused('"x" with 0 dimensions; ggml has 1 to 4', "x", []);
  await refused('"x" of shape [1, 0.5]; sizes are whole and from 1 on', "x", [1, 0.5]);
  const signal = AbortSignal.abort(new Error("stopped"));
  await assert.rejects(write("x", [1], { signal }), /^Error: stopped$/);
});

Deno.test("readRows() takes rows inside of the tensor", async () => {
  await using folder = await tempFolder();
  const path = `${folder.path}/a.gguf`;
  const numbers = Float32Array.of(1, 2, 3, 4, 5, 6);
  await writeGguf(path, { metadata: new Map(), tensors: [tensor("a", [3, 2], numbers)] });
  await using file = await openGguf(path);
  assert.deepEqual(await file.readRows("a", 2, 1), numbers.slice(4));
  assert.deepEqual(await file.readRows("a", 3, 0), new Float32Array());
  for (const [first, rows] of [[2, 2], [4, 0], [-1, 1], [0.5, 1], [0, -1], [0, NaN]]) {
    await assert.rejects(file.readRows("a", first, rows), {
      name: "RangeError",
      message: `Cannot read ${rows} rows of "a" from row ${first} on: it has 3`,
    });
  }
});
