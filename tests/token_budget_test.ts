/** Updates of a number of tokens: how rows are cut, and that the cut changes no gradient. */

import assert from "node:assert/strict";
import { makeBatches, planBatches } from "../data/batches/batches.ts";
import type { Batch } from "../data/batches/collator.ts";
import { joinExample } from "../data/examples/join_example.ts";
import { planEpoch } from "../data/batches/epoch_plan.ts";
import { TrainingEngine } from "../model/engine/training_engine.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { assertClose } from "../ort/tensor/assert_close.ts";
import { train } from "../train/loop/loop.ts";
import { countUpdates } from "../train/loop/plan_updates.ts";
import { constantSchedule } from "../train/schedules/schedules.ts";
import { emptyStore, randomWeights, tinyConfig } from "./support/tiny_model.ts";
import { stubExample, trainerStub } from "./support/trainer_stub.ts";

// Times the largest element, as for any other cut of the same rows into batches.
const GRADIENTS = 2e-6;

const runtime = new Runtime({ threads: 2 });
const lengths = Array.from({ length: 60 }, (_, i) => 5 + (i * 31) % 20);
const packing = { maxLength: 40 };
const plan = { batchSize: 3, packing, seed: 42, epoch: 0 };
const tokensOf = (indices: Iterable<number>): number =>
  [...indices].reduce((sum, index) => sum + lengths[index], 0);

/** The batches of each update, as lists of example indices. */
function updates(tokensPerStep: number): Int32Array[][] {
  const batches = planBatches(lengths, { ...plan, tokensPerStep });
  const ends = planEpoch(lengths, { ...plan, tokensPerStep }).updateEnds(7);
  return Array.from(ends, (end, update) => batches.slice(ends[update - 1] ?? 0, end));
}

Deno.test("an update takes packed rows until it has the tokens, in the sampler's order", () => {
  // Every row a batch: where packing puts the cuts.
  const rows = planBatches(lengths, { ...plan, batchSize: 1 });
  for (const tokensPerStep of [1, 60, 100, 250, 1e6]) {
    const made = updates(tokensPerStep);
    assert.deepEqual(made.flat().flatMap((each) => [...each]), rows.flatMap((each) => [...each]));
    let row = 0;
    for (const [update, batches] of made.entries()) {
      const members = batches.flatMap((each) => [...each]);
      const taken: number[] = [];
      let tokens = 0;
      while (tokens < tokensPerStep && row < rows.length) {
        taken.push(...rows[row]);
        tokens += tokensOf(rows[row++]);
      }
      assert.deepEqual(members, taken, `update ${update} of ${tokensPerStep} tokens`);
      // Whole batches but for the update's last.
      for (const batch of batches.slice(0, -1)) {
        const count = rows.filter(([first]) => batch.includes(first)).length;
        assert.equal(count, plan.batchSize);
      }
    }
    assert.equal(row, rows.length);
  }
});

Deno.test("updates of a number of tokens are counted as they are made", async () => {
  const examples = lengths.map((length, i) => stubExample(i, new Array(length - 1).fill(1)));
  const options = { batchSize: 2, packing, tokensPerStep: 130, seed: 42 };
  for (const epochs of [1, 2, 1.5]) {
    const trainer = trainerStub();
    let tokens = 0;
    const run = train(trainer, {
      ...options,
      examples,
      epochs,
      padId: 0,
      schedule: () => constantSchedule({ peak: 1, totalSteps: 1 }),
    });
    for await (const event of run) if (event.type === "end") tokens = event.tokens;
    const total = countUpdates(lengths, { ...options, accumulationSteps: 4, epochs, maxSteps: 0 });
    assert.equal(trainer.step, total);
    if (Number.isInteger(epochs)) assert.equal(tokens, epochs * tokensOf(lengths.keys()));
  }
});

Deno.test("rows of one update have the same gradients in one run, in several, and unpacked", async () => {
  const config = tinyConfig({});
  const examples = [6, 4, 7, 5, 3, 6, 4].map((length, i) => {
    const ids = Int32Array.from({ length }, (_, at) => (at * 17 + i * 29 + 3) % 64);
    const options = { maxLength: 64, terminated: true };
    return joinExample(ids.subarray(0, 2), ids.subarray(2), options);
  });
  using weights = randomWeights(runtime, config);
  const gradients = async (batches: readonly Batch[]): Promise<Map<string, Float32Array>> => {
    using store = emptyStore(runtime, config);
    using engine = new TrainingEngine(runtime, config, weights, store);
    const scale = 1 / batches.reduce((sum, { supervised }) => sum + supervised, 0);
    for (const [i, batch] of batches.entries()) {
      await engine.forwardBackward(batch, { scale, first: i === 0 });
    }
    return new Map(store.names().map((name) => [name, store.tensor(name).float32().slice()]));
  };
  const make = (options: { batchSize: number; packed: boolean }): Batch[] => [
    ...makeBatches(examples, {
      ...options.packed ? { packing: { maxLength: 12 }, tokensPerStep: 1000 } : {},
      batchSize: options.batchSize,
      padId: 0,
      seed: 42,
      epoch: 0,
    }),
  ];
  const [together, rows] = [
    make({ batchSize: 8, packed: true }),
    make({ batchSize: 1, packed: true }),
  ];
  assert.equal(together.length, 1);
  assert.equal(together[0].rows, rows.length);
  assert.ok(rows.length > 2);
  const expected = await gradients(make({ batchSize: 1, packed: false }));
  for (const batches of [together, rows]) {
    const actual = await gradients(batches);
    for (const [name, wanted] of expected) {
      assertClose(actual.get(name)!, wanted, { relativeToMax: GRADIENTS, label: name });
    }
  }
});

Deno.test("updates of a number of tokens need packing, and a count", () => {
  assert.throws(() => planEpoch(lengths, { ...plan, packing: undefined, tokensPerStep: 100 }), {
    name: "RangeError",
    message: "Cannot make batches of tokensPerStep: it takes packed rows; give packing",
  });
  assert.throws(() => planEpoch(lengths, { ...plan, tokensPerStep: 0 }), {
    name: "RangeError",
    message: "Cannot make batches: tokensPerStep is 0, not a positive integer",
  });
});
