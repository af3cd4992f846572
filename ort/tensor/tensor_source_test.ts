import assert from "node:assert/strict";
import type { DType } from "./dtype.ts";
import {
  readAll,
  readFloat32,
  tensorBytes,
  type TensorData,
  tensorSourceFromMap,
} from "./tensor_source.ts";

const one = (dtype: DType, data: ArrayBufferView<ArrayBuffer>, count: number) =>
  tensorSourceFromMap(
    new Map<string, TensorData>([["a", {
      dtype,
      shape: [count],
      data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
    }]]),
  );

Deno.test("tensorSourceFromMap() gives names in order, infos and parts of the bytes", async () => {
  const data = Uint8Array.of(1, 2, 3, 4);
  const source = tensorSourceFromMap(
    new Map<string, TensorData>([
      ["b", { dtype: "uint8", shape: [2, 2], data }],
      ["a", { dtype: "float32", shape: [], data }],
    ]),
  );
  assert.deepEqual(source.names(), ["b", "a"]);
  assert.deepEqual(source.info("b"), { dtype: "uint8", shape: [2, 2] });
  assert.deepEqual(await readAll(source, "b"), data);
  const part = new Uint8Array(2);
  await source.read("b", part, 1);
  assert.deepEqual(part, Uint8Array.of(2, 3));
});

Deno.test("read() rejects bytes outside the tensor", async () => {
  const source = one("uint8", new Uint8Array(4), 4);
  for (const [length, offset] of [[5, 0], [1, 4], [1, -1], [1, 0.5], [1, NaN]]) {
    await assert.rejects(source.read("a", new Uint8Array(length), offset), {
      name: "RangeError",
      message: /^Cannot read \d bytes of tensor "a" from byte .* on: it has 4 bytes\. Ask/,
    });
  }
  await source.read("a", new Uint8Array(0), 4);
});

Deno.test("an absent name is answered with near names", async () => {
  const names = ["model.norm.weight", "model.layers.0.mlp.up_proj.weight", "lm_head.weight"];
  const data = new Uint8Array(0);
  const source = tensorSourceFromMap(
    new Map(names.map((name) => [name, { dtype: "uint8", shape: [0], data }])),
  );
  assert.throws(() => source.info("model.layers.0.mlp.upproj.weight"), {
    name: "RangeError",
    message:
      'Cannot find tensor "model.layers.0.mlp.upproj.weight": the map does not hold it. Did you ' +
      'mean "model.layers.0.mlp.up_proj.weight"?',
  });
  assert.throws(() => source.info("x"), /does not hold it\. It holds "model\.norm\.weight", /);
  await assert.rejects(
    readAll(source, "y".repeat(1e6)),
    (error: Error) => error.message.length < 400,
  );
  assert.throws(() => tensorSourceFromMap(new Map()).info("x"), /It holds no tensors/);
});

Deno.test("tensorSourceFromMap() refuses data of the wrong size", () => {
  assert.throws(() => one("float32", new Uint8Array(7), 2), {
    name: "RangeError",
    message: 'Cannot make a source: tensor "a" holds 7 bytes, but float32 [2] takes 8. Correct ' +
      "shape or data",
  });
});

Deno.test("tensorBytes() refuses more than 2^53 bytes", () => {
  assert.equal(tensorBytes({ dtype: "float64", shape: [3] }), 24);
  assert.throws(
    () => tensorBytes({ dtype: "float64", shape: [2 ** 51] }),
    /exceeds 2\^53 − 1 bytes/,
  );
});

Deno.test("readFloat32() converts every float dtype", async () => {
  const cases: [DType, ArrayBufferView<ArrayBuffer>][] = [
    ["float32", Float32Array.of(1, -2, 0.5)],
    ["float64", Float64Array.of(1, -2, 0.5)],
    ["bfloat16", Uint16Array.of(0x3f80, 0xc000, 0x3f00)],
    ["float16", Uint16Array.of(0x3c00, 0xc000, 0x3800)],
  ];
  for (const [dtype, data] of cases) {
    assert.deepEqual([...await readFloat32(one(dtype, data, 3), "a")], [1, -2, 0.5]);
  }
  await assert.rejects(readFloat32(one("int32", Int32Array.of(1), 1), "a"), {
    name: "RangeError",
    message: 'Cannot read tensor "a" as float32: its dtype is int32. Read its bytes with readAll',
  });
});

Deno.test("readFloat32() joins the chunks of a large tensor", async () => {
  const count = (1 << 20) + 3;
  const data = Uint16Array.from({ length: count }, (_, i) => 0x3f00 + i % 200);
  const floats = await readFloat32(one("bfloat16", data, count), "a");
  const bits = new Uint32Array(floats.buffer);
  assert.equal(bits.length, count);
  assert.ok(bits.every((word, i) => word === data[i] << 16));
});

Deno.test("readFloat32() reads a run of elements of any float type", async () => {
  const numbers = [1, -2, 0.5, 4];
  const bits = Uint16Array.from(
    numbers,
    (x) => new Uint32Array(Float32Array.of(x).buffer)[0] >> 16,
  );
  for (
    const source of [
      one("float32", Float32Array.from(numbers), 4),
      one("float64", Float64Array.from(numbers), 4),
      one("float16", Float16Array.from(numbers), 4),
      one("bfloat16", bits, 4),
    ]
  ) {
    assert.deepEqual([...await readFloat32(source, "a", { start: 1, count: 2 })], [-2, 0.5]);
    assert.deepEqual([...await readFloat32(source, "a", { start: 3 })], [4]);
    await assert.rejects(readFloat32(source, "a", { start: 3, count: 2 }), RangeError);
  }
});
