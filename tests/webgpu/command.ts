/** Commands with `--device webgpu`, under their tasks' own permissions. */

import assert from "node:assert/strict";
import { folderHashes } from "../support/folder_hashes.ts";
import { quickstartFolder } from "../support/quickstart_folder.ts";
import { startDeno } from "../support/process.ts";
import { repositoryPath } from "../support/run_script.ts";
import { runTask, task } from "../support/run_task.ts";
import { vulkanAdapters } from "../../ort/runtime/vulkan.ts";

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

for (
  const [task, file, flags] of [
    ["train", "model", ""],
    ["train:lora", "adapter_model", "--base-dtype int4 "],
  ]
) {
  Deno.test(`deno task ${task} ${flags}--device webgpu trains, and resumed ends in the same bytes`, async () => {
    await using folder = await quickstartFolder();
    const how = `${flags}--model models/tiny --max-length 512 --max-steps 2 --save-steps 1 ` +
      "--gradient-accumulation-steps 1 --eval-strategy no --logging-steps 1 --prediction-max-new-tokens 2 --device webgpu --output-dir output/run";
    const whole = await runTask(task, folder.path, how);
    assert.equal(whole.code, 0, whole.stderr);
    // Metal does not tell.
    assert.match(whole.stderr, /free: (.+ of .+, as Vulkan tells of .+;|WebGPU does not tell)/);
    assert.equal(
      /base: matrices take .* in int4 with blocks of 128, products in float32,/.test(whole.stderr),
      flags !== "",
    );
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

Deno.test("deno task serve --device webgpu answers what it answers on the CPU", async () => {
  await using folder = await quickstartFolder();
  const { flags, script } = task("serve");
  const answers: string[] = [];
  for (const device of ["cpu", "webgpu"]) {
    await using server = startDeno(repositoryPath(script), {
      permissions: [...flags, "--allow-env"],
      args: [..."--model models/tiny --port 0 --kv-cache-mib 8 --device".split(" "), device],
      cwd: folder.path,
    });
    await server.waitFor(/\/v1 the API/);
    if (device === "webgpu") assert.match(server.text, /note: webgpu: /);
    const [url] = /http:\S+\/v1/.exec(server.text)!;
    const replies = await Promise.all(["Hi", "What helps?", "又发烧了"].map(async (content) => {
      const response = await fetch(`${url}/chat/completions`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({
          model: "tiny",
          messages: [{ role: "user", content }],
          max_tokens: 12,
          temperature: 0,
        }),
      });
      const text = await response.text();
      assert.equal(response.status, 200, text);
      return JSON.parse(text).choices[0].message;
    }));
    answers.push(JSON.stringify(replies));
  }
  assert.equal(answers[1], answers[0]);
  assert.ok(answers[0].length > 100, answers[0]);
});

Deno.test("deno task replay of a run on webgpu ends in the same bytes, and merge takes its adapter there", async () => {
  await using folder = await quickstartFolder();
  const how =
    "--model models/tiny --max-length 512 --max-steps 2 --save-steps 2 --eval-strategy no " +
    "--prediction-max-new-tokens 2 --device webgpu --output-dir output/run";
  const run = await runTask("train:lora", folder.path, how);
  assert.equal(run.code, 0, run.stderr);
  const wanted = await checkpoint(folder.path, "output/run");
  const again = await runTask(
    "replay",
    folder.path,
    "output/run/run.json --output-dir output/again",
  );
  assert.equal(again.code, 0, again.stderr);
  const got = await checkpoint(folder.path, "output/again");
  const differ = Object.keys(wanted).filter((name) => got[name] !== wanted[name]);
  assert.deepEqual(differ, []);
  const merging = "--adapter output/run --output-dir output/merged --device webgpu";
  const merged = await runTask("merge", folder.path, merging);
  assert.equal(merged.code, 0, merged.stderr);
  const [, difference] = /logit difference from base and adapter is (\S+)/.exec(merged.stdout)!;
  assert.ok(Number(difference) < 1e-4, merged.stdout);
  const how2 = "--max-new-tokens 12 --greedy";
  const reply = await runTask("inference", folder.path, `--model output/merged ${how2}`);
  const apart = await runTask("inference:lora", folder.path, `--adapter output/run ${how2}`);
  assert.equal(reply.stdout, apart.stdout);
});

Deno.test("deno task devices names the driver, and auto takes no GPU that the processor computes", async () => {
  const { code, stdout } = await runTask("devices", ".", "");
  assert.equal(code, 0);
  assert.match(stdout, /^webgpu {2}yes {2}\S/m);
  const software = vulkanAdapters("libvulkan.so.1").every((each) => each.software);
  assert.match(
    stdout,
    software ? /--device auto takes (cpu|cuda)/ : /--device auto takes (webgpu|cuda)/,
  );
});
