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
  assert.deepEqual(parseTrainerState(text, "trainer_state.json"), {
    state,
    epochFraction: 0.5,
    totalSteps: 10,
  });
});

Deno.test("parseTrainerState() refuses a state of Hugging Face's Trainer, which has no position", () => {
  assert.throws(() => parseTrainerState('{"global_step": 4}', "c/trainer_state.json"), {
    message: "Cannot resume from c/trainer_state.json: it has no position in the data; give a " +
      "checkpoint that ortune wrote, or start from its weights with --model",
  });
});

const STATE: LoopState = {
  ...initialState(),
  step: 5,
  logHistory: [{ epoch: 0.25, eval_loss: 3, eval_token_loss: 2, step: 3 }],
};

/** Changes of the file, by path, and what is said of each. */
const WRONG: readonly (readonly [string, unknown, string])[] = [
  ["global_step", "5", 'global_step is string "5", not a count'],
  ["global_step", -1, "global_step is number -1, not a count"],
  ["global_step", 2.5, "global_step is number 2.5, not a count"],
  ["num_input_tokens_seen", null, "num_input_tokens_seen is null, not a count"],
  ["epoch", "x", 'epoch is string "x", not a number'],
  ["log_history", {}, "log_history is object, not a list"],
  ["log_history", [null], "log_history[0] is no row of a loss or an evaluation"],
  [
    "log_history",
    [{ step: 3, epoch: 1, loss: 2 }],
    "log_history[0] is no row of a loss or an evaluation",
  ],
  ["stateful_callbacks", null, "it has no position in the data"],
  ["stateful_callbacks.OrtuneLoop", [], "it has no position in the data"],
  ["stateful_callbacks.OrtuneLoop.epoch", 1e300, "epoch is number 1e+300, not a count"],
  ["stateful_callbacks.OrtuneLoop.batch", undefined, "batch is nothing, not a count"],
  ["stateful_callbacks.OrtuneLoop.lossSum", null, "lossSum is null, not a number"],
  ["stateful_callbacks.OrtuneLoop.sinceLog", 1, "sinceLog is number 1, not an object"],
  ["stateful_callbacks.OrtuneLoop.sinceLog.count", -1, "count is number -1, not a count"],
  ["stateful_callbacks.OrtuneLoop.skippedInRow", true, "skippedInRow is boolean true, not a count"],
];

for (const [path, value, why] of WRONG) {
  Deno.test(`parseTrainerState() refuses ${path} ${JSON.stringify(value)} by name`, () => {
    const json = JSON.parse(formatTrainerState(STATE, facts));
    const names = path.split(".");
    const last = names.pop()!;
    names.reduce((of, name) => of[name], json)[last] = value;
    assert.throws(() => parseTrainerState(JSON.stringify(json), "c/trainer_state.json"), {
      message: `Cannot resume from c/trainer_state.json: ${why}; give a checkpoint that ortune ` +
        "wrote, or start from its weights with --model",
    });
  });
}

Deno.test("parseTrainerState() says where what is no JSON, or no object, lies", () => {
  for (const text of ["", "null", "[]", "3", '{"a": ']) {
    assert.throws(() => parseTrainerState(text, "c/trainer_state.json"), {
      message:
        /^Cannot resume from c\/trainer_state\.json: it is (not valid JSON|null, not|array|number)/,
    });
  }
});

Deno.test("parseTrainerState() takes no more of a file than a state has", () => {
  const json = JSON.parse(formatTrainerState(STATE, facts));
  Object.assign(json.stateful_callbacks.OrtuneLoop, { step: 99, logHistory: [], other: 1 });
  const { state } = parseTrainerState(JSON.stringify(json), "trainer_state.json");
  assert.deepEqual(state, STATE);
});

Deno.test("jsonNumber() writes what JSON lacks as a word", () => {
  assert.deepEqual([1.5, NaN, Infinity].map(jsonNumber), [1.5, "NaN", "NaN"]);
});
