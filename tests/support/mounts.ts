/** Runs Deno where file systems are mounted for it alone, on Linux and where the user may. */

import { canRun } from "./can_run.ts";
import type { ScriptOutput } from "./run_script.ts";

/** Whether mounts that go with their process can be made here; tests that need them skip else. */
export async function canMount(): Promise<boolean> {
  return Deno.build.os === "linux" &&
    await canRun("unshare", ["--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]);
}

/** Runs Deno after the shell commands of `setup`, whose mounts nobody else sees. */
export async function runMounted(setup: string, args: readonly string[]): Promise<ScriptOutput> {
  const { code, stdout, stderr } = await new Deno.Command("unshare", {
    args: ["--mount", "sh", "-c", `${setup} && exec "$@"`, "sh", Deno.execPath(), ...args],
    env: { NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  return {
    code,
    stdout: decoder.decode(stdout).trim(),
    stderr: decoder.decode(stderr).trim(),
  };
}
