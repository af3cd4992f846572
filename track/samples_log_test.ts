import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { tempFolder } from "../tests/support/temp_folder.ts";
import type { StartEvent } from "../train/events.ts";
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

Deno.test("createSamplesLog() adds on resume, and sets an earlier run's file aside", async () => {
  await using folder = await tempFolder();
  const path = `${folder.path}/samples.jsonl`;
  for (const [resumedStep, question] of [[0, "a"], [4, "b"], [0, "c"]] as const) {
    await using log = createSamplesLog(path);
    await log.event(start(resumedStep));
    await log.samples(5, [{ question, answer: "\n" }]);
  }
  assert.deepEqual((await readdir(folder.path)).sort(), [
    "samples.jsonl",
    "samples.jsonl.previous",
  ]);
  assert.equal(await readFile(path, "utf8"), '{"step":5,"question":"c","answer":"\\n"}\n');
  assert.equal((await readFile(`${path}.previous`, "utf8")).split("\n").length, 3);
});
