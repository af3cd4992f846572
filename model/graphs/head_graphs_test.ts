import assert from "node:assert/strict";
import type { Graph } from "../../ort/graph/ir.ts";
import { assertClose } from "../../ort/tensor/assert_close.ts";
import { draws } from "../../tests/support/random.ts";
import { dense, type DenseMap, interpret } from "../../tests/support/reference_interpreter.ts";
import { tinyConfig } from "../../tests/support/tiny_model.ts";
import type { ModelConfig } from "../config.ts";
import {
  attentionMaskGraph,
  embeddingBackwardGraph,
  embedGraph,
  headBackwardGraph,
  headGraph,
  type HeadGraphOptions,
  headLogitsGraph,
  headLossGraph,
  headProductGraph,
} from "./training_graphs.ts";
import { crossEntropyParts } from "./cross_entropy.ts";
import { GraphBuilder } from "../../ort/graph/builder.ts";
import { placeRowsGraph, takeRowsGraph } from "./row_graphs.ts";
import { castGraph, zerosGraph } from "./device_graphs.ts";

// The interpreter computes in float64; constants such as a scale of logits are float32's.
const CLOSE = { relativeToMax: 1e-6 };

const VOCAB = 5;
const WIDTH = 6;
const TOKENS = 7;
/** Chosen tokens, in no order, and what each is to predict. */
const IDS = [4, 0, 6];
const TARGETS = [2, 0, 4];

const SIZES = { hidden_size: WIDTH, vocab_size: VOCAB };
/** Heads that differ in how logits are made. */
const HEADS: readonly (readonly [string, ModelConfig])[] = [
  ["plain", tinyConfig({ ...SIZES, tie_word_embeddings: false })],
  ["tied", tinyConfig(SIZES)],
  ["scaled", tinyConfig({ ...SIZES, model_type: "granite", logits_scaling: 4 })],
  [
    "capped, of norms with an offset",
    tinyConfig({ ...SIZES, model_type: "gemma3_text", final_logit_softcapping: 2 }),
  ],
];

type Rows = readonly (readonly number[])[];

function randomRows(rows: number, columns: number, seed: number): number[][] {
  const draw = draws(seed);
  return Array.from({ length: rows }, () => Array.from({ length: columns }, () => draw(-1, 1.5)));
}

const X = randomRows(TOKENS, WIDTH, 1);
const HEAD = randomRows(VOCAB, WIDTH, 2);
const NORM = randomRows(1, WIDTH, 3)[0];
const BEFORE = {
  dx_before: randomRows(TOKENS, WIDTH, 4),
  "accumulated.lm_head": randomRows(VOCAB, WIDTH, 5),
  "accumulated.model.norm.weight": randomRows(1, WIDTH, 6),
};

const tensor = (rows: Rows, shape: readonly number[]) => {
  const flat = rows.flat();
  return dense(shape, (i) => flat[i]);
};

/** Everything that any of the head's graphs takes. */
const INPUTS: DenseMap = {
  x: tensor(X, [TOKENS, WIDTH]),
  token_ids: dense([3, 1], (i) => IDS[i]),
  targets: dense([3, 1], (i) => TARGETS[i]),
  lm_head: tensor(HEAD, [VOCAB, WIDTH]),
  "model.norm.weight": tensor([NORM], [WIDTH]),
  scale: dense([], () => 0.5),
  dx_before: tensor(BEFORE.dx_before, [TOKENS, WIDTH]),
  "accumulated.lm_head": tensor(BEFORE["accumulated.lm_head"], [VOCAB, WIDTH]),
  "accumulated.model.norm.weight": tensor(BEFORE["accumulated.model.norm.weight"], [WIDTH]),
};

/** The numbers of a graph's outputs. */
function run(graph: Graph, more: DenseMap = {}): Readonly<Record<string, readonly number[]>> {
  const outputs = interpret(graph, { ...INPUTS, ...more }, { tokens: TOKENS, n: 3 });
  return Object.fromEntries(Object.entries(outputs).map(([name, { data }]) => [name, [...data]]));
}

/** Logits of one token by plain loops. */
function logitsOf(
  config: ModelConfig,
  x: readonly number[],
  head: Rows,
  norm: readonly number[],
): number[] {
  const { rmsNormEps, normOffset, logitScale, logitCap } = config;
  const mean = x.reduce((sum, each) => sum + each ** 2, 0) / WIDTH;
  const normed = x.map((each, i) => each / Math.sqrt(mean + rmsNormEps) * (norm[i] + normOffset));
  return head.map((row) => {
    const product = logitScale * row.reduce((sum, each, i) => sum + each * normed[i], 0);
    return logitCap === undefined ? product : logitCap * Math.tanh(product / logitCap);
  });
}

/** The loss of each chosen token. */
function lossesOf(config: ModelConfig, x: Rows, head: Rows, norm: readonly number[]): number[] {
  return IDS.map((id, i) => {
    const logits = logitsOf(config, x[id], head, norm);
    const sum = logits.reduce((all, each) => all + Math.exp(each), 0);
    return Math.log(sum) - logits[TARGETS[i]];
  });
}

/** Gradients of Σ weight · loss by differences: of x, of the head and of the norm. */
function gradientsOf(config: ModelConfig, weights: readonly number[]) {
  const total = (x: Rows, head: Rows, norm: readonly number[]): number =>
    lossesOf(config, x, head, norm).reduce((sum, loss, i) => sum + weights[i] * loss, 0);
  const STEP = 1e-5;
  const slope = (of: (change: number) => number): number => (of(STEP) - of(-STEP)) / (2 * STEP);
  const moved = (rows: Rows, row: number, column: number, change: number): Rows =>
    rows.with(row, rows[row].with(column, rows[row][column] + change));
  return {
    x: X.map((values, row) =>
      values.map((_, column) => slope((change) => total(moved(X, row, column, change), HEAD, NORM)))
    ),
    head: HEAD.map((values, row) =>
      values.map((_, column) => slope((change) => total(X, moved(HEAD, row, column, change), NORM)))
    ),
    norm: NORM.map((_, column) =>
      slope((change) => total(X, HEAD, NORM.with(column, NORM[column] + change)))
    ),
  };
}

Deno.test("logits and losses of chosen tokens are computed as by plain loops", () => {
  for (const [label, config] of HEADS) {
    const logits = IDS.flatMap((id) => logitsOf(config, X[id], HEAD, NORM));
    assertClose(run(headLogitsGraph(config)).logits, logits, { ...CLOSE, label });
    const losses = lossesOf(config, X, HEAD, NORM);
    for (const logSoftmax of [false, true]) {
      const { loss } = run(headLossGraph(config, { logSoftmax }));
      assertClose(loss, losses, { ...CLOSE, label: `${label}, ${logSoftmax}` });
    }
    assertClose(run(headLossGraph(config)).loss, losses, { ...CLOSE, label });
    // For a kernel: what is capped there is not capped here.
    const { logitCap: _, ...uncapped } = config;
    const products = IDS.flatMap((id) => logitsOf(uncapped as ModelConfig, X[id], HEAD, NORM));
    assertClose(run(headProductGraph(config)).logits, products, { ...CLOSE, label });
  }
});

/** Asserts what a head's graph gives out, of gradients of what it adds to. */
function assertGradients(
  config: ModelConfig,
  actual: Readonly<Record<string, readonly number[]>>,
  { weights, accumulate, frozen, label }: {
    readonly weights: readonly number[];
    readonly accumulate: boolean;
    readonly frozen: boolean;
    readonly label: string;
  },
): void {
  const { x, head, norm } = gradientsOf(config, weights);
  const close = { relativeToMax: 1e-6, label };
  // Only the chosen rows of dx are written.
  const dx = BEFORE.dx_before.flatMap((row, i) => IDS.includes(i) ? x[i] : row);
  assertClose(actual.dx, dx, close);
  if (frozen) {
    assert.deepEqual(Object.keys(actual).filter((name) => name.startsWith("grad.")), []);
    return;
  }
  const added = (rows: Rows, before: Rows): number[] =>
    rows.flat().map((each, i) => each + (accumulate ? before.flat()[i] : 0));
  assertClose(actual["grad.lm_head"], added(head, BEFORE["accumulated.lm_head"]), close);
  const before = BEFORE["accumulated.model.norm.weight"];
  assertClose(actual["grad.model.norm.weight"], added([norm], before), close);
}

/** Every way in which the head is trained, and the name of its graph. */
const WAYS: readonly (readonly [HeadGraphOptions, string])[] = [
  [{}, "head"],
  [{ accumulate: true, frozen: false, weighed: false }, "head"],
  [{ accumulate: false }, "head_first"],
  [{ frozen: true }, "head_frozen"],
  [{ frozen: true, accumulate: false }, "head_frozen"],
  [{ weighed: true }, "head_weighed"],
  [{ weighed: true, accumulate: false, logSoftmax: true }, "head_first_weighed"],
  [{ weighed: true, frozen: true }, "head_frozen_weighed"],
];

Deno.test("the head's gradients are those of its losses, by differences", () => {
  for (const [head, config] of HEADS) {
    for (const [options, name] of WAYS) {
      const label = `${head}, ${JSON.stringify(options)}`;
      const graph = headGraph(config, options);
      assert.equal(graph.name, name);
      const weights = options.weighed ? [0.5, -2, 3] : [0.5, 0.5, 0.5];
      const scale = options.weighed ? dense([3, 1], (i) => weights[i]) : INPUTS.scale;
      const actual = run(graph, { scale });
      assertClose(actual.loss, lossesOf(config, X, HEAD, NORM), { ...CLOSE, label });
      const { accumulate = true, frozen = false } = options;
      assertGradients(config, actual, { weights, accumulate, frozen, label });
    }
  }
});

Deno.test("the head goes back from the gradient of its logits as it does from its loss", () => {
  // A kernel has no caps.
  for (const [head, config] of HEADS.slice(0, 3)) {
    for (
      const [options, name] of [
        [{}, "head_backward"],
        [{ accumulate: false }, "head_backward_first"],
        [{ frozen: true }, "head_backward_frozen"],
        [{ frozen: true, accumulate: false }, "head_backward_frozen"],
      ] as const
    ) {
      const weights = [0.5, -2, 3];
      const dLogits = IDS.flatMap((id, i) => {
        const logits = logitsOf(config, X[id], HEAD, NORM);
        const sum = logits.reduce((all, each) => all + Math.exp(each), 0);
        return logits.map((each, j) =>
          weights[i] * (Math.exp(each) / sum - Number(j === TARGETS[i]))
        );
      });
      const graph = headBackwardGraph(config, options);
      assert.equal(graph.name, name);
      const actual = run(graph, { d_logits: dense([3, VOCAB], (i) => dLogits[i]) });
      const { accumulate = true, frozen = false } = { accumulate: true, frozen: false, ...options };
      const label = `${head}, ${JSON.stringify(options)}`;
      assertGradients(config, actual, { weights, accumulate, frozen, label });
    }
  }
});

Deno.test("outputs of the head lie over what they are added to", () => {
  const [, [, config]] = HEADS;
  const added = [
    ["grad.lm_head", "accumulated.lm_head"],
    ["grad.model.norm.weight", "accumulated.model.norm.weight"],
    ["dx", "dx_before"],
  ];
  for (const graph of [headGraph(config), headBackwardGraph(config)]) {
    assert.deepEqual([...graph.aliases], added);
  }
  for (const options of [{ accumulate: false }, { frozen: true }]) {
    for (const make of [headGraph, headBackwardGraph]) {
      assert.deepEqual([...make(config, options).aliases], [["dx", "dx_before"]]);
    }
  }
});

Deno.test("the head's dtypes are the precision's, but for scale, logits and losses", () => {
  const [[, config]] = HEADS;
  const dtypes = (graph: Graph) =>
    Object.fromEntries([...graph.inputs, ...graph.outputs].map(({ name, dtype }) => [name, dtype]));
  const common = {
    ...{ x: "bfloat16", token_ids: "int64", "model.norm.weight": "bfloat16", lm_head: "bfloat16" },
  };
  const gradients = {
    ...{ dx_before: "bfloat16", dx: "bfloat16", "accumulated.lm_head": "bfloat16" },
    ...{ "accumulated.model.norm.weight": "bfloat16", "grad.lm_head": "bfloat16" },
    "grad.model.norm.weight": "bfloat16",
  };
  const half = { precision: "bfloat16" } as const;
  assert.deepEqual(dtypes(headGraph(config, half)), {
    ...{ ...common, ...gradients, targets: "int64", scale: "float32", loss: "float32" },
  });
  assert.deepEqual(dtypes(headBackwardGraph(config, half)), {
    ...{ ...common, ...gradients, d_logits: "bfloat16" },
  });
  assert.deepEqual(dtypes(headLossGraph(config, half)), {
    ...{ ...common, targets: "int64", loss: "float32" },
  });
  assert.deepEqual(dtypes(headLogitsGraph(config, half)), { ...common, logits: "float32" });
});

Deno.test("both ways of cross-entropy give its parts", () => {
  for (const logSoftmax of [false, true]) {
    const b = new GraphBuilder("parts");
    const logits = b.input("logits", "float32", [2, 3]);
    const parts = crossEntropyParts(b, logits, b.input("targets", "int64", [2, 1]), { logSoftmax });
    b.output("loss", parts.loss);
    b.output("probabilities", parts.probabilities);
    b.output("at_target", parts.atTarget());
    const outputs = interpret(b.build(), {
      // Of 1, 3 and 4 eighths, and of 2, 1 and 1 quarters.
      logits: dense([2, 3], (i) => Math.log([1, 3, 4, 2, 1, 1][i])),
      targets: dense([2, 1], (i) => [1, 2][i]),
    });
    const label = `${logSoftmax}`;
    assertClose([...outputs.loss.data], [Math.log(8 / 3), Math.log(4)], { ...CLOSE, label });
    const shares = [1 / 8, 3 / 8, 1 / 2, 1 / 2, 1 / 4, 1 / 4];
    assertClose([...outputs.probabilities.data], shares, { ...CLOSE, label });
    assertClose([...outputs.at_target.data], [3 / 8, 1 / 4], { ...CLOSE, label });
  }
});

Deno.test("token ids become rows of the embedding, scaled where the family scales them", () => {
  const ids = [3, 0, 4, 3];
  const embedded = (config: ModelConfig): readonly number[] => {
    const { x } = interpret(embedGraph(config), {
      "model.embed_tokens.weight": tensor(HEAD, [VOCAB, WIDTH]),
      input_ids: dense([2, 2], (i) => ids[i]),
    }, { rows: 2, length: 2 });
    assert.deepEqual(x.shape, [4, WIDTH]);
    return [...x.data];
  };
  const rows = ids.flatMap((id) => HEAD[id]);
  assert.deepEqual(embedded(tinyConfig(SIZES)), rows);
  const granite = tinyConfig({ ...SIZES, model_type: "granite", embedding_multiplier: 12 });
  assert.deepEqual(embedded(granite), rows.map((each) => 12 * each));
  assert.equal(embedGraph(granite).name, "embed");
  assert.equal(embedGraph(granite, { noise: true }).name, "embed_noise");
});

Deno.test("a mask shows a token those of its segment up to itself, and of a window so many", () => {
  const segments = [1, 1, 2, 2, 0, 3, 3, 3, 3, 3];
  for (const window of [undefined, 1, 2, 4, 5]) {
    const graph = attentionMaskGraph(window === undefined ? {} : { window });
    const { mask } = interpret(graph, {
      segment_ids: dense([2, 5], (i) => segments[i]),
      columns: dense([5], (i) => i),
    }, { rows: 2, length: 5 });
    assert.deepEqual(mask.shape, [2, 1, 1, 5, 5]);
    mask.data.forEach((value, at) => {
      const [row, query, key] = [Math.floor(at / 25), Math.floor(at / 5) % 5, at % 5];
      const seen = segments[row * 5 + query] === segments[row * 5 + key] && key <= query &&
        query - key < (window ?? Infinity);
      assert.equal(value, seen ? 0 : -1e9, `window ${window}, ${row}, ${query}, ${key}`);
    });
  }
});

Deno.test("each token's gradient is added to its id's row of the embedding's", () => {
  const ids = [3, -1, 0, 3, 4, -1];
  const dx = randomRows(6, WIDTH, 7);
  const table = randomRows(VOCAB, WIDTH, 8);
  for (const embedding_multiplier of [1, 3]) {
    const config = tinyConfig({ ...SIZES, model_type: "granite", embedding_multiplier });
    const graph = embeddingBackwardGraph(config);
    const name = "model.embed_tokens.weight";
    const outputs = interpret(graph, {
      [`accumulated.${name}`]: tensor(table, [VOCAB, WIDTH]),
      dx: tensor(dx, [6, WIDTH]),
      input_ids: dense([6], (i) => ids[i]),
      unique_ids: dense([3, 1], (i) => [4, 3, 0][i]),
    }, { tokens: 6, unique: 3 });
    const expected = table.flatMap((row, id) =>
      row.map((each, i) =>
        ids.reduce((sum, own, t) => own === id ? sum + embedding_multiplier * dx[t][i] : sum, each)
      )
    );
    assertClose([...outputs[`grad.${name}`].data], expected, { ...CLOSE, label: "embedding" });
    assert.deepEqual([...graph.aliases], [[`grad.${name}`, `accumulated.${name}`]]);
  }
});

Deno.test("rows are taken out of a tensor and put into one", () => {
  const from = dense([4, 2], (i) => i);
  const { rows } = interpret(takeRowsGraph(2), { from, ids: dense([3], (i) => [3, 0, 2][i]) }, {
    ...{ tokens: 4, n: 3 },
  });
  assert.deepEqual([...rows.data], [6, 7, 0, 1, 4, 5]);
  const place = placeRowsGraph(2);
  const { into_new } = interpret(place, {
    into: from,
    ids: dense([2, 1], (i) => [3, 1][i]),
    rows: dense([2, 2], (i) => 10 + i),
  }, { tokens: 4, n: 2 });
  assert.deepEqual([...into_new.data], [0, 1, 12, 13, 4, 5, 10, 11]);
  assert.deepEqual([...place.aliases], [["into_new", "into"]]);
});

Deno.test("zeros are zeros of any shape and type, and numbers are cast as they are", () => {
  const { zeros } = interpret(zerosGraph("float32"), {}, { rows: 2, columns: 3 });
  assert.deepEqual(zeros, dense([2, 3], () => 0));
  assert.equal(zerosGraph("bfloat16").outputs[0].dtype, "bfloat16");
  const cast = castGraph("bfloat16", "float32");
  assert.deepEqual(
    interpret(cast, { x: dense([3], (i) => i) }, { elements: 3 }).y.data,
    dense([3], (i) => i).data,
  );
  assert.deepEqual([cast.inputs[0].dtype, cast.outputs[0].dtype], ["bfloat16", "float32"]);
});
