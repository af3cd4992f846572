import assert from "node:assert/strict";
import { DEFAULT_LORA } from "../../lora/lora_options.ts";
import { DEFAULT_TRAINING } from "../../train/runs/training_arguments.ts";
import { parse } from "../../tests/support/parse_training_flags.ts";

const DATA = ["--train-file", "a.jsonl"];
const REFUSED = { code: "commander.invalidArgument" };

Deno.test("what is trained where nothing is said is what it was: a default is changed here, too", () => {
  const defaults = {
    model: "Qwen/Qwen3-1.7B",
    ...{ numTrainEpochs: 2, maxSteps: 0, perDeviceTrainBatchSize: 1 },
    ...{ gradientAccumulationSteps: 4, learningRate: 1e-4, lrSchedulerType: "linear" },
    ...{ warmupSteps: 0, adamBeta1: 0.9, adamBeta2: 0.999, adamEpsilon: 1e-8 },
    ...{ weightDecay: 0, maxGradNorm: 1, gradientCheckpointing: true },
    ...{ reportTo: ["tensorboard", "swanlab"], loggingSteps: 10 },
    ...{ evalStrategy: "steps", evalSteps: 100, saveStrategy: "steps", saveSteps: 400 },
    ...{ metricForBestModel: "eval_loss", earlyStoppingThreshold: 0 },
    ...{ predictionSamples: 3, predictionMaxNewTokens: 2048 },
    ...{ seed: 42, optim: "adamw_torch", device: "cpu", kernels: "auto" },
  };
  assert.deepEqual(DEFAULT_TRAINING, defaults);
  const data = { emptyThink: "teach", teach: "all", truncation: "right", trainFile: ["a.jsonl"] };
  assert.deepEqual(parse(...DATA), { ...defaults, ...data });
  assert.deepEqual(DEFAULT_LORA, {
    ...{ rank: 8, alpha: 32, dropout: 0.1, targetModules: "all-linear" },
    ...{ rslora: false, dora: false },
  });
});

Deno.test("--report-to takes each name and both, and refuses a list with any other", () => {
  const reportTo = (names: string) => parse(...DATA, "--report-to", names).reportTo;
  assert.deepEqual(reportTo("none"), []);
  assert.deepEqual(reportTo("tensorboard"), ["tensorboard"]);
  assert.deepEqual(reportTo("swanlab"), ["swanlab"]);
  assert.deepEqual(reportTo("tensorboard, swanlab"), ["tensorboard", "swanlab"]);
  for (
    const names of ["foo", "tensorboard,foo", "foo,swanlab", "tensorboard,", "none,swanlab", ""]
  ) {
    assert.throws(() => reportTo(names), REFUSED, names);
  }
});

Deno.test("numbers of training are taken up to their limits, and refused beyond", () => {
  const cases: readonly (readonly [string, readonly string[], readonly string[]])[] = [
    ["--num-train-epochs", ["0.1", "3"], ["0", "-1", "x"]],
    ["--max-steps", ["0", "1"], ["-1", "1.5"]],
    ["--per-device-train-batch-size", ["1"], ["0", "1.5"]],
    ["--gradient-accumulation-steps", ["1"], ["0"]],
    ["--learning-rate", ["1e-9"], ["0", "-1"]],
    ["--weight-decay", ["0", "0.1"], ["-0.1"]],
    ["--max-grad-norm", ["0", "1"], ["-1"]],
    ["--adam-beta1", ["0", "0.999"], ["1", "-0.1"]],
    ["--adam-beta2", ["0", "0.999"], ["1", "-0.1"]],
    ["--adam-epsilon", ["1e-12"], ["-1e-8"]],
    ["--seed", ["0", "4294967295"], ["-1", "4294967296"]],
    ["--logging-steps", ["0.5", "1"], ["0", "-1", "1.5"]],
    ["--eval-steps", ["0", "0.5", "7"], ["-1", "1.5"]],
    ["--save-steps", ["0", "0.5", "7"], ["-1", "1.5"]],
    ["--save-total-limit", ["1"], ["-1", "1.5"]],
  ];
  for (const [flag, taken, refused] of cases) {
    for (const text of taken) parse(...DATA, `${flag}=${text}`);
    for (const text of refused) {
      assert.throws(() => parse(...DATA, `${flag}=${text}`), REFUSED, `${flag}=${text}`);
    }
  }
});
