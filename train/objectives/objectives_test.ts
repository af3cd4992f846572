import assert from "node:assert/strict";
import { GraphBuilder } from "../../ort/graph/builder.ts";
import type { Graph } from "../../ort/graph/ir.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { assertClose } from "../../ort/tensor/assert_close.ts";
import { byElements } from "../../tests/support/central_differences.ts";
import { draws } from "../../tests/support/random.ts";
import { dense, interpret } from "../../tests/support/reference_interpreter.ts";
import type { Dense } from "../../tests/support/dense.ts";
import { runGraph } from "../../tests/support/run_graph.ts";
import { labelSmoothing } from "./label_smoothing.ts";
import { findObjective, objectives } from "./objectives.ts";

const ROWS = 5;
const VOCABULARY = 11;
// Of the largest gradient, about 1. Measured of cross-entropy: 2.9e-10 in float64, 4.8e-8 in float32. A graph's
// constants are float32 in both.
const FLOAT64 = 2e-7;
const FLOAT32 = 1e-6;

const draw = draws(5);
const runtime = new Runtime({ threads: 2 });
const inputs = {
  logits: dense([ROWS, VOCABULARY], () => draw(-3, 3)),
  // The first and the last id, and one twice.
  targets: dense([ROWS, 1], (i) => [0, VOCABULARY - 1, 4, 4, 7][i]),
};

Deno.test("an objective is found by its name, or is the one that is given", () => {
  assert.equal(findObjective(), objectives.cross_entropy);
  const own = { ...objectives.cross_entropy };
  assert.equal(findObjective(own), own);
  assert.throws(() => findObjective("guess"), /^RangeError: Cannot find objective "guess": there /);
});

const tried = { ...objectives, "label smoothing": labelSmoothing(0.1) };

/** Cross-entropy's gradient, each row times the probability of its target. */
function weighted(logSoftmax: boolean): Float64Array {
  const b = new GraphBuilder("cross_entropy");
  const logits = b.input("logits", "float32", [ROWS, VOCABULARY]);
  const targets = b.input("targets", "int64", [ROWS, 1]);
  const losses = objectives.cross_entropy.losses(b, logits, targets, { logSoftmax });
  b.output("loss", losses.loss);
  b.output("d_logits", losses.gradient("float32"));
  const { loss, d_logits } = interpret(b.build(), inputs, {});
  return Float64Array.from(
    d_logits.data,
    (each, i) => each * Math.exp(-loss.data[Math.floor(i / VOCABULARY)]),
  );
}

for (const [name, objective] of Object.entries(tried)) {
  for (const logSoftmax of [false, true]) {
    const graphOf = (gradient: boolean): Graph => {
      const b = new GraphBuilder("objective");
      const logits = b.input("logits", "float32", [ROWS, VOCABULARY]);
      const targets = b.input("targets", "int64", [ROWS, 1]);
      const losses = objective.losses(b, logits, targets, { logSoftmax });
      b.output("loss", losses.loss);
      if (gradient) b.output("d_logits", losses.gradient("float32"));
      return b.build();
    };
    const [plain, differentiated] = [graphOf(false), graphOf(true)];

    Deno.test(`${name}: its gradient is that of its losses, logSoftmax ${logSoftmax}`, () => {
      const total = (given: Readonly<Record<string, Dense>>): number =>
        interpret(plain, given, {}).loss.data.reduce((sum, each) => sum + each, 0);
      const elements = [...inputs.logits.data.keys()];
      const differences = byElements(total, inputs, "logits", elements);
      // Of DFT the target's probability, which is the loss of no other, counts as a constant.
      const expected = name === "dft" ? weighted(logSoftmax) : differences;
      const [exact, rounded] = [
        interpret(differentiated, inputs, {}),
        runGraph(runtime, differentiated, inputs, {}),
      ];
      const errors = [
        assertClose(exact.d_logits.data, expected, { relativeToMax: FLOAT64, label: "float64" }),
        assertClose(rounded.d_logits.data, expected, { relativeToMax: FLOAT32, label: "float32" }),
      ].map(({ maxAbsolute }) => maxAbsolute);
      if (Deno.env.get("ORTUNE_REPORT")) console.log(name, logSoftmax, errors);
    });

    Deno.test(`${name}: evaluation takes the losses of training, logSoftmax ${logSoftmax}`, () => {
      const [evaluated, trained] = [plain, differentiated].map((graph) =>
        runGraph(runtime, graph, inputs, {}).loss
      );
      assert.deepEqual(evaluated.shape, [ROWS, 1]);
      assert.deepEqual(evaluated.data, trained.data);
      assert.ok(evaluated.data.every((loss) => Number.isFinite(loss) && loss > 0));
    });
  }

  Deno.test(`${name}: its gradient is of the type that the model runs in`, () => {
    const b = new GraphBuilder("objective");
    const logits = b.input("logits", "float32", ["n", VOCABULARY]);
    const targets = b.input("targets", "int64", ["n", 1]);
    const { gradient } = objective.losses(b, logits, targets, { logSoftmax: true });
    const { dtype, shape } = gradient("bfloat16");
    assert.deepEqual([dtype, shape], ["bfloat16", ["n", VOCABULARY]]);
  });
}

Deno.test("losses are −log p, that times p, and the smoothed mean over the vocabulary", () => {
  // Probabilities 1/8, 1/8, 1/4, 1/2.
  const logits = [1, 1, 2, 4].map((each) => Math.log(each) + 3);
  const [half, quarter, eighth] = [1, 2, 3].map((each) => each * Math.LN2);
  const mean = (half + quarter + 2 * eighth) / 4;
  const expected = {
    cross_entropy: [eighth, quarter, half],
    dft: [eighth / 8, quarter / 4, half / 2],
    "label smoothing": [eighth, quarter, half].map((each) => 0.9 * each + 0.1 * mean),
  };
  for (const [name, losses] of Object.entries(expected)) {
    for (const logSoftmax of [false, true]) {
      const b = new GraphBuilder("objective");
      const given = b.input("logits", "float32", [3, 4]);
      const targets = b.input("targets", "int64", [3, 1]);
      const objective = tried[name as keyof typeof tried];
      b.output("loss", objective.losses(b, given, targets, { logSoftmax }).loss);
      const { loss } = interpret(b.build(), {
        logits: dense([3, 4], (i) => logits[i % 4]),
        targets: dense([3, 1], (i) => i + 1),
      });
      assertClose(loss.data, losses, { absolute: 1e-7, label: name });
    }
  }
});
