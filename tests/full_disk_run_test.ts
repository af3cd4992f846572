/** Logs and reports that cannot be written cost a run nothing but themselves. */

import assert from "node:assert/strict";
import { listCheckpoints, verifyCheckpoint } from "../train/checkpoints/checkpoint.ts";
import { folderHashes } from "./support/folder_hashes.ts";
import { startDeno } from "./support/process.ts";
import { quickstartFolder } from "./support/quickstart_folder.ts";
import { repositoryPath } from "./support/run_script.ts";
import { trainFlags } from "./support/train_command.ts";

Deno.test({
  name: "a run whose logs and report cannot be written says so once each, and completes",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    await using folder = await quickstartFolder();
    const output = `${folder.path}/output`;
    const args = (directory: string) => [
      ...trainFlags(folder.path),
      ...["--output-dir", directory, "--max-steps", "8", "--gradient-accumulation-steps", "1"],
      ...["--logging-steps", "2", "--prediction-max-new-tokens", "4"],
      ...["--report-to", "tensorboard,swanlab", "--eval-steps", "0"],
      ...["--validation-file", `${folder.path}/data/val.jsonl`],
    ];
    const train = async (directory: string) => {
      await using child = startDeno(repositoryPath("cli/commands/train.ts"), {
        args: args(directory),
      });
      return await child.ended();
    };
    const whole = await train(`${folder.path}/whole`);
    assert.equal(whole.code, 0, whole.text);

    await Deno.mkdir(output);
    for (const name of ["metrics.jsonl", "samples.jsonl"]) {
      await Deno.symlink("/nowhere/at/all", `${output}/${name}`);
    }
    for (const name of ["tensorboard", "swanlog"]) {
      await Deno.writeTextFile(`${output}/${name}`, "");
    }
    for (const name of ["report.html", "loss.svg"]) {
      await Deno.mkdir(`${output}/${name}/in the way`, { recursive: true });
    }
    const { code, text } = await train(output);
    assert.equal(code, 0, text);
    const warned = text.split("\n").filter((line) => line.startsWith("warning: "));
    const file = new RegExp(`^warning: Cannot write ${output}/(\\S+): (E[A-Z]+|.*\\(os error)`);
    assert.deepEqual(
      warned.map((line) => file.exec(line)?.[1]).sort(),
      ["loss.svg", "metrics.jsonl", "report.html", "samples.jsonl", "swanlog", "tensorboard"],
      text,
    );
    for (const line of warned) assert.match(line, /Free space/);
    const [{ directory }] = await listCheckpoints(output);
    await verifyCheckpoint(directory);
    assert.deepEqual(
      await folderHashes(directory),
      await folderHashes(`${folder.path}/whole/checkpoint-8`),
    );
    const { status, checkpoint } = JSON.parse(await Deno.readTextFile(`${output}/run.json`));
    assert.deepEqual([status, checkpoint], ["completed", directory]);
  },
});
