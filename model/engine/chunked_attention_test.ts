import assert from "node:assert/strict";
import {
  assertAttention,
  chunkedNumbers,
  maskedNumbers,
} from "../../tests/support/chunked_attention.ts";
import { tinyConfig, WINDOWED } from "../../tests/support/tiny_model.ts";
import type { Symbols } from "../../ort/graph/dim.ts";
import { type Graph, KERNEL_DOMAIN } from "../../ort/graph/ir.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import type { TensorMap } from "../../ort/runtime/session.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import { ChunkedAttention, type ChunkedAttentionContext } from "./chunked_attention.ts";
import { Scratch } from "./scratch.ts";

const runtime = new Runtime({ threads: 2 });

/** Tensors of two rows of six tokens, in heads of 8: four of queries, two of keys. */
const SHAPES = {
  ...{ q: [2, 6, 32], k: [2, 6, 16], v: [2, 6, 16], starts: [12], mixed: [12, 32] },
  ...{ d_mixed: [12, 32], dq: [2, 6, 32], dk: [2, 6, 16], dv: [2, 6, 16], other: [12, 32] },
};
/** One segment in the first row; another with padding behind it in the second. */
const GRID = {
  ...{ rows: 2, length: 6, segmentIds: Int32Array.of(1, 1, 1, 1, 1, 1, 2, 2, 2, 0, 0, 0) },
  ...{ inputIds: new BigInt64Array(12), positionIds: new BigInt64Array(12) },
};

/**
 * Attention whose graphs write down what they are run with: of tensors that are given their names, of others
 * their numbers, and of a mask which of them it is.
 */
function recorded(queries: number) {
  const owned = new DisposableStack();
  const tensors = Object.fromEntries(
    Object.entries(SHAPES).map(([name, shape]) => [
      name,
      owned.use(Tensor.allocate(runtime, "float32", shape)),
    ]),
  ) as Record<keyof typeof SHAPES, Tensor>;
  const names = new Map(Object.entries(tensors).map(([name, { address }]) => [address, name]));
  const events: string[] = [];
  let masks = 0;
  const textOf = (tensor: Tensor): string => {
    const name = names.get(tensor.address);
    if (name !== undefined) return `${name}[${tensor.shape}]`;
    if (tensor.dtype === "float32") return `mask ${tensor.float32()[0]} [${tensor.shape}]`;
    const values = tensor.dtype === "int32" ? tensor.int32() : tensor.int64();
    return `${tensor.dtype}[${tensor.shape}](${values.join(" ")})`;
  };
  const describe = (given: TensorMap, symbols: Symbols | undefined): string =>
    `${Object.entries(given).map(([name, each]) => `${name}=${textOf(each)}`).join(", ")} ${
      JSON.stringify(symbols)
    }`;
  const graph = (name: string, make: () => Graph) => {
    const { name: made, inputs } = make();
    const whole = inputs.some(({ name }) => name === "query_ids") ? "of a chunk" : "of all";
    return {
      run({ mask, ...given }: TensorMap, symbols: Symbols): void {
        mask.float32().fill(++masks);
        events.push(`${name} ${made}: ${describe({ ...given, mask }, symbols)}`);
      },
      bind: (given: TensorMap) => {
        assert.deepEqual(given, {});
        return {
          run: () => void events.push(`run ${name}`),
          [Symbol.dispose]: () => void events.push(`release ${name}`),
        };
      },
      bindMore: (_: unknown, given: TensorMap, symbols: Symbols): void =>
        void events.push(`bind ${name} ${made} ${whole}: ${describe(given, symbols)}`),
    };
  };
  const scratch = owned.use(new Scratch(runtime));
  const context = { config: tinyConfig(WINDOWED), scratch, graph };
  const attention = new ChunkedAttention(context as unknown as ChunkedAttentionContext, queries);
  const launch = (
    op: string,
    inputs: readonly (Tensor | undefined)[],
    outputs: readonly Tensor[],
    window?: number,
  ): string[] => {
    const node = { op, domain: KERNEL_DOMAIN, inputs: [], outputs: [], attributes: {} } as const;
    attention.launcher(window)(node, inputs, outputs);
    return events.splice(0);
  };
  const { q, k, v, starts, mixed, d_mixed, dq, dk, dv, other } = tensors;
  return {
    prepare: (grid = GRID) => {
      attention.prepare(grid);
      return events.splice(0);
    },
    forward: (window?: number, to = mixed) =>
      launch("SegmentAttention", [q, k, v, starts], [to], window),
    backward: () =>
      launch(
        "SegmentAttentionGradient",
        [q, k, v, starts, undefined, mixed, undefined, d_mixed],
        [dq, dk, dv],
      ),
    other,
    released: () => {
      attention[Symbol.dispose]();
      return events.splice(0);
    },
    [Symbol.dispose]: () => owned.dispose(),
  };
}

const FIRST_IDS = "query_ids=int64[8,1](0 1 2 3 4 5 6 7), key_ids=int64[8,1](0 1 2 3 4 5 6 7)";
const SECOND_IDS = "query_ids=int64[4,1](8 9 10 11), key_ids=int64[8,1](4 5 6 7 8 9 10 11)";
/** Tensors of a node by tokens, each in place of what it was before too. */
const bound = (...values: readonly (readonly [name: string, width: number, of?: string])[]) =>
  values.map(([name, width, tensor = name]) =>
    `${name}_before=${tensor}[12,${width}], ${name}=${tensor}[12,${width}]`
  ).join(", ");
const QKV = [["q", 32], ["k", 16], ["v", 16]] as const;
const sizes = (length: number, keys: number): string =>
  JSON.stringify({ rows: 1, length, keys, tokens: 12 });

/** What binds both chunks forwards, with masks of these numbers. */
function boundForwards([first, second]: readonly number[], to = "mixed"): string[] {
  const name = "SegmentAttention";
  const tensors = bound(...QKV, ["mixed", 32, to]);
  return [
    `bind ${name} attention_forward of a chunk: mask=mask ${first} [1,1,1,8,8], ` +
    `${FIRST_IDS}, ${tensors} ${sizes(8, 8)}`,
    `run ${name}`,
    `bind ${name} attention_forward of a chunk: mask=mask ${second} [1,1,1,4,8], ` +
    `${SECOND_IDS}, ${tensors} ${sizes(4, 8)}`,
    `run ${name}`,
  ];
}

Deno.test("each chunk of each window has a mask of where its queries' keys begin", () => {
  using attention = recorded(8);
  const first = "queries=int32[8](0 1 2 3 4 5 6 7), keys=int32[8](0 1 2 3 4 5 6 7)";
  const second = "queries=int32[4](8 9 10 11), keys=int32[8](4 5 6 7 8 9 10 11)";
  assert.deepEqual(attention.prepare(), [
    `attention_mask attention_mask: starts=int32[8](0 0 0 0 0 0 6 6), ${first}, ` +
    `mask=mask 1 [1,1,1,8,8] {"length":8,"keys":8}`,
    `attention_mask attention_mask: starts=int32[4](6 9 10 11), ${second}, ` +
    `mask=mask 2 [1,1,1,4,8] {"length":4,"keys":8}`,
    // A window of three tokens.
    `attention_mask attention_mask: starts=int32[8](0 0 0 1 2 3 6 6), ${first}, ` +
    `mask=mask 3 [1,1,1,8,8] {"length":8,"keys":8}`,
    `attention_mask attention_mask: starts=int32[4](6 9 10 11), ${second}, ` +
    `mask=mask 4 [1,1,1,4,8] {"length":4,"keys":8}`,
  ]);
});

Deno.test("a chunk is bound once for the same tensors and chunks, of each window", () => {
  using attention = recorded(8);
  attention.prepare();
  const runs = ["run SegmentAttention", "run SegmentAttention"];
  assert.deepEqual(attention.forward(), boundForwards([1, 2]));
  assert.deepEqual(attention.forward(), runs);
  assert.deepEqual(attention.forward(3), boundForwards([3, 4]));
  assert.deepEqual(attention.forward(), runs);
  // Other tensors: a chunk's binding goes when its next one is made.
  const [bindFirst, run, bindSecond] = boundForwards([1, 2], "other");
  const release = "release SegmentAttention";
  assert.deepEqual(
    attention.forward(undefined, attention.other),
    [bindFirst, bindSecond].flatMap((bind) => [release, bind, run]),
  );
  // The same sizes of another batch: masks are written anew where they were.
  attention.prepare();
  assert.deepEqual(attention.forward(undefined, attention.other), runs);
  assert.deepEqual(attention.forward(3), runs);
  // Other chunks: the second row's second segment begins where the second chunk does.
  attention.prepare({ ...GRID, segmentIds: GRID.segmentIds.slice().fill(3, 8) });
  for (const window of [undefined, 3]) {
    const events = attention.forward(window, attention.other);
    assert.equal(events.filter((each) => each === release).length, 2);
  }
  assert.deepEqual(attention.released(), Array(4).fill(release));
});

Deno.test("backwards the first chunk writes what the others add to", () => {
  using attention = recorded(8);
  attention.prepare();
  const gradients = [["dq", 32], ["dk", 16], ["dv", 16]] as const;
  const tensors = bound(...QKV, ["mixed", 32], ["d_mixed", 32], ...gradients);
  const name = "SegmentAttentionGradient";
  assert.deepEqual(attention.backward(), [
    `bind ${name}_first attention_backward_first of a chunk: mask=mask 1 [1,1,1,8,8], ` +
    `${FIRST_IDS}, ${tensors} ${sizes(8, 8)}`,
    `run ${name}_first`,
    `bind ${name} attention_backward of a chunk: mask=mask 2 [1,1,1,4,8], ` +
    `${SECOND_IDS}, ${tensors} ${sizes(4, 8)}`,
    `run ${name}`,
  ]);
  assert.deepEqual(attention.released(), [`release ${name}_first`, `release ${name}`]);
});

Deno.test("a grid in one chunk has graphs of all tokens", () => {
  using attention = recorded(12);
  const grid = { ...GRID, segmentIds: Int32Array.of(1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2) };
  attention.prepare(grid);
  const [forward, ...run] = attention.forward();
  assert.match(forward, /^bind SegmentAttention_whole attention_forward of all: mask=mask 1 /);
  assert.deepEqual(run, ["run SegmentAttention_whole"]);
  const [backward, ...more] = attention.backward();
  assert.match(
    backward,
    /^bind SegmentAttentionGradient_whole attention_backward_first of all: mask=mask 1 /,
  );
  assert.deepEqual(more, ["run SegmentAttentionGradient_whole"]);
});

Deno.test("attention in chunks gives what attention with a mask gives", () => {
  const given = {
    config: tinyConfig({ ...WINDOWED, max_window_layers: 0, sliding_window: 4 }),
    rows: 2,
    segmentIds: Int32Array.of(1, 1, 1, 1, 1, 1, 2, 2, 3, 3, 3, 3, 3, 3, 3, 0),
  };
  const expected = maskedNumbers(runtime, given);
  const actual = chunkedNumbers(runtime, given, { queries: 4, views: true });
  assertAttention(actual, { expected, given, tolerance: 5e-6 });
});
