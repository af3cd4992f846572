import assert from "node:assert/strict";
import { layoutParameters } from "../../model/engine/parameter_store.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import type { DType } from "../../ort/tensor/dtype.ts";
import { float32ToBfloat16 } from "../../ort/tensor/half.ts";
import {
  readAll,
  readFloat32,
  tensorBytes,
  type TensorData,
  type TensorInfo,
  type TensorSource,
  tensorSourceFromMap,
} from "../../ort/tensor/tensor_source.ts";
import { localComms } from "../../tests/support/local_comm.ts";
import { ShardedState } from "./sharded_state.ts";

const runtime = new Runtime({ threads: 2 });
/** Over several buckets of 512, one tensor across many of them; the last is smaller than a block. */
const SHAPES = { "a.weight": [40, 50], "b.weight": [7, 11], "b.norm": [5] };
const NAMES = ["exp_avg", "exp_avg_sq"];
const layout = layoutParameters(
  Object.entries(SHAPES).map(([name, shape]) => ({ name, shape, decays: !name.includes("norm") })),
);
const KINDS = [
  { dtype: "float32", scaled: false },
  { dtype: "bfloat16", scaled: false },
  { dtype: "uint8", scaled: true },
] as const;

/** All that processes keep together: bytes that differ from tensor to tensor and from one to the next. */
function wholeOf(
  { dtype, scaled }: { readonly dtype: DType; readonly scaled: boolean },
): ReadonlyMap<string, TensorData> {
  const infos: [string, TensorInfo][] = Object.entries(SHAPES).flatMap(([name, shape]) =>
    NAMES.map((kept): [string, TensorInfo] => [`${name}.${kept}`, { dtype, shape }])
  );
  if (scaled) {
    const shape = [layout.length / 256];
    for (const kept of NAMES) infos.push([`${kept}.scales`, { dtype: "float32", shape }]);
  }
  return new Map(infos.map(([name, info], k) => {
    const data = new Uint8Array(tensorBytes(info)).map((_, i) => 1 + (i + 37 * k) % 251);
    return [name, { ...info, data }];
  }));
}

const whole = wholeOf(KINDS[0]);

/** The same, whose tensors come a while after they are asked for. */
function late(source: TensorSource): TensorSource {
  return {
    ...source,
    async read(...asked) {
      await new Promise((resolve) => setTimeout(resolve));
      await source.read(...asked);
    },
  };
}

for (const kind of KINDS) {
  for (const size of [1, 2, 3, 5]) {
    Deno.test(`state in ${kind.dtype} that ${size} processes keep is read as it was loaded, in any pieces`, async () => {
      const all = wholeOf(kind);
      const states = localComms(size).map((comm) =>
        new ShardedState(runtime, layout, { ...kind, names: NAMES, comm, elements: 512 })
      );
      for (const state of states) await state.load(late(tensorSourceFromMap(all)));
      const [first, ...others] = states;
      const waiting = others.map((state) => state.shared.settle());
      const source = first.source();
      assert.deepEqual(source.names(), [...all.keys()]);
      for (const [name, { dtype, shape }] of all) {
        assert.deepEqual(source.info(name), { dtype, shape });
      }
      // Asked for all at once, and a part that begins and ends within an element.
      const read = source.names().map(async (name) => [name, await readAll(source, name)] as const);
      const part = new Uint8Array(1023);
      await source.read("a.weight.exp_avg", part, 507);
      for (const [name, bytes] of await Promise.all(read)) {
        assert.deepEqual(bytes, all.get(name)!.data, name);
      }
      assert.deepEqual(part, all.get("a.weight.exp_avg")!.data.slice(507, 507 + 1023));
      await first.shared.settle();
      await Promise.all(waiting);
      for (const state of states) state[Symbol.dispose]();
    });
  }
}

Deno.test("a process keeps zeros of its part of every bucket, and of nothing that is another's", () => {
  // Memory that is likely to be taken again.
  for (const length of [1280, 1280, 5, 5]) {
    using used = Tensor.allocate(runtime, "float32", [length]);
    used.float32().fill(NaN);
  }
  const [, comm] = localComms(2);
  const state = new ShardedState(runtime, layout, {
    ...{ names: NAMES, comm, elements: 512, scaled: true },
  });
  // The second half of each; the first tensor is the last that backward is done with.
  const ranges = [2304, 256, 768, 1280, 1792].map((start) => ({ start, length: 256 }));
  assert.deepEqual(state.ranges, ranges);
  assert.deepEqual(state.buckets.map(({ start, counts }) => [start, ...counts]), [
    ...ranges.map(({ start }) => [start - 256, 256, 256]),
  ]);
  ranges.forEach(({ start, length }, i) => {
    using own = state.view("exp_avg", start, length);
    assert.deepEqual([own.dtype, own.shape], ["float32", [256]]);
    assert.deepEqual(own.float32(), new Float32Array(256));
    own.float32().fill(i + 1);
    using scale = state.scales("exp_avg_sq", start, length)!;
    assert.deepEqual([scale.dtype, scale.shape, ...scale.float32()], ["float32", [1], 0]);
    scale.float32()[0] = i + 1;
  });
  using within = state.view("exp_avg", 1290, 10);
  assert.deepEqual([...within.float32()], Array(10).fill(4));
  using last = state.view("exp_avg", 511, 1);
  assert.deepEqual([...last.float32()], [2]);
  for (const [start, length] of [[255, 1], [255, 2], [511, 2], [512, 1], [256, 257]]) {
    assert.throws(() => state.view("exp_avg", start, length), {
      name: "RangeError",
      message: `Cannot take elements ${start} and on: they are another's`,
    });
  }
  assert.deepEqual(state.partOf("exp_avg_sq.scales", 1), [
    ...[9, 1, 3, 5, 7].map((block) => ({ start: 4 * block, length: 4 })),
  ]);
  assert.deepEqual(state.partOf("b.norm.exp_avg", 0), []);
  assert.deepEqual(state.partOf("b.norm.exp_avg", 1), [{ start: 0, length: 20 }]);
  const into = new Uint8Array(40).fill(9);
  state.readOwn("exp_avg_sq.scales", into, 0);
  assert.deepEqual(
    [...new Float32Array(into.buffer)].filter((_, i) => i % 2 === 1),
    [2, 3, 4, 5, 1],
  );
  assert.ok(into.every((byte, i) => i % 8 >= 4 || byte === 9), "others' bytes stay");
  assert.throws(() => state.info("b.norm.exp"), {
    message: /^Cannot find tensor "b\.norm\.exp": the optimizer's state does not hold it\. /,
  });
  const plain = new ShardedState(runtime, layout, { names: NAMES, comm });
  assert.equal(plain.scales("exp_avg", 0, 256), undefined);
  assert.deepEqual(plain.info("a.weight.exp_avg"), { dtype: "float32", shape: [40, 50] });
  for (const each of [state, plain]) each[Symbol.dispose]();
  for (const name of ["exp_avg", "exp_avg_sq"]) {
    assert.throws(() => state.view(name, 256, 256), {
      message: "Cannot use a tensor: it was disposed of",
    });
    assert.throws(() => state.scales(name, 256, 256), {
      message: "Cannot use a tensor: it was disposed of",
    });
  }
});

Deno.test("a process of which nothing is keeps nothing", () => {
  const small = layoutParameters([{ name: "norm", shape: [5], decays: false }]);
  const [, comm] = localComms(2);
  using state = new ShardedState(runtime, small, { names: ["m"], comm, scaled: true });
  assert.deepEqual(state.ranges, [{ start: 256, length: 0 }]);
  assert.deepEqual(state.partOf("norm.m", 1), []);
  assert.deepEqual(state.partOf("norm.m", 0), [{ start: 0, length: 20 }]);
});

for (const dtype of ["float32", "bfloat16"] as const) {
  Deno.test(`masters are filled from parameters in ${dtype}, and may be missing where others may not`, async () => {
    const states = localComms(3).map((comm) =>
      new ShardedState(runtime, layout, {
        ...{ names: ["exp_avg", "master"], optional: "master", comm, elements: 512 },
      })
    );
    const parameters = new Map(
      Object.entries(SHAPES).map(([name, shape], k): [string, TensorData] => {
        const count = shape.reduce((product, each) => product * each, 1);
        const values = Float32Array.from({ length: count }, (_, i) => 1 + (i + 10 * k) % 200);
        const bits = new Uint16Array(count);
        float32ToBfloat16(values, bits);
        const { buffer } = dtype === "float32" ? values : bits;
        return [name, { dtype, shape, data: new Uint8Array(buffer) }];
      }),
    );
    const moments = new Map([...whole].filter(([name]) => name.endsWith(".exp_avg")));
    for (const state of states) {
      await state.fill("master", late(tensorSourceFromMap(parameters)));
      await state.load(tensorSourceFromMap(moments));
    }
    const [first, ...others] = states;
    const waiting = others.map((state) => state.shared.settle());
    const source = first.source();
    for (const [k, [name, shape]] of Object.entries(SHAPES).entries()) {
      const count = shape.reduce((product, each) => product * each, 1);
      const expected = Float32Array.from({ length: count }, (_, i) => 1 + (i + 10 * k) % 200);
      assert.deepEqual(await readFloat32(source, `${name}.master`), expected, name);
      const bytes = await readAll(source, `${name}.exp_avg`);
      assert.deepEqual(bytes, whole.get(`${name}.exp_avg`)!.data, name);
    }
    await first.shared.settle();
    await Promise.all(waiting);

    // Those that are there are taken.
    const masters = [...moments].map(([name, each]): [string, TensorData] => [
      name.replace("exp_avg", "master"),
      each,
    ]);
    await assert.rejects(first.load(tensorSourceFromMap(new Map(masters))), {
      message: /^Cannot find tensor "a\.weight\.exp_avg": /,
    });
    await first.load(tensorSourceFromMap(new Map([...moments, ...masters])));
    const into = new Uint8Array(1024);
    first.readOwn("a.weight.master", into, 0);
    assert.deepEqual(into, whole.get("a.weight.exp_avg")!.data.slice(0, 1024));
    for (const state of states) state[Symbol.dispose]();
  });
}

Deno.test("state of another shape is refused by name, and so is one that must be there", async () => {
  const [comm] = localComms(1);
  using state = new ShardedState(runtime, layout, { names: NAMES, comm });
  const wrong = new Map(whole).set("b.norm.exp_avg", {
    dtype: "float32",
    shape: [4],
    data: new Uint8Array(16),
  });
  await assert.rejects(
    state.load(tensorSourceFromMap(wrong)),
    /^Error: Cannot load optimizer state b\.norm\.exp_avg: it is float32 \[4\], expected float32 \[5\]/,
  );
  const less = new Map(whole);
  less.delete("b.norm.exp_avg_sq");
  await assert.rejects(state.load(tensorSourceFromMap(less)), {
    message: /^Cannot find tensor "b\.norm\.exp_avg_sq": /,
  });
});
