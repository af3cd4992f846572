/** Commands with `--device webgpu`, under their tasks' own permissions. */

import assert from "node:assert/strict";
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

Deno.test("commands that cannot use webgpu yet say so", async () => {
  await using folder = await quickstartFolder();
  const flags = "--model models/tiny --device webgpu";
  for (
    const [task, said] of [
      ["train", "Cannot train on webgpu: it is not there yet; use cpu or cuda"],
      ["train:lora", "Cannot train on webgpu: it is not there yet; use cpu or cuda"],
      ["serve", "Cannot serve on webgpu: batches run on the cpu only so far"],
    ]
  ) {
    const { code, stderr } = await runTask(task, folder.path, flags);
    assert.notEqual(code, 0);
    assert.ok(stderr.includes(said), stderr);
  }
});
