/**
 * The tests of `tests/webgpu/`, each file in a process of its own: ONNX Runtime's environment is one
 * a process, and the first runtime decides whether a WebGPU device's errors are heard. They need a
 * GPU with a Vulkan driver that the provider takes, or Mesa 25's lavapipe, which computes on the
 * processor: VK_DRIVER_FILES names its file.
 */

import assert from "node:assert/strict";
import { IDLE_THREADS } from "./support/process.ts";

/** One at a time: what lavapipe compiled for one, which keeps a core busy, the next takes from Mesa's cache. */
const FILES = (await Array.fromAsync(Deno.readDir(new URL("webgpu", import.meta.url))))
  .map(({ name }) => name).filter((name) => name !== "open.ts").sort();

async function deno(...args: string[]): Promise<{ success: boolean; text: string }> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args,
    env: { NO_COLOR: "1" },
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

for (const file of FILES) {
  Deno.test({
    name: `every test of tests/webgpu/${file} passes on a WebGPU device`,
    ignore: !found,
    fn: async () => {
      // deno task check has looked at their types.
      const options = ["--no-check", "--allow-all", IDLE_THREADS];
      const { success, text } = await deno("test", ...options, pathOf(file));
      assert.ok(success, text);
    },
  });
}
