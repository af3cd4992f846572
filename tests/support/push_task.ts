/** `deno task push` to a stand-in hub. In: a folder, arguments, the hub and a token. Out: what it printed. */

import { repositoryPath, runDeno, type ScriptOutput } from "./run_script.ts";
import { task } from "./run_task.ts";
import type { UploadStub } from "./upload_stub.ts";

/** deno task push with its own permissions, and the stand-in besides. */
export function push(
  cwd: string,
  args: string,
  { hub, token }: { readonly hub?: UploadStub; readonly token?: string } = {},
): Promise<ScriptOutput> {
  const { flags, script } = task("push");
  const allowed = flags.map((flag) => flag.startsWith("--allow-net=") ? `${flag},127.0.0.1` : flag);
  const config = `--config=${repositoryPath("deno.json")}`;
  const fixed = ["run", "--quiet", "--no-check", "--cached-only", config];
  return runDeno(
    [...fixed, ...allowed, repositoryPath(script), ...args.split(" ")],
    cwd,
    { HF_TOKEN: token ?? "", HF_ENDPOINT: hub?.endpoint ?? "" },
  );
}
