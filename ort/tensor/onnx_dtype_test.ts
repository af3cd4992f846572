import assert from "node:assert/strict";
import { onnxDataType } from "./onnx_dtype.ts";
import { widenFloats } from "./widen_floats.ts";

Deno.test("onnxDataType() is TensorProto.DataType of onnx.proto", () => {
  for (
    const [dtype, number] of [
      ...([["float32", 1], ["uint8", 2], ["int8", 3], ["int16", 5], ["int32", 6]] as const),
      ...([["int64", 7], ["bool", 9], ["float16", 10], ["float64", 11], ["bfloat16", 16]] as const),
    ]
  ) assert.equal(onnxDataType(dtype), number, dtype);
});

Deno.test("widenFloats() reads numbers of each type from where they begin", () => {
  const numbers = [1.5, -2];
  const bits = Uint16Array.from(
    [9, ...numbers],
    (x) => new Uint32Array(Float32Array.of(x).buffer)[0] >> 16,
  );
  for (
    const [dtype, all] of [
      ["float32", Float32Array.of(9, ...numbers)],
      ["float64", Float64Array.of(9, ...numbers)],
      ["float16", Float16Array.of(9, ...numbers)],
      ["bfloat16", bits],
    ] as const
  ) {
    const bytes = new Uint8Array(all.buffer, all.BYTES_PER_ELEMENT);
    const into = new Float32Array(2);
    widenFloats(bytes, dtype, into);
    assert.deepEqual([...into], numbers, dtype);
  }
  assert.throws(
    () => widenFloats(new Uint8Array(4), "int32", new Float32Array(1)),
    new RangeError("Cannot widen int32 to float32: expected floats"),
  );
});
