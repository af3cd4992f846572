import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { EvaluateEvent, LogEvent, SkipEvent, StartEvent } from "../events.ts";
import { createMetricsLog } from "./metrics_log.ts";
import { readMetricsLog } from "./read_metrics_log.ts";
import { toScalars } from "./scalars.ts";

const start = (resumedStep: number): StartEvent => ({
  type: "start",
  method: "lora",
  totalSteps: 10,
  epochs: 1,
  examples: 10,
  evalExamples: 1,
  trainableParameters: 1,
  resumedStep,
});
const log = (step: number): LogEvent => ({
  type: "log",
  step,
  epoch: step / 10,
  loss: 1.5,
  gradNorm: 2,
  learningRate: 1e-4,
  tokensPerSecond: 1000,
  memoryBytes: 2 ** 30,
});
const evaluate: EvaluateEvent = {
  type: "evaluate",
  step: 2,
  epoch: 0.2,
  evalLoss: 1.25,
  evalTokenLoss: 1.125,
  examples: 3,
  batches: 2,
  supervisedTokens: 99,
  seconds: 0.5,
};
const skip: SkipEvent = { type: "skip", step: 3, loss: NaN, gradNorm: Infinity, consecutive: 2 };

async function withFile(use: (path: string, folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "ortune-track-"));
  try {
    await use(join(folder, "metrics.jsonl"), folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

Deno.test("createMetricsLog() writes transformers' names, and NaN as text", () =>
  withFile(async (path) => {
    await using metrics = createMetricsLog(path);
    for (const event of [start(0), log(1), evaluate, skip]) await metrics.event(event);
    assert.deepEqual((await readFile(path, "utf8")).split("\n"), [
      '{"step":1,"epoch":0.1,"loss":1.5,"grad_norm":2,"learning_rate":0.0001,"tokens_per_second":1000,"memory_bytes":1073741824}',
      '{"step":2,"epoch":0.2,"eval_loss":1.25,"eval_token_loss":1.125,"eval_runtime":0.5,"eval_samples_per_second":6,"eval_steps_per_second":4,"eval_samples":3,"eval_batches":2,"eval_supervised_tokens":99}',
      '{"step":3,"loss":"NaN","grad_norm":"Infinity","skipped_updates":2}',
      "",
    ]);
  }));

Deno.test("createMetricsLog() can be read after each event", () =>
  withFile(async (path) => {
    await using metrics = createMetricsLog(path);
    for (let step = 1; step <= 3; step++) {
      await metrics.event(log(step));
      assert.equal((await readMetricsLog(path)).length, step);
    }
  }));

Deno.test("createMetricsLog() drops later steps and a torn line on resume", () =>
  withFile(async (path, folder) => {
    {
      await using first = createMetricsLog(path);
      for (const event of [start(0), log(1), log(2), evaluate, skip, log(4)]) {
        await first.event(event);
      }
    }
    await writeFile(path, '{"step":1,"lo', { flag: "a" });
    {
      await using second = createMetricsLog(path);
      for (const event of [start(2), log(3), log(4)]) await second.event(event);
    }
    assert.deepEqual(await readMetricsLog(path), [log(1), log(2), evaluate, log(3), log(4)]);
    assert.deepEqual(await readdir(folder), ["metrics.jsonl"]);
  }));

Deno.test("createMetricsLog() resumes where no file is", () =>
  withFile(async (path) => {
    await using metrics = createMetricsLog(path);
    for (const event of [start(5), log(6)]) await metrics.event(event);
    assert.deepEqual(await readMetricsLog(path), [log(6)]);
  }));

Deno.test("createMetricsLog() keeps the file of an earlier run aside", () =>
  withFile(async (path) => {
    for (const step of [1, 2]) {
      await using metrics = createMetricsLog(path);
      await metrics.event(start(0));
      await metrics.event(log(step));
    }
    assert.deepEqual(await readMetricsLog(path), [log(2)]);
    assert.deepEqual(await readMetricsLog(`${path}.previous`), [log(1)]);
  }));

Deno.test("createMetricsLog() keeps the order of events that nobody awaits", () =>
  withFile(async (path) => {
    const steps = Array.from({ length: 50 }, (_, index) => index + 1);
    {
      await using metrics = createMetricsLog(path);
      await Promise.all([start(0), ...steps.map(log)].map((event) => metrics.event(event)));
    }
    assert.deepEqual((await readMetricsLog(path)).map(({ step }) => step), steps);
  }));

Deno.test("createMetricsLog() touches nothing before its first figure, and refuses one once closed", () =>
  withFile(async (path, folder) => {
    const metrics = createMetricsLog(path);
    await metrics.event(start(0));
    assert.deepEqual(await readdir(folder), []);
    await metrics[Symbol.asyncDispose]();
    await assert.rejects(async () => await metrics.event(log(1)), /the log is closed/);
  }));

Deno.test("createMetricsLog() tells the caller whose event could not be written", () =>
  withFile(async (_, folder) => {
    await using metrics = createMetricsLog(join(folder, "missing", "metrics.jsonl"));
    await assert.rejects(async () => await metrics.event(log(1)), /ENOENT/);
    await assert.rejects(async () => await metrics.event(log(2)), /ENOENT/);
  }));

Deno.test("readMetricsLog() gives back what was written, NaN included", () =>
  withFile(async (path) => {
    {
      await using metrics = createMetricsLog(path);
      for (const event of [log(1), evaluate, skip]) await metrics.event(event);
    }
    await writeFile(path, '{"step":4,"ep', { flag: "a" });
    assert.deepEqual(await readMetricsLog(path), [log(1), evaluate, skip]);
  }));

Deno.test("figures of pairs are written under TRL's names, and read back", () =>
  withFile(async (path) => {
    const figures = { "rewards/accuracies": 0.5, "rewards/margins": -0.25, nll_loss: NaN };
    const events = [{ ...log(1), figures }, { ...evaluate, figures }];
    {
      await using metrics = createMetricsLog(path);
      for (const event of events) await metrics.event(event);
    }
    assert.deepEqual(await readMetricsLog(path), events);
    const [, told] = (await readFile(path, "utf8")).split("\n");
    assert.match(told, /"eval_rewards\/margins":-0\.25,"eval_nll_loss":"NaN"/);
    assert.equal(toScalars(events[0])["train/rewards/accuracies"], 0.5);
    assert.equal(toScalars(events[1])["eval/rewards/margins"], -0.25);
  }));

Deno.test("readMetricsLog() reads logs from before memory and batches were in them", () =>
  withFile(async (path) => {
    const { memoryBytes: _, ...oldLog } = log(1);
    const { batches: __, ...oldEvaluate } = { ...evaluate, seconds: 0 };
    {
      await using metrics = createMetricsLog(path);
      for (const event of [oldLog, oldEvaluate]) await metrics.event(event);
    }
    assert.deepEqual((await readFile(path, "utf8")).split("\n"), [
      '{"step":1,"epoch":0.1,"loss":1.5,"grad_norm":2,"learning_rate":0.0001,"tokens_per_second":1000}',
      '{"step":2,"epoch":0.2,"eval_loss":1.25,"eval_token_loss":1.125,"eval_runtime":0,"eval_samples":3,"eval_supervised_tokens":99}',
      "",
    ]);
    assert.deepEqual(await readMetricsLog(path), [oldLog, oldEvaluate]);
  }));

Deno.test("readMetricsLog() names the line that it cannot read", () =>
  withFile(async (path) => {
    for (
      const [line, message] of [
        ["{", "invalid JSON"],
        ["1", "expected a JSON object"],
        ["{}", "expected a number as step, got none"],
        ['{"step":1,"loss":"much"}', "expected a number as loss, got string"],
      ]
    ) {
      await writeFile(path, `\n${line}\n`);
      await assert.rejects(
        readMetricsLog(path),
        (error: Error) =>
          error instanceof SyntaxError && error.message.includes(":2: ") &&
          error.message.includes(message),
      );
    }
  }));

Deno.test("createMetricsLog() goes on after the first step, and tells what it refuses once closed", () =>
  withFile(async (path, folder) => {
    {
      await using metrics = createMetricsLog(path);
      for (const event of [start(0), log(1), log(2)]) await metrics.event(event);
    }
    const metrics = createMetricsLog(path);
    await metrics.event(start(1));
    assert.deepEqual(await readMetricsLog(path), [log(1)]);
    // Another start in the same tracker sets the file aside.
    await metrics.event(log(2));
    await metrics.event(start(0));
    assert.deepEqual(await readdir(folder), ["metrics.jsonl.previous"]);
    await metrics[Symbol.asyncDispose]();
    await assert.rejects(async () => await metrics.event(log(3)), {
      message: `Cannot log log to ${path}: the log is closed; make a new tracker for a new run`,
    });
  }));

Deno.test("readMetricsLog() reads infinities, passes over blank lines, and refuses a file of over 256 MiB", () =>
  withFile(async (path) => {
    const line = (loss: string): string =>
      `{"step":1,"loss":"${loss}","grad_norm":0,"skipped_updates":1}`;
    await writeFile(path, ["", line("Infinity"), "  ", line("-Infinity"), ""].join("\n"));
    const read = await readMetricsLog(path);
    assert.deepEqual(read.map((event) => event.type === "skip" && event.loss), [
      Infinity,
      -Infinity,
    ]);
    for (const value of ["null", '"text"', "[]"]) {
      await writeFile(path, `${line("NaN")}\n${value}\n`);
      const state = value === "[]"
        ? "expected a number as step, got none"
        : "expected a JSON object";
      await assert.rejects(readMetricsLog(path), {
        name: "SyntaxError",
        message:
          `Cannot read ${path}:2: ${state}; remove the line, or give the file of a metrics log`,
      });
    }
    await truncate(path, 2 ** 28 + 1);
    await assert.rejects(readMetricsLog(path), {
      name: "RangeError",
      message: `Cannot read ${path}: 268435457 bytes exceed 268435456; split the file`,
    });
  }));
