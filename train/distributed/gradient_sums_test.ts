import assert from "node:assert/strict";
import { layoutParameters, ParameterStore } from "../../model/engine/parameter_store.ts";
import { bfloat16ToFloat32, float32ToBfloat16 } from "../../ort/tensor/half.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { localComms } from "../../tests/support/local_comm.ts";
import { bucketsOf, ownPart } from "./buckets.ts";
import { GradientSums } from "./gradient_sums.ts";
import { hostTensorComm } from "./tensor_comm.ts";

const runtime = new Runtime({ threads: 2 });
/** In a checkpoint's order: embedding, two layers, head; some far larger than a bucket, some smaller. */
const SPECS = [
  { name: "embedding", shape: [40, 50], decays: true },
  { name: "0.weight", shape: [30, 30], decays: true },
  { name: "0.norm", shape: [5], decays: false },
  { name: "1.weight", shape: [30, 30], decays: true },
  { name: "1.norm", shape: [5], decays: false },
  { name: "norm", shape: [9], decays: false },
];
const layout = layoutParameters(SPECS);
const ELEMENTS = 512;

function bfloat16(values: Float32Array): Uint16Array<ArrayBuffer> {
  const made = new Uint16Array(values.length);
  float32ToBfloat16(values, made);
  return made;
}

/** The number as bfloat16 has it. */
function rounded(value: number): number {
  const made = new Float32Array(1);
  bfloat16ToFloat32(bfloat16(Float32Array.of(value)), made);
  return made[0];
}

/** A store of gradients that differ from rank to rank. */
function gradientsOf(rank: number): ParameterStore {
  const store = new ParameterStore(runtime, layout);
  for (const [i, { name }] of SPECS.entries()) {
    const values = store.tensor(name).float32();
    values.forEach((_, at) => values[at] = (rank + 1) * (i + 1) + at);
  }
  return store;
}

Deno.test("bucketsOf() covers a layout once, with every block somebody's", () => {
  for (const size of [1, 2, 3, 7]) {
    const buckets = bucketsOf(layout, size, ELEMENTS);
    const parts = buckets.flatMap((bucket) =>
      Array.from({ length: size }, (_, rank) => ownPart(bucket, rank))
    ).filter(({ length }) => length > 0).sort((a, b) => a.start - b.start);
    let at = 0;
    for (const { start, length } of parts) {
      assert.equal(start, at);
      assert.equal(length % 256, 0);
      at += length;
    }
    assert.equal(at, layout.length);
  }
});

Deno.test("gradients are summed bucket by bucket while others are not final, and all by the end", async () => {
  const calls: string[] = [];
  const comms = localComms(3, ({ rank, kind, length }) => {
    if (rank === 1) calls.push(`${kind} ${length}`);
  });
  const stores = comms.map(({ rank }) => gradientsOf(rank));
  const sums = comms.map((comm, i) =>
    new GradientSums(runtime, hostTensorComm(comm), stores[i], { elements: ELEMENTS })
  );
  for (let update = 0; update < 2; update++) {
    for (const { rank } of comms) {
      using fresh = gradientsOf(rank);
      stores[rank].flat.float32().set(fresh.flat.float32());
    }
    calls.length = 0;
    // One is told layer by layer, one late, and one of nothing: it had no rows.
    await sums[1].final(["norm"]);
    assert.equal(calls.length, 0, "its bucket holds norms of layers too");
    await sums[1].final(["1.weight", "1.norm"]);
    const early = calls.length;
    await sums[1].final(["0.weight", "0.norm"]);
    assert.ok(calls.length > early, "sums begin before the end");
    await sums[0].final(["norm", "1.weight", "1.norm"]);
    await Promise.all(sums.map((each) => each.finish()));
    assert.equal(calls.length, Math.ceil(layout.length / ELEMENTS));
    for (const store of stores) {
      for (const [i, { name }] of SPECS.entries()) {
        const values = store.tensor(name).float32();
        values.forEach((value, at) => assert.equal(value, 6 * (i + 1) + 3 * at, `${name} ${at}`));
      }
    }
  }
  for (const each of [...sums, ...stores]) each[Symbol.dispose]();
});

Deno.test("bfloat16 gradients are summed in float32, a few buckets at a time, and rounded once", async () => {
  for (
    const [widened, scatter] of [
      ...[[1, false], [undefined, true], [99, false], [99, true]] as const,
    ]
  ) {
    const underWay: number[] = [];
    let begun = 0;
    const comms = localComms(3, ({ rank }) => rank === 0 && begun++);
    const stores = comms.map(() => new ParameterStore(runtime, layout, { dtype: "bfloat16" }));
    const valueOf = (rank: number, at: number): number => (rank + 1) * (1 + at % 251 / 256) / 3;
    for (const [rank, store] of stores.entries()) {
      store.flat.write(
        bfloat16(Float32Array.from({ length: layout.length }, (_, at) => valueOf(rank, at))),
      );
      store.zeroGaps();
    }
    const sums = comms.map((comm, i) => {
      const host = hostTensorComm(comm);
      const join = (): Promise<void> => {
        if (i === 0) underWay.push(begun);
        begun = 0;
        return host.join();
      };
      const options = { elements: ELEMENTS, widened, scatter };
      return new GradientSums(runtime, { ...host, join }, stores[i], options);
    });
    await Promise.all(sums.map((each) => each.finish()));
    const buckets = Math.ceil(layout.length / ELEMENTS);
    assert.equal(underWay.reduce((sum, each) => sum + each), buckets);
    assert.equal(Math.max(...underWay), Math.min(widened ?? 2, buckets));
    const parts = stores.map((_, rank) =>
      Float32Array.from({ length: layout.length }, (_, at) => rounded(valueOf(rank, at)))
    );
    const expected = bfloat16(
      parts[0].map((value, at) => Math.fround(Math.fround(value + parts[1][at]) + parts[2][at])),
    );
    using summed = new ParameterStore(runtime, layout, { dtype: "bfloat16" });
    summed.flat.write(expected);
    summed.zeroGaps();
    for (const [rank, store] of stores.entries()) {
      for (const bucket of bucketsOf(layout, comms.length, ELEMENTS)) {
        const { start, length } = scatter ? ownPart(bucket, rank) : bucket;
        const [own, sums] = [store, summed].map(({ flat }) =>
          flat.bytes().slice(2 * start, 2 * (start + length))
        );
        assert.deepEqual(own, sums);
      }
    }
    for (const each of [...sums, ...stores]) each[Symbol.dispose]();
  }
});

Deno.test("scattered, each has the sums of its own part, and gaps stay 0", async () => {
  const kinds = new Set<string>();
  const comms = localComms(3, ({ kind }) => kinds.add(kind.split(" ")[0]));
  const stores = comms.map(({ rank }) => gradientsOf(rank));
  const options = { elements: ELEMENTS, scatter: true };
  const sums = comms.map((comm, i) =>
    new GradientSums(runtime, hostTensorComm(comm), stores[i], options)
  );
  await Promise.all(sums.map((each) => each.finish()));
  assert.deepEqual([...kinds], ["reduceScatterSum"]);
  using whole = gradientsOf(0);
  for (const [i, { name }] of SPECS.entries()) {
    const values = whole.tensor(name).float32();
    values.forEach((_, at) => values[at] = 6 * (i + 1) + 3 * at);
  }
  for (const [rank, store] of stores.entries()) {
    for (const bucket of bucketsOf(layout, comms.length, ELEMENTS)) {
      const { start, length } = ownPart(bucket, rank);
      assert.deepEqual(
        store.flat.float32().subarray(start, start + length),
        whole.flat.float32().subarray(start, start + length),
      );
    }
    const used = new Set(SPECS.flatMap(({ name, shape }) => {
      const count = shape.reduce((product, each) => product * each, 1);
      return Array.from({ length: count }, (_, at) => layout.offsets.get(name)! + at);
    }));
    store.flat.float32().forEach((value, at) => {
      if (!used.has(at)) assert.equal(value, 0, `gap at ${at}`);
    });
    store[Symbol.dispose]();
  }
});
