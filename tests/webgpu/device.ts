/** Tensors and errors of the WebGPU device. */

import assert from "node:assert/strict";
import { GraphBuilder } from "../../ort/graph/builder.ts";
import * as ops from "../../ort/graph/ops.ts";
import { writeOnnx } from "../../ort/graph/onnx_writer.ts";
import { cpu, deviceName, parseDevice } from "../../ort/runtime/device.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { Session } from "../../ort/runtime/session.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import { VULKAN_LOADER, vulkanAdapters } from "../../ort/runtime/vulkan.ts";
import { KEEPER_MODEL } from "../../ort/runtime/webgpu.ts";
import { runtime } from "../support/webgpu_runtime.ts";

Deno.test("the device is the runtime's, and the cpu is there beside it", () => {
  assert.equal(deviceName(runtime.device), "webgpu");
  using host = Tensor.from(runtime, "float32", [2], Float32Array.of(1, 2), cpu);
  assert.deepEqual([...host.float32()], [1, 2]);
});

Deno.test("Vulkan names the adapters and their drivers, and tells their memory", () => {
  const loader = VULKAN_LOADER[Deno.build.os];
  if (loader === undefined) return; // Metal has no list
  const adapters = vulkanAdapters(loader);
  assert.ok(adapters.length > 0);
  for (const { name, driver, software, heap, free, largestBuffer } of adapters) {
    // A driver on the processor is Mesa's or Google's.
    assert.match(name, software ? /^(?:llvmpipe|SwiftShader)/ : /^[A-Z]/i);
    assert.match(driver, /^\d+\.\d+\.\d+$/);
    // What WebGPU asks of every adapter.
    assert.ok(largestBuffer >= 2 ** 28 && largestBuffer <= heap, `${largestBuffer} of ${heap}`);
    assert.ok(free === undefined || free <= heap, `${free} of ${heap}`);
  }
});

Deno.test("a tensor is written and read, in any type and of any length", () => {
  for (const length of [1, 3, 4, 5, 1000]) {
    using tensor = Tensor.allocate(runtime, "uint8", [length]);
    const bytes = Uint8Array.from({ length }, (_, i) => i + 1);
    tensor.write(bytes);
    const read = new Uint8Array(length);
    tensor.read(read);
    assert.deepEqual(read, bytes);
    tensor.zero();
    tensor.read(read);
    assert.ok(read.every((byte) => byte === 0));
  }
});

Deno.test("tensors of any length are zeroed, larger and smaller ones in turns", () => {
  for (const bytes of [8, 6, 4096, 7, (1 << 26) + 4, 100]) {
    using tensor = Tensor.from(runtime, "uint8", [bytes], new Uint8Array(bytes).fill(7));
    tensor.zero();
    const found = new Uint8Array(bytes).fill(1);
    tensor.read(found);
    assert.ok(found.every((byte) => byte === 0), `${bytes} bytes`);
    tensor.write(new Uint8Array(bytes).fill(9)); // must not reach what others are zeroed with
  }
});

Deno.test("a new tensor is zeroed, one over the memory of a released one too", () => {
  for (let i = 0; i < 3; i++) {
    using tensor = Tensor.allocate(runtime, "float32", [1 << 16]);
    assert.ok(tensor.hostFloat32().every((value) => value === 0));
    tensor.write(new Float32Array(1 << 16).fill(i + 1));
  }
});

Deno.test("part of a tensor is written, read and copied from its start, and nothing beyond", () => {
  using tensor = Tensor.from(runtime, "float32", [5], Float32Array.of(1, 2, 3, 4, 5));
  tensor.write(Float32Array.of(9), 0);
  using longer = Tensor.from(runtime, "float32", [7], new Float32Array(7).fill(6));
  longer.copyFrom(tensor);
  assert.deepEqual([...longer.hostFloat32()], [9, 2, 3, 4, 5, 6, 6]);
  const two = new Float32Array(2);
  longer.read(two);
  assert.deepEqual([...two], [9, 2]);
  using bytes = Tensor.allocate(runtime, "uint8", [8]);
  assert.throws(() => bytes.write(Uint8Array.of(1, 2, 3), 0), {
    message: "Cannot write 3 bytes into a tensor of 8 on webgpu: part of a tensor is written in " +
      "groups of 4 bytes there",
  });
});

Deno.test("a view has any shape and type, and begins where its tensor does", () => {
  using tensor = Tensor.from(runtime, "float32", [2, 2], Float32Array.of(1, 2, 3, 4));
  using view = tensor.view(0, [3], "int32");
  view.write(Int32Array.of(0, 0, 0));
  assert.deepEqual([...tensor.hostFloat32()], [0, 0, 0, 4]);
  assert.throws(() => tensor.view(8, [2]), {
    name: "RangeError",
    message: "Cannot view a tensor on webgpu from byte 8 on: a tensor there is one buffer, which " +
      "graphs use from its start; give each part a tensor of its own",
  });
  const reach = /Cannot reach byte 4 of a tensor on webgpu: a tensor there is one buffer/;
  assert.throws(() => tensor.write(Float32Array.of(1), 4), reach);
  assert.throws(() => tensor.read(new Float32Array(1), 4), reach);
  using other = Tensor.allocate(runtime, "float32", [4]);
  assert.throws(() => other.copyFrom(tensor, { from: 4 }), reach);
  assert.throws(() => other.copyFrom(tensor, { to: 4, bytes: 4 }), reach);
});

Deno.test("its memory is no memory of the host's", () => {
  using tensor = Tensor.allocate(runtime, "float32", [2]);
  assert.throws(() => tensor.float32(), /Cannot view a tensor on webgpu as host memory/);
});

Deno.test("a graph runs there, in place too, and sessions share tensors", () => {
  const b = new GraphBuilder("twice");
  const x = b.input("x", "float32", [2]);
  b.output("y", ops.add(b, x, b.float32(1)), { inPlaceOf: x });
  const model = writeOnnx(b.build());
  using first = new Session(runtime, model);
  using second = new Session(runtime, model);
  using tensor = Tensor.from(runtime, "float32", [2], Float32Array.of(1, 2));
  for (const session of [first, second]) {
    session.run({ inputs: { x: tensor }, outputs: { y: tensor } });
  }
  assert.deepEqual([...tensor.hostFloat32()], [3, 4]);
});

Deno.test("a node without a kernel there is refused, not run on the host", () => {
  const b = new GraphBuilder("refused");
  const x = b.input("x", "float32", [2]);
  b.output("y", b.node("Sign", [x], [x])[0]);
  assert.throws(() => new Session(runtime, writeOnnx(b.build())), /compile graph/);
});

Deno.test("a second runtime opens the same device", () => {
  using second = new Runtime({ threads: 2, device: parseDevice("webgpu") });
  using tensor = Tensor.from(second, "float32", [1], Float32Array.of(7));
  assert.equal(tensor.hostFloat32()[0], 7);
});

Deno.test("the graph that keeps the device is what the builder writes", () => {
  const b = new GraphBuilder("keeper");
  const x = b.input("x", "float32", [4]);
  b.output("y", ops.sqrt(b, x));
  assert.equal(writeOnnx(b.build()).toBase64(), KEEPER_MODEL);
});

Deno.test("a graph that is refused leaves nothing behind that a later run would be blamed for", () => {
  assert.throws(() => new Session(runtime, new Uint8Array(3)));
  using tensor = Tensor.from(runtime, "float32", [1], Float32Array.of(5));
  assert.equal(tensor.hostFloat32()[0], 5);
});

const OPEN = `
  import { parseDevice } from "${new URL("../../ort/runtime/device.ts", import.meta.url)}";
  import { Tensor } from "${new URL("../../ort/runtime/tensor.ts", import.meta.url)}";
  import { Runtime } from "${new URL("../../ort/runtime/runtime.ts", import.meta.url)}";
  const open = (name) => new Runtime({ threads: 1, device: parseDevice(name) });
`;

/** The message of the error that ends a script, run with these variables; undefined where it ends well. */
async function failure(
  script: string,
  env: Record<string, string> = {},
): Promise<string | undefined> {
  const [imports, rest] = [true, false].map((wanted) =>
    script.split("\n").filter((line) => line.trim().startsWith("import ") === wanted).join("\n")
  );
  const { success, code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "eval",
      "--ext=ts",
      `${OPEN} ${imports}
try { ${rest} } catch (e) { console.error(e.message); Deno.exit(3); }`,
    ],
    env,
    stdout: "null",
  }).output();
  if (success) return undefined;
  const text = new TextDecoder().decode(stderr);
  assert.equal(code, 3, text);
  return text.split("\n").find((line) => line.startsWith("Cannot"));
}

Deno.test("an error says what is missing, and does not end the process", async () => {
  const none = { VK_DRIVER_FILES: "/nonexistent.json", VK_ICD_FILENAMES: "/nonexistent.json" };
  assert.match(
    await failure(`open("webgpu")`, none) ?? "it opened",
    /^Cannot use device webgpu: no GPU with a Vulkan driver was found; install libvulkan1/,
  );
  assert.match(
    await failure(`open("cpu"); open("webgpu")`) ?? "it opened",
    /^Cannot use device webgpu: ONNX Runtime was opened before in this process/,
  );
  assert.match(
    await failure(`Tensor.allocate(open("webgpu"), "float32", [2 ** 44])`) ?? "it fitted",
    /^Cannot allocate a float32 tensor of shape \[17592186044416\] on webgpu: (a tensor did not fit \(.*\)|it has 70368744177664 bytes, and a buffer of .+ at most \d+); train shorter rows/,
  );
  assert.equal(await failure(`open("webgpu")[Symbol.dispose](); open("webgpu")`), undefined);
  assert.equal(await failure(`open("cpu")[Symbol.dispose](); open("webgpu")`), undefined);
});
