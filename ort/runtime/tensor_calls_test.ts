/** Tensors on a device of the test's: what is asked of its memory. */

import assert from "node:assert/strict";
import { recordedRuntime } from "../../tests/support/recorded_runtime.ts";
import { cpu, parseDevice } from "./device.ts";
import { Tensor } from "./tensor.ts";

const GPU = parseDevice("cuda:1");

Deno.test("a tensor on a device is made, written, read and freed there", () => {
  const { runtime, take } = recordedRuntime(GPU);
  const tensor = Tensor.from(runtime, "int16", [2, 3], Int16Array.of(1, 2, 3, 4, 5, 6));
  assert.deepEqual(
    [tensor.dtype, tensor.shape, tensor.device, tensor.byteLength, tensor.address],
    ["int16", [2, 3], GPU, 12, 0x9000n],
  );
  assert.equal(Deno.UnsafePointer.value(tensor.pointer), 0x700n);
  tensor.write(Uint8Array.of(7, 8), 4);
  const into = new Uint8Array(4).fill(9);
  tensor.read(into.subarray(1, 3), 10);
  assert.deepEqual([...into], [9, 1, 1, 9]);
  tensor.read(new Int16Array(6));
  tensor.zero();
  assert.deepEqual(take(), [
    "allocate int16 [2,3] (allocate a int16 tensor of shape [2,3])",
    "upload 9000+0 of 12: 1,0,2,0,3,0,4,0,5,0,6,0",
    "upload 9000+4 of 12: 7,8",
    "download 9000+10 of 12: 2",
    "download 9000+0 of 12: 12",
    "zero 9000 12",
  ]);
  const view = tensor.view(4, [2], "float32");
  assert.deepEqual(
    [view.dtype, view.shape, view.byteLength, view.address, view.device],
    ["float32", [2], 8, 0x9004n, GPU],
  );
  view[Symbol.dispose]();
  assert.deepEqual(take(), [
    // ONNX's number of float32 is 1.
    "CreateTensorWithDataAsOrtValue (view a float32 tensor of shape [2]) @4 @9004 8 [2] 1 1",
    "ReleaseValue @100",
  ]);
  tensor[Symbol.dispose]();
  tensor[Symbol.dispose]();
  assert.deepEqual(take(), ["ReleaseValue @700", "free 9000"]);
});

Deno.test("bytes are copied between tensors of one device, none outside of either", () => {
  const { runtime, take } = recordedRuntime(GPU);
  const to = Tensor.allocate(runtime, "uint8", [10]);
  const from = Tensor.allocate(runtime, "uint8", [8]);
  take();
  to.copyFrom(from);
  to.copyFrom(from, { from: 3 });
  to.copyFrom(from, { to: 2 });
  to.copyFrom(from, { from: 1, to: 5, bytes: 4 });
  to.copyFrom(from, { from: 8, to: 10 });
  assert.deepEqual(take(), [
    "copy 9000+0 of 10 from 9000+0 of 8: 8",
    "copy 9000+0 of 10 from 9000+3 of 8: 5",
    "copy 9000+2 of 10 from 9000+0 of 8: 8",
    "copy 9000+5 of 10 from 9000+1 of 8: 4",
    "copy 9000+10 of 10 from 9000+8 of 8: 0",
  ]);
  for (
    const [options, said] of [
      [{ to: 3 }, "8 bytes from byte 0 of 8 on cuda:1 to byte 3 of 10"],
      [{ from: 9 }, "-1 bytes from byte 9 of 8 on cuda:1 to byte 0 of 10"],
      [{ from: -1, bytes: 1 }, "1 bytes from byte -1 of 8 on cuda:1 to byte 0 of 10"],
      [{ to: -1, bytes: 1 }, "1 bytes from byte 0 of 8 on cuda:1 to byte -1 of 10"],
      [{ bytes: -1 }, "-1 bytes from byte 0 of 8 on cuda:1 to byte 0 of 10"],
      [{ from: 4, bytes: 5 }, "5 bytes from byte 4 of 8 on cuda:1 to byte 0 of 10"],
    ] as const
  ) {
    assert.throws(() => to.copyFrom(from, options), {
      name: "RangeError",
      message: `Cannot copy ${said} on cuda:1`,
    });
  }
  const host = Tensor.allocate(runtime, "uint8", [10], cpu);
  assert.throws(() => host.copyFrom(from), {
    message: "Cannot copy 8 bytes from byte 0 of 8 on cuda:1 to byte 0 of 10 on cpu",
  });
});

Deno.test("a tensor on a device is no memory of the host's, and is copied where that is asked for", () => {
  const { runtime, take } = recordedRuntime(GPU);
  const floats = Tensor.allocate(runtime, "float32", [3]);
  for (const use of [() => floats.bytes(), () => floats.float32()]) {
    assert.throws(use, {
      name: "TypeError",
      message: "Cannot view a tensor on cuda:1 as host memory: copy with read() and write()",
    });
  }
  take();
  const copy = floats.hostFloat32();
  assert.deepEqual([...new Uint8Array(copy.buffer)], Array(12).fill(1));
  assert.deepEqual(take(), ["download 9000+0 of 12: 12"]);
  const ids = Tensor.allocate(runtime, "int32", [3]);
  assert.throws(() => ids.hostFloat32(), {
    name: "TypeError",
    message: "Cannot read a int32 tensor as float32",
  });
});

Deno.test("where a tensor is one buffer a view begins at its start", () => {
  const gpu = parseDevice("webgpu");
  const { runtime } = recordedRuntime(gpu, { viewsAtOffset: false });
  const tensor = Tensor.allocate(runtime, "float32", [4]);
  assert.equal(tensor.view(0, [2]).byteLength, 8);
  assert.throws(() => tensor.view(4, [2]), {
    name: "RangeError",
    message:
      "Cannot view a tensor on webgpu from byte 4 on: a tensor there is one buffer, which graphs use from its " +
      "start; give each part a tensor of its own",
  });
});

Deno.test("a tensor of the host's is ONNX Runtime's own memory", () => {
  const memory = new Uint8Array(24);
  const { runtime, take } = recordedRuntime(cpu, {
    does: ({ name, args }) => {
      if (name !== "GetTensorMutableData") return;
      (args[1] as BigUint64Array)[0] = Deno.UnsafePointer.value(Deno.UnsafePointer.of(memory));
    },
  });
  const tensor = Tensor.allocate(runtime, "float64", [3]);
  const what = "(allocate a float64 tensor of shape [3])";
  assert.deepEqual(take().map((line) => line.replace(/ \[\d*\]$/, "")), [
    // ONNX's number of float64 is 11.
    `CreateTensorAsOrtValue ${what} @2 [3] 1 11`,
    `GetTensorMutableData ${what} @100`,
  ]);
  tensor.write(Float64Array.of(1, 2, 3));
  assert.deepEqual([...new Float64Array(memory.buffer)], [1, 2, 3]);
  tensor[Symbol.dispose]();
  assert.deepEqual(take(), ["ReleaseValue @100"]);
});
