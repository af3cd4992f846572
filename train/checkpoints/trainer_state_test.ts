import assert from "node:assert/strict";
import type { LogRow } from "../log_row.ts";
import {
  addFigures,
  formatTrainerState,
  initialState,
  jsonFigures,
  jsonNumber,
  type LoopState,
  parseTrainerState,
  type TrainerStateFacts,
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

Deno.test("initialState() is that of a run that has not begun", () => {
  assert.deepEqual(initialState(), {
    step: 0,
    epoch: 0,
    batch: 0,
    tokensSeen: 0,
    sinceLog: { sum: 0, count: 0 },
    lossSum: 0,
    skippedInRow: 0,
    logHistory: [],
  });
});

Deno.test("trainer_state.json has the fields of transformers' TrainerState, in its order", () => {
  const state: LoopState = {
    step: 5,
    epoch: 1,
    batch: 2,
    tokensSeen: 100,
    sinceLog: { sum: 2.5, count: 3 },
    lossSum: 7.25,
    skippedInRow: 1,
    logHistory: [],
  };
  const best = { step: 4, value: 1.5 };
  assert.equal(
    formatTrainerState(state, {
      totalSteps: 11,
      epochs: 3,
      epochFraction: 1.25,
      batchSize: 6,
      loggingSteps: 8,
      evalSteps: 9,
      saveSteps: 2,
      parameters: 7,
      best,
    }),
    `{
  "best_global_step": 4,
  "best_metric": 1.5,
  "best_model_checkpoint": "checkpoint-4",
  "epoch": 1.25,
  "eval_steps": 9,
  "global_step": 5,
  "is_hyper_param_search": false,
  "is_local_process_zero": true,
  "is_world_process_zero": true,
  "log_history": [],
  "logging_steps": 8,
  "max_steps": 11,
  "num_input_tokens_seen": 100,
  "num_train_epochs": 3,
  "save_steps": 2,
  "stateful_callbacks": {
    "OrtuneLoop": {
      "batch": 2,
      "epoch": 1,
      "lossSum": 7.25,
      "sinceLog": {
        "sum": 2.5,
        "count": 3
      },
      "skippedInRow": 1
    }
  },
  "total_flos": 4200,
  "train_batch_size": 6,
  "trial_name": null,
  "trial_params": null
}
`,
  );
});

Deno.test("the best evaluation's checkpoint is named where there is one, due or not", () => {
  const state: LoopState = {
    ...initialState(),
    step: 7,
    logHistory: [3, 4, 6].flatMap((step): LogRow[] => [
      { epoch: step / 3, step, loss: 1, grad_norm: 1, learning_rate: 1 },
      { epoch: step / 3, step, eval_loss: 1, eval_token_loss: 1 },
    ]),
  };
  const named = (step: number, of: Partial<TrainerStateFacts>) =>
    JSON.parse(
      formatTrainerState(state, { ...facts, saveSteps: 0, best: { step, value: 0 }, ...of }),
    ).best_model_checkpoint;
  const cases: [number, Partial<TrainerStateFacts>, boolean][] = [
    [4, {}, false],
    [4, { saveSteps: 2 }, true],
    [4, { saveSteps: 3 }, false],
    [4, { saveSteps: 1 }, true],
    [4, { bestSaved: true }, true],
    [4, { bestSaved: false }, false],
    // The update that is saved now, and the last one of the run.
    [7, {}, true],
    [10, {}, true],
    [4, { totalSteps: 4 }, true],
    [3, { saveStrategy: "epoch" }, true],
    [4, { saveStrategy: "epoch", saveSteps: 2 }, false],
    [6, { saveStrategy: "epoch" }, true],
    [3, { saveStrategy: "steps" }, false],
    [3, { saveStrategy: "steps", saveSteps: 3 }, true],
  ];
  for (const [step, of, saved] of cases) {
    const expected = saved ? `checkpoint-${step}` : null;
    assert.equal(named(step, of), expected, `${step} ${JSON.stringify(of)}`);
  }
  const none = JSON.parse(formatTrainerState(state, facts));
  assert.deepEqual(
    [none.best_global_step, none.best_metric, none.best_model_checkpoint],
    [null, null, null],
  );
});

Deno.test("addFigures() sums means over batches, each as often as its update had batches", () => {
  const state = initialState();
  addFigures(state, { a: 1.5, b: -2 }, 4);
  assert.deepEqual(state.sinceLog, {
    sum: 0,
    count: 0,
    batches: 4,
    figures: { a: 6, b: -8 },
  });
  addFigures(state, { a: 0.5, c: 7 }, 3);
  assert.deepEqual(state.sinceLog, {
    sum: 0,
    count: 0,
    batches: 7,
    figures: { a: 7.5, b: -8, c: 21 },
  });
});

Deno.test("figures of pairs since the last log come back, and are refused by name", () => {
  const state: LoopState = {
    ...STATE,
    sinceLog: { sum: 1, count: 2, batches: 3, figures: { "rewards/chosen": 4.5 } },
  };
  const text = formatTrainerState(state, facts);
  assert.deepEqual(parseTrainerState(text, "c").state, state);
  for (
    const [change, why] of [
      [{ figures: 3 }, "figures is number 3, not an object"],
      [{ figures: { a: null } }, "a is null, not a number"],
      [{ batches: undefined }, "batches is nothing, not a count"],
      [{ sum: "1" }, 'sum is string "1", not a number'],
    ] as const
  ) {
    const json = JSON.parse(text);
    Object.assign(json.stateful_callbacks.OrtuneLoop.sinceLog, change);
    assert.throws(() => parseTrainerState(JSON.stringify(json), "c"), {
      message:
        `Cannot resume from c: ${why}; give a checkpoint that ortune wrote, or start from its ` +
        "weights with --model",
    });
  }
});

Deno.test("parseTrainerState() takes rows of losses and of evaluations, and says which is neither", () => {
  const log = { epoch: 0.5, step: 0, loss: 1, grad_norm: "NaN", learning_rate: 0 };
  const evaluation = { epoch: 0.5, step: 3, eval_loss: "NaN", eval_token_loss: 2, other: "x" };
  const parse = (logHistory: readonly unknown[]) => {
    const json = JSON.parse(formatTrainerState(STATE, facts));
    return parseTrainerState(JSON.stringify({ ...json, log_history: logHistory }), "c").state
      .logHistory;
  };
  assert.deepEqual(parse([log, evaluation]), [log, evaluation]);
  assert.deepEqual(parse([]), []);
  const { loss: _, ...lossless } = log;
  const { eval_loss: _eval, ...half } = evaluation;
  const wrong = [
    ...[lossless, half, [log], 3, { ...log, step: -1 }, { ...log, step: 1.5 }],
    ...[{ ...log, epoch: "1" }, { ...log, epoch: null }, { ...log, loss: "Infinity" }],
    ...[{ ...log, grad_norm: null }, { ...log, learning_rate: "1" }, {
      ...evaluation,
      eval_loss: "",
    }],
  ];
  for (const row of wrong) {
    assert.throws(() => parse([log, row, evaluation]), {
      message:
        "Cannot resume from c: log_history[1] is no row of a loss or an evaluation; give a " +
        "checkpoint that ortune wrote, or start from its weights with --model",
    }, JSON.stringify(row));
  }
});

Deno.test("parseTrainerState() keeps the cause of what is no JSON", () => {
  assert.throws(() => parseTrainerState("{", "c"), ({ message, cause }: Error) => {
    assert.ok(cause instanceof SyntaxError);
    assert.equal(
      message,
      `Cannot resume from c: it is not valid JSON (${cause.message}); give a checkpoint that ortune ` +
        "wrote, or start from its weights with --model",
    );
    return true;
  });
});

Deno.test("jsonFigures() puts a prefix before names, and words for what JSON lacks", () => {
  assert.deepEqual(jsonFigures(), {});
  assert.deepEqual(jsonFigures({ a: 1, b: NaN }), { a: 1, b: "NaN" });
  assert.deepEqual(jsonFigures({ a: 1, b: Infinity }, "eval_"), { eval_a: 1, eval_b: "NaN" });
});
