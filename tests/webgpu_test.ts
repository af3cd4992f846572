/**
 * The tests of `tests/webgpu/`, each file in a process of its own: ONNX Runtime's environment is one
 * a process, and the first runtime decides whether a WebGPU device's errors are heard. They need a
 * GPU with a Vulkan driver that the provider takes, or Mesa 25's lavapipe, which computes on the
 * processor: VK_DRIVER_FILES names its file.
 */

import assert from "node:assert/strict";
import { IDLE_THREADS } from "./support/process.ts";

/** Two files run at a time, the long ones beside each other: compiling shaders keeps one core busy. */
const PAIRS = [
  ["training.ts", "command.ts"],
  ["numbers.ts", "placement.ts"],
  ["resume.ts", "generation.ts"],
  ["failure.ts", "bench.ts"],
  ["training_engine.ts", "environments.ts"],
  ["batch.ts", "in_place.ts"],
  ["device.ts", "lowering.ts"],
  ["attention.ts", "check.ts"],
  ["bad_use.ts"],
];

/**
 * Lavapipe compiles a shader without optimizing it, which takes a fraction of the time: shaders are many, and run a few
 * times over small tensors.
 */
const QUICK_SHADERS = { GALLIVM_PERF: "nopt" };

async function deno(...args: string[]): Promise<{ success: boolean; text: string }> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args,
    env: { NO_COLOR: "1", ...QUICK_SHADERS },
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  return { success, text: decoder.decode(stdout) + decoder.decode(stderr) };
}

const pathOf = (file: string): string => new URL(`webgpu/${file}`, import.meta.url).pathname;

const { success: found, text: reason } = await deno("run", "--allow-all", pathOf("open.ts"));
if (!found) {
  const error = reason.split("\n").find((line) => line.includes("Cannot"))?.replace(
    /^.*?(?=Cannot)/,
    "",
  );
  console.warn(`tests/webgpu skipped: ${error ?? reason}`);
}

for (const files of PAIRS) {
  Deno.test({
    name: `every test of tests/webgpu/${files.join(" and ")} passes on a WebGPU device`,
    ignore: !found,
    fn: async () => {
      // deno task check has looked at their types.
      const options = ["--no-check", "--allow-all", IDLE_THREADS];
      const runs = files.map((file) => deno("test", ...options, pathOf(file)));
      for (const { success, text } of await Promise.all(runs)) assert.ok(success, text);
    },
  });
}

Deno.test("every file of tests/webgpu is run, but for what they open", async () => {
  const files = await Array.fromAsync(Deno.readDir(new URL("webgpu", import.meta.url)));
  const names = files.map(({ name }) => name).filter((name) => name !== "open.ts");
  assert.deepEqual(PAIRS.flat().sort(), names.sort());
});
