/** Runs a script in a Deno of its own, with chosen permissions and without the network. */

/** What a script printed. */
export interface ScriptOutput {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A file or folder of the repository by its path in it. */
export function repositoryPath(path: string): string {
  return new URL(`../../${path}`, import.meta.url).pathname;
}

/** Runs a module's source, which imports by absolute paths. */
export async function runScript(
  source: string,
  permissions: readonly string[],
  args: readonly string[] = [],
): Promise<ScriptOutput> {
  const script = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    await Deno.writeTextFile(script, source);
    const config = repositoryPath("deno.json");
    return await runDeno([
      "run",
      "--no-prompt",
      "--no-check",
      "--cached-only",
      `--config=${config}`,
      ...permissions,
      script,
      ...args,
    ]);
  } finally {
    await Deno.remove(script);
  }
}

/** Runs Deno itself, perhaps with variables of the environment. */
export async function runDeno(
  args: string[],
  cwd?: string,
  env: Readonly<Record<string, string>> = {},
): Promise<ScriptOutput> {
  const output = await new Deno.Command(Deno.execPath(), {
    args,
    cwd,
    env: { NO_COLOR: "1", ...env },
  }).output();
  const decoder = new TextDecoder();
  return {
    code: output.code,
    stdout: decoder.decode(output.stdout).trim(),
    stderr: decoder.decode(output.stderr).trim(),
  };
}
