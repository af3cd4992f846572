/** Commands with `--device webgpu`, under their tasks' own permissions. */

import assert from "node:assert/strict";
import { folderHashes } from "../support/folder_hashes.ts";
import { quickstartFolder } from "../support/quickstart_folder.ts";
import { runTask } from "../support/run_task.ts";

Deno.test("deno task inference --device webgpu gives the CPU's reply, and names the driver", async () => {
  await using folder = await quickstartFolder();
  const how = "--model models/tiny --max-new-tokens 12 --greedy";
  const cpu = await runTask("inference", folder.path, how);
  const webgpu = await runTask("inference", folder.path, `${how} --device webgpu`);
  assert.equal(webgpu.code, 0, webgpu.stderr);
  assert.equal(webgpu.stdout, cpu.stdout);
  assert.ok(cpu.stdout.trim().length > 0);
  if (Deno.build.os === "linux") assert.match(webgpu.stderr, /note: webgpu: .+, driver \d+\.\d+/);
});

/** What a run's last checkpoint holds. */
async function checkpoint(
  folder: string,
  output: string,
): Promise<Readonly<Record<string, string>>> {
  const hashes = await folderHashes(`${folder}/${output}/checkpoint-2`);
  assert.ok(Object.keys(hashes).length > 5);
  return hashes;
}

for (const [task, file] of [["train", "model"], ["train:lora", "adapter_model"]]) {
  Deno.test(`deno task ${task} --device webgpu trains, and resumed ends in the same bytes`, async () => {
    await using folder = await quickstartFolder();
    const how = "--model models/tiny --max-length 512 --max-steps 2 --save-steps 1 " +
      "--logging-steps 1 --prediction-max-new-tokens 2 --device webgpu --output-dir output/run";
    const whole = await runTask(task, folder.path, how);
    assert.equal(whole.code, 0, whole.stderr);
    assert.match(whole.stderr, /free: WebGPU does not tell/);
    assert.match(whole.stderr, /step 2\/2 \| .* loss \d/);
    const wanted = await checkpoint(folder.path, "output/run");
    await Deno.remove(`${folder.path}/output/run/checkpoint-2`, { recursive: true });
    const resumed = await runTask(task, folder.path, `${how} --resume-from-checkpoint`);
    assert.equal(resumed.code, 0, resumed.stderr);
    assert.match(resumed.stderr, /resumed after step 1/);
    const got = await checkpoint(folder.path, "output/run");
    const differ = Object.keys(wanted).filter((name) => got[name] !== wanted[name]);
    assert.deepEqual(differ, []);
    assert.ok(Object.keys(wanted).some((name) => name.startsWith(file)));
  });
}

Deno.test("deno task serve says that it is not on webgpu yet", async () => {
  await using folder = await quickstartFolder();
  const { code, stderr } = await runTask(
    "serve",
    folder.path,
    "--model models/tiny --device webgpu",
  );
  assert.notEqual(code, 0);
  assert.match(stderr, /Cannot serve on webgpu: batches run on the cpu only so far/);
});
