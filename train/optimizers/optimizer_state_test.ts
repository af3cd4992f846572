import assert from "node:assert/strict";
import { layoutParameters } from "../../model/engine/parameter_store.ts";
import { type Device, parseDevice } from "../../ort/runtime/device.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import type { DType } from "../../ort/tensor/dtype.ts";
import { readAll, tensorBytes, type TensorSource } from "../../ort/tensor/tensor_source.ts";
import {
  assertStateInfo,
  OptimizerState,
  type OptimizerStateOptions,
  SCALES,
  writePieces,
} from "./optimizer_state.ts";

const runtime = new Runtime({ threads: 2 });
// 300 of 512 elements, and 7 of 256.
const layout = layoutParameters([
  { name: "norm.weight", shape: [7], decays: false },
  { name: "mlp.weight", shape: [5, 60], decays: true },
]);

function made(options: Partial<OptimizerStateOptions> = {}): OptimizerState {
  return new OptimizerState(runtime, layout, { names: ["m", "v"], ...options });
}

/** What a state holds. */
function describe(source: TensorSource): unknown[] {
  return source.names().map((name) => [name, source.info(name)]);
}

/** Bytes that differ from tensor to tensor, which come a while after they are asked for. */
function bytesFor(state: TensorSource): TensorSource & { readonly all: Map<string, Uint8Array> } {
  const all = new Map(
    state.names().map((name, k) => {
      const bytes = new Uint8Array(tensorBytes(state.info(name)));
      return [name, bytes.map((_, i) => 1 + (i + 11 * k) % 251)];
    }),
  );
  return {
    all,
    names: () => state.names(),
    info: (name) => state.info(name),
    async read(name, into, offset = 0) {
      await new Promise((resolve) => setTimeout(resolve));
      into.set(all.get(name)!.subarray(offset, offset + into.byteLength));
    },
  };
}

Deno.test("OptimizerState begins with zeros, parameter by parameter, of float32", async () => {
  // Memory that is likely to be taken again.
  for (const size of [768, 768, 3, 3]) {
    using used = Tensor.allocate(runtime, "float32", [size]);
    used.float32().fill(NaN);
  }
  using state = made();
  const source = state.source();
  assert.deepEqual(describe(source), [
    ["norm.weight.m", { dtype: "float32", shape: [7] }],
    ["norm.weight.v", { dtype: "float32", shape: [7] }],
    ["mlp.weight.m", { dtype: "float32", shape: [5, 60] }],
    ["mlp.weight.v", { dtype: "float32", shape: [5, 60] }],
  ]);
  for (const name of ["m", "v"]) {
    assert.deepEqual(state.store(name).flat.float32(), new Float32Array(768), name);
    assert.equal(state.scales(name, 0, 256), undefined);
  }
  for (const name of source.names()) {
    assert.ok((await readAll(source, name)).every((byte) => byte === 0));
  }
});

Deno.test("OptimizerState's scales are zeros too, one for each 256 elements of the layout", async () => {
  for (let i = 0; i < 4; i++) {
    using used = Tensor.allocate(runtime, "float32", [3]);
    used.float32().fill(NaN);
  }
  using state = made({ dtype: "uint8", scaled: true });
  const source = state.source();
  assert.deepEqual(describe(source), [
    ["norm.weight.m", { dtype: "uint8", shape: [7] }],
    ["norm.weight.v", { dtype: "uint8", shape: [7] }],
    ["mlp.weight.m", { dtype: "uint8", shape: [5, 60] }],
    ["mlp.weight.v", { dtype: "uint8", shape: [5, 60] }],
    ["m.scales", { dtype: "float32", shape: [3] }],
    ["v.scales", { dtype: "float32", shape: [3] }],
  ]);
  assert.equal(SCALES, ".scales");
  for (const name of ["m.scales", "v.scales"]) {
    assert.deepEqual(await readAll(source, name), new Uint8Array(12), name);
  }
  using all = state.scales("v", 0, 768)!;
  all.float32().set([1, 2, 3]);
  using last = state.scales("v", 256, 512)!;
  assert.deepEqual([last.shape, ...last.float32()], [[2], 2, 3]);
  using none = state.scales("m", 512, 256)!;
  assert.deepEqual([none.shape, ...none.float32()], [[1], 0]);
  const into = new Uint8Array(4);
  await source.read("v.scales", into, 8);
  assert.deepEqual(into, new Uint8Array(Float32Array.of(3).buffer));
  await assert.rejects(source.read("v.scales", into, 9), {
    name: "RangeError",
    message: /v\.scales/,
  });
});

for (const [dtype, scaled] of [["float32", false], ["bfloat16", false], ["uint8", true]] as const) {
  Deno.test(`OptimizerState of ${dtype} takes what was saved, and gives it back in any pieces`, async () => {
    using state = made({ dtype, scaled });
    const source = state.source();
    const saved = bytesFor(source);
    await state.load(saved);
    for (const [name, bytes] of saved.all) {
      assert.deepEqual(await readAll(source, name), bytes, name);
      const part = new Uint8Array(5);
      await source.read(name, part, 2);
      assert.deepEqual(part, bytes.slice(2, 7), name);
    }
    // The matrix comes first in memory.
    const width = { float32: 4, bfloat16: 2, uint8: 1 }[dtype];
    using view = state.view("v", 256, 44);
    assert.deepEqual([view.dtype, view.shape], [dtype, [44]]);
    assert.deepEqual(view.bytes(), saved.all.get("mlp.weight.v")!.slice(256 * width));
    using norm = state.view("m", 512, 7);
    assert.deepEqual(norm.bytes(), saved.all.get("norm.weight.m"));
  });
}

Deno.test("OptimizerState keeps what a rule asks for of each parameter, in its shapes", async () => {
  using state = made({
    names: ["row", "unused", "square"],
    shapes: ({ name, shape }) => name === "mlp.weight" ? { row: [5] } : { square: shape },
  });
  const source = state.source();
  assert.deepEqual(describe(source), [
    ["norm.weight.square", { dtype: "float32", shape: [7] }],
    ["mlp.weight.row", { dtype: "float32", shape: [5] }],
  ]);
  assert.equal(state.store("unused"), undefined);
  const saved = bytesFor(source);
  await state.load(saved);
  for (const [name, bytes] of saved.all) assert.deepEqual(await readAll(source, name), bytes, name);
});

Deno.test("OptimizerState tells which of its tensors there is not, and releases all", async () => {
  const state = made({ scaled: true });
  const source = state.source();
  for (const name of ["norm.weight.w", "norm", "w.scales"]) {
    const error = { name: "RangeError", message: `Cannot find optimizer state ${name}` };
    assert.throws(() => source.info(name), error);
    await assert.rejects(source.read(name, new Uint8Array(1)), error);
  }
  state[Symbol.dispose]();
  for (const name of ["norm.weight.m", "mlp.weight.v", "m.scales", "v.scales"]) {
    await assert.rejects(source.read(name, new Uint8Array(4)), {
      message: "Cannot use a tensor: it was disposed of",
    });
  }
});

Deno.test("state of another type or shape is refused by name", () => {
  const info = (dtype: DType, shape: readonly number[]) => ({ dtype, shape });
  assertStateInfo("a.m", info("float32", [2, 3]), info("float32", [2, 3]));
  for (
    const [found, told] of [
      [info("bfloat16", [2, 3]), "bfloat16 [2,3]"],
      [info("float32", [3, 2]), "float32 [3,2]"],
      [info("float32", [6]), "float32 [6]"],
      [info("uint8", [1]), "uint8 [1]"],
    ] as const
  ) {
    assert.throws(() => assertStateInfo("a.m", found, info("float32", [2, 3])), {
      message: `Cannot load optimizer state a.m: it is ${told}, expected float32 [2,3]`,
    });
  }
});

/** A tensor on a device that tells what is written to it. */
function remote(device: Device, byteLength: number, log: unknown[]): Tensor {
  const write = (data: Uint8Array, offset?: number) =>
    void log.push(["write", data.byteLength, data[0], offset]);
  return { device, byteLength, dtype: "float32", write } as unknown as Tensor;
}

Deno.test("writePieces() goes by 16 MiB to a device, and at once where nothing begins within a tensor", async () => {
  const megabytes = 2 ** 24;
  const pieces = async (device: string, byteLength: number): Promise<unknown[]> => {
    const log: unknown[] = [];
    await writePieces(remote(parseDevice(device), byteLength, log), async (into, offset) => {
      log.push(["read", into.byteLength, offset]);
      await new Promise((resolve) => setTimeout(resolve));
      into[0] = log.length;
    });
    return log;
  };
  assert.deepEqual(await pieces("cuda", megabytes + 8), [
    ...[["read", megabytes, 0], ["write", megabytes, 1, 0]],
    ...[["read", 8, megabytes], ["write", 8, 3, megabytes]],
  ]);
  assert.deepEqual(await pieces("cuda", megabytes), [
    ...[["read", megabytes, 0], ["write", megabytes, 1, 0]],
  ]);
  assert.deepEqual(await pieces("cuda", 12), [["read", 12, 0], ["write", 12, 1, 0]]);
  assert.deepEqual(await pieces("webgpu", megabytes + 8), [
    ...[["read", megabytes + 8, 0], ["write", megabytes + 8, 1, undefined]],
  ]);
  using host = Tensor.from(runtime, "float32", [2], Float32Array.of(1, 2));
  await writePieces(host, async (into, offset) => {
    await new Promise((resolve) => setTimeout(resolve));
    into.set(new Uint8Array(Float32Array.of(offset + 3, 4).buffer));
  });
  assert.deepEqual([...host.float32()], [3, 4]);
});
