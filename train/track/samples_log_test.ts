import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import type { StartEvent } from "../events.ts";
import { createSamplesLog } from "./samples_log.ts";

const start = (resumedStep: number): StartEvent => ({
  type: "start",
  method: "full",
  totalSteps: 10,
  epochs: 1,
  examples: 10,
  evalExamples: 0,
  trainableParameters: 1,
  resumedStep,
});

Deno.test("createSamplesLog() keeps earlier samples on resume, and sets an earlier run's file aside", async () => {
  await using folder = await tempFolder();
  const path = `${folder.path}/samples.jsonl`;
  const line = (step: number, question: string): string =>
    `{"step":${step},"question":"${question}","answer":"\\n"}\n`;
  for (const [resumedStep, step, question] of [[0, 4, "a"], [4, 6, "b"], [5, 7, "c"]] as const) {
    await using log = createSamplesLog(path);
    await log.event(start(resumedStep));
    await log.samples(step, [{ question, answer: "\n" }]);
  }
  assert.equal(await readFile(path, "utf8"), line(4, "a") + line(7, "c"));
  await using log = createSamplesLog(path);
  await log.event(start(0));
  assert.deepEqual(await readdir(folder.path), ["samples.jsonl.previous"]);
  await log.samples(1, [{ question: "c", answer: "\n" }]);
  await log.samples(5, [{ question: "d", answer: "\n" }, { question: "e", answer: "\n" }]);
  assert.equal(await readFile(path, "utf8"), line(1, "c") + line(5, "d") + line(5, "e"));
  // After the first update already.
  await log.event(start(1));
  assert.equal(await readFile(path, "utf8"), line(1, "c"));
});
