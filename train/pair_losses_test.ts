import assert from "node:assert/strict";
import { type Batch, collate } from "../data/batches/collator.ts";
import { joinExample } from "../data/examples/join_example.ts";
import { findPairObjective, pairObjectives } from "./objectives/pair_objectives.ts";
import { figureNames, PairLosses } from "./pair_losses.ts";
import type { PairObjective, ReplyLikelihood } from "./pair_objective.ts";

// Of factors below 1, of central differences; measured 2.7e-8.
const FACTOR = 1e-6;
const H = 2 ** -8;

const LENGTHS = [[3, 5], [1, 2], [6, 4]];
const examples = LENGTHS.flatMap(([chosen, rejected], i) =>
  [chosen, rejected].map((length, half) => ({
    ...joinExample(new Int32Array(2 + i).fill(7), new Int32Array(length).fill(9), {
      maxLength: 16,
      terminated: true,
    }),
    reference: -(length + half),
  }))
);
const batch = collate(examples, { padId: 0 });

for (const name of Object.keys(pairObjectives)) {
  const make = () => new PairLosses(batch, findPairObjective(name, 0.3), 0.5);
  const { targets, segmentIds } = make().batch;
  const tokens = Int32Array.from(targets.keys()).filter((token) => targets[token] >= 0);
  const losses = Float32Array.from(tokens, (_, i) => 0.5 + (i * 7 % 5) / 4);

  Deno.test(`${name}: a token's factor is the slope of the batch's loss`, () => {
    const { factors } = make().weigh({ tokens, losses });
    const lossAt = (index: number, by: number): number => {
      const of = make();
      of.weigh({ tokens, losses: losses.with(index, losses[index] + by) });
      return of.loss;
    };
    for (const index of tokens.keys()) {
      const slope = (lossAt(index, H) - lossAt(index, -H)) / (2 * H);
      assert.ok(
        Math.abs(factors[index] - slope) < FACTOR,
        `${index}: ${factors[index]} for ${slope}`,
      );
    }
  });

  Deno.test(`${name}: pairs that come one by one make the loss and figures of all at once`, () => {
    const [whole, parts] = [make(), make()];
    const all = whole.weigh({ tokens, losses });
    for (const pair of LENGTHS.keys()) {
      const own = [...tokens.keys()].filter((i) => (segmentIds[tokens[i]] - 1) >> 1 === pair);
      const { factors } = parts.weigh({
        tokens: Int32Array.from(own, (i) => tokens[i]),
        losses: Float32Array.from(own, (i) => losses[i]),
      });
      assert.deepEqual([...factors], own.map((i) => all.factors[i]));
    }
    assert.ok(Math.abs(parts.loss - whole.loss) < 1e-12);
    parts.figures.forEach((figure, i) => assert.ok(Math.abs(figure - whole.figures[i]) < 1e-12));
  });
}

Deno.test("PairLosses counts the targets that its batch has", () => {
  for (const name of Object.keys(pairObjectives)) {
    const { targets, supervised } = new PairLosses(batch, findPairObjective(name)).batch;
    assert.equal(supervised, targets.filter((target) => target >= 0).length, name);
  }
});

Deno.test("PairLosses refuses a batch without the reference that its objective compares with", () => {
  const { references: _, ...bare } = batch;
  assert.throws(() => new PairLosses(bare, findPairObjective("dpo")), {
    name: "RangeError",
    message:
      "Cannot take the loss of pairs: the objective compares them with a reference; give the examples one, as " +
      "referenceLogps computes it",
  });
  new PairLosses(bare, findPairObjective("orpo"));
});

/** Two pairs of rows of four tokens: prompts of two, two, one and one; id 0 in a prompt and in a reply. */
const small: Batch = {
  rows: 4,
  length: 4,
  inputIds: BigInt64Array.of(5n, 6n, 7n, 0n, 5n, 6n, 9n, 3n, 4n, 0n, 2n, 3n, 4n, 1n, 6n, 11n),
  positionIds: BigInt64Array.of(0n, 1n, 2n, 3n, 0n, 1n, 2n, 0n, 0n, 1n, 2n, 0n, 0n, 1n, 2n, 3n),
  segmentIds: Int32Array.of(1, 1, 1, 1, 2, 2, 2, 0, 3, 3, 3, 0, 4, 4, 4, 4),
  targets: Int32Array.of(
    ...[-100, 7, 0, -100, -100, 9, -100, -100],
    ...[-100, 2, -100, -100, 1, 6, 11, -100],
  ),
  examples: 4,
  tokens: 14,
  supervised: 7,
  references: Float64Array.of(-1, -2, -4, -8),
};

/** An objective of whole numbers, that keeps what it is asked. */
function wholeNumbers(
  of: Pick<PairObjective, "reference" | "chosenNll">,
): PairObjective & { readonly asked: (readonly ReplyLikelihood[])[] } {
  const asked: (readonly ReplyLikelihood[])[] = [];
  return {
    ...of,
    asked,
    figures: ["a", "b"],
    loss(chosen, rejected) {
      asked.push([chosen, rejected]);
      return {
        loss: 10 * chosen.sum + rejected.sum,
        byChosen: 2,
        byRejected: 3,
        figures: { a: chosen.sum, b: rejected.tokens },
      };
    },
  };
}

Deno.test("PairLosses takes sums over replies, and their factors, in shares of the batch's pairs", () => {
  const objective = wholeNumbers({ reference: true, chosenNll: false });
  const of = new PairLosses(small, objective, 0.5);
  assert.equal(of.batch, small);
  assert.deepEqual(
    of.weigh({
      tokens: Int32Array.of(1, 2, 5, 9, 12, 13, 14),
      losses: Float32Array.of(1, 2, 3, 5, 6, 7, 8),
    }),
    // A quarter of -30 - 3 and of -50 - 21; of byChosen and of byRejected.
    {
      factors: Float32Array.of(-0.5, -0.5, -0.75, -0.5, -0.75, -0.75, -0.75),
      losses: [-8.25, -17.75],
    },
  );
  assert.equal(of.loss, -26);
  assert.deepEqual([...of.figures], [(-3 - 5) / 2, (1 + 3) / 2]);
  assert.deepEqual(objective.asked, [
    [{ sum: -3, tokens: 2, reference: -1 }, { sum: -3, tokens: 1, reference: -2 }],
    [{ sum: -5, tokens: 1, reference: -4 }, { sum: -21, tokens: 3, reference: -8 }],
  ]);
});

Deno.test("PairLosses learns each token of the chosen texts that follows another, where the objective has it", () => {
  const objective = wholeNumbers({ reference: false, chosenNll: true });
  const of = new PairLosses(small, objective, 0.5);
  assert.deepEqual(of.batch, {
    ...small,
    targets: Int32Array.of(6, 7, 0, -100, -100, 9, -100, -100, 0, 2, -100, -100, 1, 6, 11, -100),
    supervised: 9,
  });
  const { factors, losses } = of.weigh({
    tokens: Int32Array.of(0, 1, 2, 5, 8, 9, 12, 13, 14),
    losses: Float32Array.of(0.5, 1, 2, 3, 4, 5, 6, 7, 8),
  });
  // Five chosen tokens, of whose losses 12.5 are the sum: a tenth of the update each.
  assert.deepEqual(losses, [-8.25, -17.75, 1.25]);
  const expected = [0.1, -0.4, -0.4, -0.75, 0.1, -0.4, -0.75, -0.75, -0.75];
  assert.deepEqual(factors, Float32Array.from(expected));
  assert.equal(of.loss, -24.75);
  assert.deepEqual([...of.figures], [-4, 2, 2.5]);
  assert.deepEqual(objective.asked.flat().map(({ reference }) => reference), [0, 0, 0, 0]);
});

Deno.test("PairLosses is of a whole update by default, and of a pair whose one reply has no label", () => {
  const objective = wholeNumbers({ reference: true, chosenNll: false });
  const of = new PairLosses(small, objective);
  // The first pair's chosen reply alone, then the second one's rejected reply alone.
  const first = of.weigh({ tokens: Int32Array.of(1), losses: Float32Array.of(4) });
  assert.deepEqual(first, { factors: Float32Array.of(-1), losses: [-20] });
  const second = of.weigh({ tokens: Int32Array.of(13), losses: Float32Array.of(6) });
  assert.deepEqual(second, { factors: Float32Array.of(-1.5), losses: [-3] });
  assert.equal(of.loss, -23);
  assert.deepEqual([...of.figures], [-2, 0.5]);
});

Deno.test("PairLosses learns the prompt of a chosen text whose reply has no label", () => {
  const objective = wholeNumbers({ reference: false, chosenNll: true });
  const of = new PairLosses(
    {
      ...{ rows: 2, length: 2, examples: 2, tokens: 4, supervised: 2 },
      inputIds: BigInt64Array.of(5n, 6n, 5n, 7n),
      positionIds: BigInt64Array.of(0n, 1n, 0n, 1n),
      segmentIds: Int32Array.of(1, 1, 2, 2),
      targets: Int32Array.of(-100, -100, 7, -100),
    },
    objective,
  );
  const { factors, losses } = of.weigh({
    tokens: Int32Array.of(0, 2),
    losses: Float32Array.of(3, 4),
  });
  assert.deepEqual([[...factors], losses], [[1, -3], [-4, 3]]);
});

Deno.test("figureNames() adds the chosen texts' cross-entropy where it is minimized", () => {
  const figures = ["a", "b"];
  const of = (chosenNll: boolean) => figureNames(wholeNumbers({ reference: false, chosenNll }));
  assert.deepEqual(of(false), figures);
  assert.deepEqual(of(true), ["a", "b", "nll_loss"]);
});
