/** What a run tells of memory and time reaches its logs, and never its checkpoints. */

import assert from "node:assert/strict";
import { createMetricsLog } from "../train/track/metrics_log.ts";
import { readMetricsLog } from "../train/track/read_metrics_log.ts";
import { train } from "../train/loop/loop.ts";
import { constantSchedule } from "../train/schedules/schedules.ts";
import { folderHashes } from "./support/folder_hashes.ts";
import { tempFolder } from "./support/temp_folder.ts";
import { stubExample, trainerStub } from "./support/trainer_stub.ts";

async function run(directory: string): Promise<void> {
  await using trainer = trainerStub();
  await using metrics = createMetricsLog(`${directory}/metrics.jsonl`);
  const events = train(trainer, {
    examples: [1, 2, 3, 4].map((first) => stubExample(first)),
    evalExamples: [5, 6, 7].map((first) => stubExample(first)),
    evalBatchSize: 2,
    padId: 0,
    schedule: (totalSteps) => constantSchedule({ peak: 1, totalSteps }),
    epochs: 1,
    loggingSteps: 2,
    output: { directory, facts: {} },
  });
  for await (const event of events) await metrics.event(event);
}

Deno.test({
  name: "train() tells resident memory and the speed of evaluations, outside checkpoints",
  // Neither asks for a permission of its own.
  permissions: { read: true, write: true, env: ["TMPDIR", "TMP", "TEMP"] },
  async fn() {
    await using folder = await tempFolder();
    const directories = ["a", "b"].map((name) => `${folder.path}/${name}`);
    for (const directory of directories) {
      await Deno.mkdir(directory);
      await run(directory);
      const figures = await readMetricsLog(`${directory}/metrics.jsonl`);
      const logs = figures.flatMap((event) => event.type === "log" ? [event.memoryBytes] : []);
      assert.equal(logs.length, 2);
      // Deno itself takes more than the one; the machine has less than the other.
      for (const bytes of logs) assert.ok(bytes! > 10 * 2 ** 20 && bytes! < 2 ** 50, `${bytes}`);
      const evaluations = figures.filter((event) => event.type === "evaluate");
      // The three share a row.
      assert.deepEqual(evaluations.map(({ examples, batches }) => [examples, batches]), [[3, 1]]);
      const text = await Deno.readTextFile(`${directory}/metrics.jsonl`);
      const [row] = text.split("\n").filter((line) => line.includes("eval_loss"))
        .map((line) => JSON.parse(line));
      assert.equal(row.eval_samples_per_second, 3 / row.eval_runtime);
      assert.equal(row.eval_steps_per_second, 1 / row.eval_runtime);
    }
    const [first, second] = directories.map((directory) => `${directory}/checkpoint-4`);
    assert.deepEqual(await folderHashes(first), await folderHashes(second));
    const state = await Deno.readTextFile(`${first}/trainer_state.json`);
    assert.doesNotMatch(state, /memory|runtime|per_second/);
  },
});
