import assert from "node:assert/strict";
import { stubExample, trainerStub } from "../../tests/support/trainer_stub.ts";
import { localComms } from "../../tests/support/local_comm.ts";
import type { Comm } from "../../comm/comm.ts";
import { ProcessGroup } from "../distributed/process_group.ts";
import type { PairObjective } from "../pair_objective.ts";
import type { Trainer } from "../trainer.ts";
import { eachBatch, evaluate } from "./evaluate.ts";

/** Three examples of 2, 1 and 3 supervised tokens; a token's loss is its own id. */
const examples = [stubExample(50, [1, 2]), stubExample(51, [7]), stubExample(52, [3, 5, 10])];
const trainer = trainerStub({ tokenLoss: (target) => target });

Deno.test("evaluate() averages over examples and over tokens, whatever the batches", async () => {
  for (const batchSize of [1, 2, 3, 5]) {
    const result = await evaluate(trainer, examples, { batchSize, padId: 0 });
    assert.deepEqual(result, {
      // Means 1.5, 7 and 6.
      evalLoss: 14.5 / 3,
      evalTokenLoss: 28 / 6,
      examples: 3,
      batches: Math.ceil(3 / batchSize),
      supervisedTokens: 6,
    });
  }
});

Deno.test("evaluate() averages packed examples as if each were alone in a row", async () => {
  const plain = await evaluate(trainer, examples, { batchSize: 1, padId: 0 });
  for (const [maxLength, batches] of [[4, 3], [6, 2], [9, 1], [64, 1]]) {
    const options = { batchSize: 1, padId: 0, packing: { maxLength } };
    assert.deepEqual(await evaluate(trainer, examples, options), { ...plain, batches });
  }
});

Deno.test("evaluate() leaves out examples that supervise nothing", async () => {
  const silent = { ...stubExample(53, [9]), labels: Int32Array.of(-100, -100) };
  const result = await evaluate(trainer, [silent, examples[0]], { batchSize: 2, padId: 0 });
  assert.deepEqual(result, {
    evalLoss: 1.5,
    evalTokenLoss: 1.5,
    examples: 1,
    batches: 1,
    supervisedTokens: 2,
  });
});

Deno.test("evaluate() passes the signal on", async () => {
  const group = new ProcessGroup(undefined, AbortSignal.abort(new Error("enough")));
  const stub = {
    ...trainer,
    evaluate: (_: unknown, signal?: AbortSignal) => {
      signal?.throwIfAborted();
      return Promise.resolve({ tokens: new Int32Array(0), losses: new Float32Array(0) });
    },
  };
  await assert.rejects(evaluate(stub, examples, { batchSize: 1, padId: 0, group }), {
    message: "enough",
  });
});

/** An objective of whole numbers: figures are the sums, and the loss is what they differ by. */
const pairs: PairObjective = {
  reference: false,
  chosenNll: false,
  figures: ["chosen", "rejected"],
  loss: (chosen, rejected) => ({
    loss: rejected.sum - chosen.sum,
    byChosen: -1,
    byRejected: 1,
    figures: { chosen: chosen.sum, rejected: rejected.tokens },
  }),
};

/** Three pairs, whose chosen replies have 2, 1 and 3 tokens, 0 among them, and the others 1, 2 and 1. */
const pairExamples = [[0, 2], [5], [7], [1, 3], [3, 5, 10], [4]].map((targets, i) =>
  stubExample(50 + i, targets)
);

/** Sums over processes as if another one had the same. */
function twofold(rank: number): ProcessGroup {
  const [comm] = localComms(1);
  return new ProcessGroup(
    {
      ...comm,
      rank,
      size: 2,
      allReduceSum: (values) => {
        for (let i = 0; i < values.length; i++) values[i] *= 2;
        return Promise.resolve();
      },
    },
    undefined,
  );
}

Deno.test("evaluate() of pairs is a mean over pairs, and of figures over batches", async () => {
  const stub = { ...trainer, pairs };
  const whole = {
    // Losses 5 - 2, 4 - 7 and 4 - 18: log-probabilities are negative losses.
    evalLoss: (-3 + 3 + 14) / 3,
    evalTokenLoss: (2 + 7 + 18) / 6,
    examples: 3,
    supervisedTokens: 10,
  };
  assert.deepEqual(await evaluate(stub, pairExamples, { batchSize: 1, padId: 0 }), {
    ...whole,
    figures: { chosen: -27 / 3, rejected: 4 / 3 },
    batches: 3,
  });
  // Means of 4.5 and 18, and of 1.5 and 1: the last batch has one pair.
  assert.deepEqual(await evaluate(stub, pairExamples, { batchSize: 2, padId: 0 }), {
    ...whole,
    figures: { chosen: (-4.5 - 18) / 2, rejected: (1.5 + 1) / 2 },
    batches: 2,
  });
});

Deno.test("evaluate() lets each of several processes run its batches, and sums what they found", async () => {
  for (const rank of [0, 1]) {
    const seen: number[] = [];
    const stub: Trainer = {
      ...trainer,
      evaluate(batch, signal) {
        seen.push(Number(batch.inputIds[0]));
        return trainer.evaluate(batch, signal);
      },
    };
    const options = { batchSize: 1, padId: 0, group: twofold(rank) };
    const result = await evaluate(stub, examples, options);
    assert.deepEqual(seen, rank === 0 ? [50, 52] : [51]);
    assert.deepEqual(
      result,
      rank === 0
        ? {
          evalLoss: 7.5 / 2,
          evalTokenLoss: 21 / 5,
          examples: 4,
          batches: 3,
          supervisedTokens: 10,
        }
        : { evalLoss: 7, evalTokenLoss: 7, examples: 2, batches: 3, supervisedTokens: 2 },
    );
    const ofPairs = await evaluate({ ...trainer, pairs }, pairExamples, options);
    assert.deepEqual(
      ofPairs,
      rank === 0
        ? {
          evalLoss: (-3 + 3 + 14 - 3) / 2,
          evalTokenLoss: 20 / 5,
          figures: { chosen: -40 / 3, rejected: 4 / 3 },
          examples: 4,
          batches: 3,
          supervisedTokens: 14,
        }
        : {
          evalLoss: -3 + 4 + 2 - 7 + 7,
          evalTokenLoss: 7,
          figures: { chosen: -14 / 3, rejected: 4 / 3 },
          examples: 2,
          batches: 3,
          supervisedTokens: 6,
        },
      `${rank}`,
    );
  }
});

Deno.test("eachBatch() asks the others once a round whether to stop, and stops before it", async () => {
  const asked: string[] = [];
  const reason = new Error("enough");
  const abort = new AbortController();
  const comm: Comm = {
    ...localComms(1)[0],
    size: 2,
    allReduceSum: () => {
      asked.push("sum");
      return Promise.resolve();
    },
  };
  const group = new ProcessGroup(comm, abort.signal);
  const run = (_batch: unknown, index: number) => {
    asked.push(`batch ${index}`);
    if (index === 2) abort.abort(reason);
    return Promise.resolve();
  };
  const six = Array.from({ length: 6 }, (_, i) => stubExample(i));
  await assert.rejects(
    eachBatch(six, { batchSize: 1, padId: 0, group }, run),
    (cause) => cause === reason,
  );
  assert.deepEqual(asked, ["sum", "batch 0", "sum", "batch 2", "sum"]);
  // One process goes on: its trainer hears of the signal itself.
  const alone = new ProcessGroup(undefined, AbortSignal.abort());
  const indices: number[] = [];
  const batches = await eachBatch(
    six,
    { batchSize: 4, padId: 0, group: alone },
    (_, index) => Promise.resolve(void indices.push(index)),
  );
  assert.deepEqual([batches, indices], [2, [0, 1]]);
});

Deno.test("eachBatch() takes examples in their order, and neighbours together", async () => {
  const group = new ProcessGroup(undefined, undefined);
  const seen: number[][] = [];
  const six = Array.from({ length: 6 }, (_, i) => stubExample(i));
  await eachBatch(six, { batchSize: 2, padId: 0, group, together: 2 }, (batch) => {
    seen.push(Array.from({ length: batch.rows }, (_, row) => Number(batch.inputIds[2 * row])));
    return Promise.resolve();
  });
  assert.deepEqual(seen, [[0, 1, 2, 3], [4, 5]]);
});
