import assert from "node:assert/strict";
import { collate } from "../data/batches/collator.ts";
import { joinExample } from "../data/examples/join_example.ts";
import { findPairObjective, pairObjectives } from "./objectives/pair_objectives.ts";
import { PairLosses } from "./pair_losses.ts";

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
