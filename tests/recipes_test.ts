/** The recipes are whole configurations, run as their comments say, with only the model and the length shortened. */

import assert from "node:assert/strict";
import { verifyCheckpoint } from "../train/checkpoints/checkpoint.ts";
import { quickstartFolder } from "./support/quickstart_folder.ts";
import { repositoryPath } from "./support/run_script.ts";
import { runTask } from "./support/run_task.ts";

const FOLDER = "examples/recipes";
const SHORT = [
  ...["--model", "models/tiny", "--train-file", "data/train.jsonl"],
  ...["--max-steps", "2", "--max-length", "256", "--prediction-samples", "0", "--threads", "2"],
];

for await (const { name } of Deno.readDir(repositoryPath(FOLDER))) {
  Deno.test(`the recipe ${name} trains`, async () => {
    const path = `${FOLDER}/${name}`;
    const recipe = await Deno.readTextFile(repositoryPath(path));
    const [, task, config] = recipe.match(/^# +deno task (train\S*) --config (\S+)/m) ?? [];
    assert.equal(config, path);
    const [, outputDir] = recipe.match(/^output_dir: (\S+)$/m)!;
    assert.ok(recipe.includes(` ${outputDir} --question`), "it says how its model is asked");

    await using folder = await quickstartFolder();
    await Deno.mkdir(`${folder.path}/${FOLDER}`, { recursive: true });
    if (/^loss: (dpo|orpo)$/m.test(recipe)) {
      const pairs = Array.from({ length: 20 }, (_, i) => ({
        prompt: [{ role: "user", content: `${i} + ${i}?` }],
        chosen: [{ role: "assistant", content: `${2 * i}` }],
        rejected: [{ role: "assistant", content: `${2 * i + 1}` }],
      }));
      await Deno.writeTextFile(
        `${folder.path}/data/train.jsonl`,
        pairs.map((pair) => `${JSON.stringify(pair)}\n`).join(""),
      );
    }
    await Deno.copyFile(repositoryPath(path), `${folder.path}/${path}`);
    const { code, stderr } = await runTask(task, folder.path, ["--config", path, ...SHORT]);
    assert.equal(code, 0, stderr);
    await verifyCheckpoint(`${folder.path}/${outputDir}/checkpoint-2`);
  });
}
