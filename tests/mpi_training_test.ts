/** Whole runs of `deno task train` and `train:lora` between several ranks, beside runs of one. */

import assert from "node:assert/strict";
import { listCheckpoints, verifyCheckpoint } from "../train/checkpoints/checkpoint.ts";
import { openSafetensors } from "../ort/tensor/safetensors_file.ts";
import { readFloat32 } from "../ort/tensor/tensor_source.ts";
import { type Mpi, mpirun, mpis, rankProcesses } from "./support/mpirun.ts";
import { relativeNorm } from "./support/numbers.ts";
import { denoArgs, type RunningProcess, startDeno } from "./support/process.ts";
import { quickstartFolder } from "./support/quickstart_folder.ts";
import { repositoryPath } from "./support/run_script.ts";
import { task } from "./support/run_task.ts";
import type { TempFolder } from "./support/temp_folder.ts";
import { canMakeHosts, type TwoHosts, twoHosts } from "./support/two_hosts.ts";

// Losses and norms relative to themselves, weights as one norm relative to theirs. Measured: 2.6e-7 and 4.7e-7.
const LOSSES = 1e-6;
const WEIGHTS = 1e-6;

interface Run {
  readonly task: "train" | "train:lora";
  readonly output: string;
  readonly more?: readonly string[];
}

/** Flags of a run of six updates with an evaluation after the third. */
function flags({ output, more = [] }: Run): string[] {
  return Object.entries({
    model: "models/tiny",
    "train-file": "data/train.jsonl",
    "validation-file": "data/val.jsonl",
    "output-dir": output,
    "per-device-train-batch-size": 3,
    "gradient-accumulation-steps": 2,
    "max-steps": 6,
    "logging-steps": 1,
    "eval-steps": 3,
    "save-steps": 3,
    "learning-rate": 1e-3,
    "prediction-samples": 0,
    "report-to": "none",
  }).flatMap(([name, value]) => [`--${name}`, `${value}`]).concat(more);
}

/** Starts ranks with the very permissions of the task. */
function start(
  mpi: Mpi,
  ranks: number,
  folder: TempFolder,
  run: Run,
  hosts?: TwoHosts,
): RunningProcess {
  const { flags: permissions, script } = task(run.task);
  const where = { cwd: folder.path, ...hosts?.options(mpi) };
  return mpirun(mpi, script, { ranks, permissions, args: flags(run), ...where });
}

async function together(
  mpi: Mpi,
  ranks: number,
  folder: TempFolder,
  run: Run,
  hosts?: TwoHosts,
): Promise<string> {
  await using process = start(mpi, ranks, folder, run, hosts);
  const { code, text } = await process.ended();
  assert.equal(code, 0, text);
  return text;
}

async function alone(folder: TempFolder, run: Run): Promise<void> {
  const { flags: permissions, script } = task(run.task);
  const args = [...flags(run), "--threads", "1"];
  await using process = startDeno(repositoryPath(script), { permissions, args, cwd: folder.path });
  const { code, text } = await process.ended();
  assert.equal(code, 0, text);
}

/** Losses and norms of all updates and evaluations. */
async function series(folder: TempFolder, output: string): Promise<readonly number[]> {
  const text = await Deno.readTextFile(`${folder.path}/${output}/metrics.jsonl`);
  return text.trim().split("\n").map((line) => JSON.parse(line))
    .flatMap(({ loss, grad_norm: norm, eval_loss: evaluated }) => [loss, norm, evaluated])
    .filter((number) => number !== undefined);
}

async function weights(path: string): Promise<ReadonlyMap<string, Float32Array>> {
  await using file = await openSafetensors(path);
  const read = file.names().map(async (name) => [name, await readFloat32(file, name)] as const);
  return new Map(await Promise.all(read));
}

async function assertSame(folder: TempFolder, output: string, expected: string): Promise<void> {
  const [got, wanted] = [await series(folder, output), await series(folder, expected)];
  assert.equal(got.length, wanted.length);
  const worst = Math.max(...got.map((each, i) => Math.abs(each - wanted[i]) / wanted[i]));
  assert.ok(worst <= LOSSES, `${output}: the series is off by ${worst}`);
  const name = output.includes("lora") ? "adapter_model.safetensors" : "model.safetensors";
  const path = (run: string) => `${folder.path}/${run}/checkpoint-6/${name}`;
  const off = relativeNorm(await weights(path(output)), await weights(path(expected)));
  assert.ok(off <= WEIGHTS, `${output}: weights are off by ${off}`);
  if (Deno.env.get("ORTUNE_REPORT")) console.log(output, worst, off);
}

Deno.test({
  name:
    "ranks of both MPIs make the updates of one process: all weights, adapters, packed, sharded",
  ignore: mpis.length === 0,
  fn: async () => {
    await using folder = await quickstartFolder();
    const kinds: readonly [Run["task"], readonly string[]][] = [
      ["train", []],
      ["train:lora", ["--lora-dropout", "0.1"]],
      ["train", ["--packing", "--max-length", "256", "--per-device-train-batch-size", "1"]],
    ];
    for (const [i, [task, more]] of kinds.entries()) {
      const output = `output/${task.replace(":", "-")}-${i}`;
      await alone(folder, { task, output, more });
      for (const mpi of mpis) {
        const [ranks, shard] = i === 1 ? [4, ["--shard-optimizer"]] : [2, []];
        const name = `${output}-${mpi.name.replace(" ", "-")}-${ranks}`;
        const text = await together(mpi, ranks, folder, {
          task,
          output: name,
          more: [...more, ...shard],
        });
        assert.match(text, new RegExp(`^${ranks} processes by ${mpi.name} \\d`, "m"));
        assert.equal(text.match(/^completed at step 6\/6/gm)?.length, 1, "one rank tells");
        await assertSame(folder, name, output);
      }
    }
  },
});

Deno.test({
  name: "two hosts over TCP make the updates of one process",
  ignore: mpis.length === 0 || !await canMakeHosts(),
  fn: async () => {
    await using folder = await quickstartFolder();
    await alone(folder, { task: "train", output: "output/one" });
    for (const mpi of mpis) {
      await using hosts = await twoHosts();
      const output = `output/hosts-${mpi.name.replace(" ", "-")}`;
      const more = ["--shard-optimizer"];
      const text = await together(mpi, 2, folder, { task: "train", output, more }, hosts);
      assert.match(text, /^2 processes by .+, 1 of them on this machine/m);
      await assertSame(folder, output, "output/one");
    }
  },
});

Deno.test({
  name: "a run goes on with other numbers of ranks: four sharded ones, one, two",
  ignore: mpis.length === 0,
  fn: async () => {
    await using folder = await quickstartFolder();
    const [mpi] = mpis;
    const output = "output/several";
    const run = (steps: number, ...more: string[]): Run => ({
      task: "train",
      output,
      // As the length changes, the schedule is one that does not go by it.
      more: ["--lr-scheduler-type", "constant", "--max-steps", `${steps}`, ...more],
    });
    await alone(folder, { ...run(6), output: "output/constant" });
    await together(mpi, 4, folder, run(2, "--shard-optimizer"));
    await alone(folder, run(4, "--resume-from-checkpoint"));
    await together(mpi, 2, folder, run(6, "--resume-from-checkpoint", "--shard-optimizer"));
    const last = async (name: string) => (await series(folder, name)).slice(-4);
    const [got, wanted] = [await last(output), await last("output/constant")];
    got.forEach((each, i) => assert.ok(Math.abs(each - wanted[i]) <= LOSSES * wanted[i], `${got}`));
  },
});

Deno.test({
  name: "what goes wrong on one rank or on all is said once, and ends all",
  ignore: mpis.length === 0,
  fn: async () => {
    await using folder = await quickstartFolder();
    for (const mpi of mpis) {
      const missing = ["--train-file", "data/none.jsonl"];
      await using nothing = start(mpi, 2, folder, {
        task: "train",
        output: "output/x",
        more: missing,
      });
      const absent = await nothing.ended();
      assert.equal(absent.code, 1, absent.text);
      assert.equal(absent.text.match(/error: .*data\/none\.jsonl/g)?.length, 1, absent.text);

      const wrong: Run = { task: "train", output: "output/x", more: ["--lerning-rate", "1"] };
      await using unknown = start(mpi, 2, folder, wrong);
      const { text, code } = await unknown.ended();
      assert.equal(code, 2, text);
      assert.equal(text.match(/error: unknown option '--lerning-rate'/g)?.length, 1, text);

      const { script, flags: permissions } = task("train");
      const run: Run = { task: "train", output: "output/y" };
      const again = denoArgs(repositoryPath(script), {
        permissions,
        args: [...flags(run), "--seed", "7"],
      });
      const args = [...flags(run), ":", "-n", "1", Deno.execPath(), ...again];
      await using unlike = mpirun(mpi, script, { ranks: 1, permissions, cwd: folder.path, args });
      const differs = await unlike.ended();
      assert.equal(differs.code, 1, differs.text);
      assert.match(
        differs.text,
        /Cannot train on ranks that differ: .*seed is 7 on rank 1 and 42 on rank 0/,
      );
    }
  },
});

Deno.test({
  name: "a killed rank leaves whole checkpoints, from which the run goes on",
  ignore: mpis.length === 0,
  fn: async () => {
    await using folder = await quickstartFolder();
    for (const mpi of mpis) {
      const output = `output/killed-${mpi.name.replace(" ", "-")}`;
      const more = ["--max-steps", "400", "--save-steps", "1", "--save-total-limit", "3"];
      const run: Run = { task: "train", output, more: [...more, "--shard-optimizer"] };
      await using process = start(mpi, 2, folder, run);
      await process.waitFor(/checkpoint-3 /);
      const began = performance.now();
      Deno.kill((await rankProcesses(folder.path)).at(-1)!, "SIGKILL");
      const { code, text } = await process.ended();
      assert.notEqual(code, 0, text);
      const seconds = (performance.now() - began) / 1000;
      assert.ok(seconds < 30, `all ended after ${seconds} s`);
      const checkpoints = await listCheckpoints(`${folder.path}/${output}`);
      for (const { directory } of checkpoints) await verifyCheckpoint(directory);
      const { step } = checkpoints.at(-1)!;
      const goOn = [...more, "--resume-from-checkpoint", "--max-steps", `${step + 1}`];
      assert.match(
        await together(mpi, 2, folder, { task: "train", output, more: goOn }),
        new RegExp(`completed at step ${step + 1}/`),
      );
    }
  },
});

Deno.test({
  name: "SIGTERM to mpirun stops all ranks after the same update, with a checkpoint",
  ignore: mpis.length === 0,
  fn: async () => {
    await using folder = await quickstartFolder();
    for (const mpi of mpis) {
      const output = `output/stopped-${mpi.name.replace(" ", "-")}`;
      const more = ["--max-steps", "400", "--save-steps", "0", "--eval-strategy", "no"];
      await using process = start(mpi, 2, folder, { task: "train", output, more });
      await process.waitFor(/^step 3\//m);
      process.kill("SIGTERM");
      const { text } = await process.ended();
      assert.match(text, /stopping after this update/);
      const [{ directory, step }] = await listCheckpoints(`${folder.path}/${output}`);
      await verifyCheckpoint(directory);
      assert.match(text, new RegExp(`step ${step}/400 \\| saved`));
    }
  },
});
