/** An output folder that is moved, removed or replaced while a run writes into it. */

import assert from "node:assert/strict";
import { listCheckpoints, verifyCheckpoint } from "../train/checkpoints/checkpoint.ts";
import { folderHashes } from "./support/folder_hashes.ts";
import { type RunningProcess, startDeno } from "./support/process.ts";
import { quickstartFolder } from "./support/quickstart_folder.ts";
import { repositoryPath } from "./support/run_script.ts";
import type { TempFolder } from "./support/temp_folder.ts";
import { trainCommand, trainFlags } from "./support/train_command.ts";

const STEPS = 60;
const SAVE_STEPS = 4;
const POSIX = Deno.build.os !== "windows";

function flags(folder: string): string[] {
  return [
    ...trainFlags(folder),
    ...["--max-steps", `${STEPS}`, "--gradient-accumulation-steps", "1"],
    ...["--save-steps", `${SAVE_STEPS}`, "--logging-steps", "4", "--eval-steps", "0"],
  ];
}

async function start(folder: TempFolder, args: string[] = []): Promise<RunningProcess> {
  const child = startDeno(repositoryPath("cli/commands/train.ts"), {
    args: [...flags(folder.path), ...args],
  });
  await child.waitFor(/checkpoint-8 /);
  return child;
}

/** Waits for the run's end; answers the one checkpoint that it says it saved beside its folder. */
async function rescued(child: RunningProcess, folder: TempFolder): Promise<string> {
  const { code, text } = await child.ended();
  assert.equal(code, 1, text);
  const output = `${folder.path}/output`;
  const [error, ...others] = text.split("\n").filter((line) => line.startsWith("error: "));
  assert.deepEqual(others, []);
  const [, step] = /update (\d+) is saved in/.exec(error) ?? [];
  assert.equal(
    error,
    `error: Cannot go on training into ${output}: the folder was moved, removed or replaced while ` +
      `the run wrote into it; update ${step} is saved in ${output}-rescued-1/checkpoint-${step}: put ` +
      `it among the earlier checkpoints, or give --output-dir ${output}-rescued-1, and resume with ` +
      "--resume-from-checkpoint",
  );
  const [only, ...more] = await listCheckpoints(`${output}-rescued-1`);
  assert.deepEqual([only.step, more], [Number(step), []]);
  await verifyCheckpoint(only.directory);
  return only.directory;
}

/** Removes a folder into which a run writes meanwhile: it may be filled again before it is gone. */
async function removeBeingWritten(path: string): Promise<void> {
  while (await Deno.lstat(path).catch(() => undefined)) {
    await Deno.remove(path, { recursive: true }).catch((cause) => {
      if (!/not empty|os error 2\)/.test(cause.message)) throw cause;
    });
  }
}

async function names(path: string): Promise<string[]> {
  return await Array.fromAsync(Deno.readDir(path), ({ name }) => name);
}

Deno.test({
  name: "a run whose folder is moved ends with its checkpoint beside it, which resumes",
  ignore: !POSIX,
  fn: async () => {
    await using folder = await quickstartFolder();
    const output = `${folder.path}/output`;
    await using child = await start(folder);
    await Deno.rename(output, `${folder.path}/elsewhere`);
    const checkpoint = await rescued(child, folder);
    assert.ok(!(await names(folder.path)).includes("output"), "made anew");
    for (const each of await listCheckpoints(`${folder.path}/elsewhere`)) {
      await verifyCheckpoint(each.directory);
    }
    // Goes on to the bytes of a run that nobody disturbed.
    const whole = [...flags(folder.path), "--output-dir", `${folder.path}/whole`];
    assert.deepEqual(await trainCommand(whole), { code: 0, stderr: "" });
    const resumed = await trainCommand([
      ...flags(folder.path),
      ...["--output-dir", `${output}-rescued-1`, "--resume-from-checkpoint"],
    ]);
    assert.deepEqual(resumed, { code: 0, stderr: "" });
    assert.deepEqual(
      await folderHashes(`${output}-rescued-1/checkpoint-${STEPS}`),
      await folderHashes(`${folder.path}/whole/checkpoint-${STEPS}`),
    );
    assert.notEqual(checkpoint, `${output}-rescued-1/checkpoint-${STEPS}`);
  },
});

Deno.test({
  name:
    "a run whose folder is removed, and one whose folder another run made anew, end the same way",
  ignore: !POSIX,
  fn: async () => {
    await using folder = await quickstartFolder();
    const output = `${folder.path}/output`;
    {
      await using child = await start(folder);
      await removeBeingWritten(output);
      await rescued(child, folder);
      assert.ok(!(await names(folder.path)).includes("output"), "made anew");
    }
    await Deno.remove(`${output}-rescued-1`, { recursive: true });
    await using child = await start(folder);
    await Deno.rename(output, `${folder.path}/elsewhere`);
    const second = await trainCommand([...flags(folder.path), "--max-steps", "2"]);
    assert.deepEqual(second, { code: 0, stderr: "" });
    await rescued(child, folder);
    assert.deepEqual((await listCheckpoints(output)).map(({ step }) => step), [2]);
    const lines = (await Deno.readTextFile(`${output}/metrics.jsonl`).catch(() => "")).split("\n");
    assert.ok(lines.length < 3, "the other run's figures alone");
  },
});

Deno.test({
  name: "no second trainer gets into a folder that was moved, or whose lock file was removed",
  ignore: !POSIX,
  fn: async () => {
    await using folder = await quickstartFolder();
    const [output, elsewhere] = [`${folder.path}/output`, `${folder.path}/elsewhere`];
    await using child = await start(folder, ["--max-steps", "400"]);
    const enter = (directory: string) =>
      trainCommand([
        ...flags(folder.path),
        ...["--max-steps", "400", "--output-dir", directory, "--resume-from-checkpoint"],
      ]);
    await Deno.remove(`${output}/.lock`);
    const refused = (directory: string) => ({
      code: 1,
      stderr:
        `error: Cannot train into ${directory}: another trainer is writing there; wait for it ` +
        "or give another --output-dir",
    });
    assert.deepEqual(await enter(output), refused(output));
    await Deno.rename(output, elsewhere);
    assert.deepEqual(await enter(elsewhere), refused(elsewhere));
    await rescued(child, folder);
  },
});
