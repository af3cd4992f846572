import assert from "node:assert/strict";
import { assertClose } from "../../ort/tensor/assert_close.ts";
import { draws } from "../../tests/support/random.ts";
import { dense, type DenseMap, interpret } from "../../tests/support/reference_interpreter.ts";
import { tinyConfig } from "../../tests/support/tiny_model.ts";
import { chunkBackwardGraph, chunkForwardGraph, chunkMaskGraph } from "./attention_chunk_graphs.ts";

const [HEADS, KV_HEADS, DIM, TOKENS] = [4, 2, 2, 7];
const config = tinyConfig({
  head_dim: DIM,
  num_attention_heads: HEADS,
  num_key_value_heads: KV_HEADS,
});
/** Segments of 2 and 5 tokens, by where each token's begins. */
const STARTS = [0, 0, 2, 2, 2, 2, 2];

type Rows = readonly (readonly number[])[];

function randomRows(columns: number, seed: number): number[][] {
  const draw = draws(seed);
  return Array.from({ length: TOKENS }, () => Array.from({ length: columns }, () => draw()));
}

const [q, k, v] = [HEADS, KV_HEADS, KV_HEADS].map((heads, i) => randomRows(heads * DIM, i + 1));
const dMixed = randomRows(HEADS * DIM, 4);
const tensor = (rows: Rows) => {
  const flat = rows.flat();
  return dense([rows.length, rows[0].length], (i) => flat[i]);
};

/** Attention by plain loops. */
function attention(q: Rows, k: Rows, v: Rows): number[][] {
  return q.map((row, t) =>
    row.map((_, at) => {
      const [head, i] = [Math.floor(at / DIM), at % DIM];
      const own = Math.floor(head / (HEADS / KV_HEADS));
      let [sum, mixed] = [0, 0];
      for (let s = STARTS[t]; s <= t; s++) {
        let score = 0;
        for (let j = 0; j < DIM; j++) score += row[head * DIM + j] * k[s][own * DIM + j];
        const share = Math.exp(score * DIM ** -0.5);
        sum += share;
        mixed += share * v[s][own * DIM + i];
      }
      return mixed / sum;
    })
  );
}

/** Gradients of Σ dMixed · mixed over the queries of a chunk, by differences. */
function gradients(start: number, end: number): readonly number[][][] {
  const inputs: readonly Rows[] = [q, k, v];
  const total = (which: number, changed: Rows): number => {
    const [a, b, c] = inputs.with(which, changed);
    return attention(a, b, c).slice(start, end)
      .reduce(
        (sum, row, t) => sum + row.reduce((all, each, i) => all + each * dMixed[start + t][i], 0),
        0,
      );
  };
  const STEP = 1e-5;
  return inputs.map((rows, which) =>
    rows.map((row, t) =>
      row.map((each, i) => {
        const at = (change: number) => total(which, rows.with(t, row.with(i, each + change)));
        return (at(STEP) - at(-STEP)) / (2 * STEP);
      })
    )
  );
}

/** What a chunk's graphs take: queries from start to end, and keys from the first on. */
function chunkInputs(
  start: number,
  end: number,
  firstKey: number,
): [DenseMap, Record<string, number>] {
  const [length, keys] = [end - start, end - firstKey];
  const { mask } = interpret(chunkMaskGraph(), {
    starts: dense([length], (i) => STARTS[start + i]),
    queries: dense([length], (i) => start + i),
    keys: dense([keys], (i) => firstKey + i),
  }, { length, keys });
  assert.deepEqual(mask.shape, [1, 1, 1, length, keys]);
  mask.data.forEach((value, at) => {
    const [query, key] = [start + Math.floor(at / keys), firstKey + at % keys];
    assert.equal(value, STARTS[query] <= key && key <= query ? 0 : -1e9, `${query}, ${key}`);
  });
  const symbols = { rows: 1, length, keys, tokens: TOKENS };
  const mixed = attention(q, k, v);
  return [{
    ...{
      mask,
      q: tensor(q),
      k: tensor(k),
      v: tensor(v),
      mixed: tensor(mixed),
      d_mixed: tensor(dMixed),
    },
    query_ids: dense([length, 1], (i) => start + i),
    key_ids: dense([keys, 1], (i) => firstKey + i),
  }, symbols];
}

const CHUNKS = [[0, 2, 0], [0, 4, 0], [4, 7, 2], [5, 6, 1]] as const;

Deno.test("a chunk's queries are mixed in place, as by plain loops", () => {
  const before = randomRows(HEADS * DIM, 5);
  const mixed = attention(q, k, v);
  for (const [start, end, firstKey] of CHUNKS) {
    const graph = chunkForwardGraph(config);
    const [inputs, symbols] = chunkInputs(start, end, firstKey);
    const outputs = interpret(graph, { ...inputs, mixed_before: tensor(before) }, symbols);
    const expected = before.flatMap((row, t) => t >= start && t < end ? mixed[t] : row);
    assertClose([...outputs.mixed.data], expected, { absolute: 1e-6, label: `${start} to ${end}` });
    assert.deepEqual([graph.name, [...graph.aliases]], ["attention_forward", [[
      "mixed",
      "mixed_before",
    ]]]);
  }
  const whole = chunkForwardGraph(config, { whole: true });
  const [inputs, symbols] = chunkInputs(0, TOKENS, 0);
  const outputs = interpret(whole, inputs, symbols);
  assertClose([...outputs.mixed.data], mixed.flat(), { absolute: 1e-6, label: "whole" });
  assert.equal(whole.aliases.size, 0);
});

Deno.test("a chunk's gradients are those of its queries, by differences, added to what was there", () => {
  const names = ["dq", "dk", "dv"];
  const before = [HEADS, KV_HEADS, KV_HEADS].map((heads, i) => randomRows(heads * DIM, i + 6));
  for (const [start, end, firstKey] of CHUNKS) {
    const expected = gradients(start, end);
    const [inputs, symbols] = chunkInputs(start, end, firstKey);
    const past = Object.fromEntries(names.map((name, i) => [`${name}_before`, tensor(before[i])]));
    for (const first of [false, true]) {
      const label = `${start} to ${end}, ${first}`;
      const graph = chunkBackwardGraph(config, { first });
      const outputs = interpret(graph, { ...inputs, ...past }, symbols);
      const queries = before[0].flatMap((row, t) => t >= start && t < end ? expected[0][t] : row);
      assertClose([...outputs.dq.data], queries, { absolute: 1e-6, label });
      for (const i of [1, 2]) {
        const added = expected[i].flat().map((each, at) =>
          each + (first ? 0 : before[i].flat()[at])
        );
        assertClose([...outputs[names[i]].data], added, { absolute: 1e-6, label });
      }
      assert.equal(graph.name, first ? "attention_backward_first" : "attention_backward");
      assert.deepEqual(
        [...graph.aliases],
        (first ? ["dq"] : names).map((name) => [name, `${name}_before`]),
      );
    }
  }
  const [inputs, symbols] = chunkInputs(0, TOKENS, 0);
  const outputs = interpret(
    chunkBackwardGraph(config, { whole: true, first: true }),
    inputs,
    symbols,
  );
  gradients(0, TOKENS).forEach((expected, i) => {
    assertClose([...outputs[names[i]].data], expected.flat(), { absolute: 1e-6, label: "whole" });
  });
  assert.equal(chunkBackwardGraph(config).name, "attention_backward");
});
