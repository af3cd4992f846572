import assert from "node:assert/strict";
import {
  formatTrainerState,
  initialState,
  jsonNumber,
  type LoopState,
  parseTrainerState,
} from "./trainer_state.ts";

const facts = {
  totalSteps: 10,
  epochs: 2,
  epochFraction: 0.5,
  batchSize: 1,
  loggingSteps: 10,
  evalSteps: 100,
  saveSteps: 400,
  parameters: 7,
};

Deno.test("trainer_state.json has sorted keys at its top and gives the state back", () => {
  const state: LoopState = {
    ...initialState(),
    step: 5,
    epoch: 0,
    batch: 20,
    tokensSeen: 100,
    sinceLog: { sum: 0.1 + 0.2, count: 2 },
    lossSum: 1 / 3,
    skippedInRow: 1,
    logHistory: [{ epoch: 0.25, eval_loss: "NaN", eval_token_loss: 2, step: 3 }],
  };
  const text = formatTrainerState(state, facts);
  const json = JSON.parse(text);
  assert.deepEqual(Object.keys(json), Object.keys(json).toSorted());
  assert.equal(text, JSON.stringify(json, null, 2) + "\n");
  assert.equal(json.total_flos, 6 * 100 * 7);
  assert.deepEqual(parseTrainerState(text, "trainer_state.json"), state);
});

Deno.test("parseTrainerState() refuses a state of Hugging Face's Trainer, which has no position", () => {
  assert.throws(() => parseTrainerState('{"global_step": 4}', "c/trainer_state.json"), {
    message: "Cannot resume from c/trainer_state.json: it has no position in the data; give a " +
      "checkpoint that ortune wrote, or start from its weights with --model",
  });
});

Deno.test("jsonNumber() writes what JSON lacks as a word", () => {
  assert.deepEqual([1.5, NaN, Infinity].map(jsonNumber), [1.5, "NaN", "NaN"]);
});
