/** Processes of their own: a script or a command that runs beside the test, to be killed. */

import { repositoryPath } from "./run_script.ts";

/** A process that runs. */
export interface RunningProcess extends AsyncDisposable {
  /** What it has printed so far, standard output and error together. */
  readonly text: string;
  /** Resolves once standard output and error together match; rejects where the process ends first. */
  waitFor(pattern: RegExp): Promise<void>;
  kill(signal: Deno.Signal): void;
  /** What it came to. */
  ended(): Promise<{ readonly code: number; readonly text: string }>;
}

/** Lets threads sleep that wait for ONNX Runtime's next graph, since tests share processors. */
export const IDLE_THREADS: string = `--preload=${repositoryPath("tests/support/idle_threads.ts")}`;

/** How to start a process. */
export interface StartOptions {
  /** @default all */
  readonly permissions?: readonly string[];
  readonly args?: readonly string[];
  readonly cwd?: string;
  /** @default this repository's */
  readonly config?: string;
}

/** Deno's arguments for a module of the repository. */
export function denoArgs(
  module: string,
  { permissions = ["--allow-all"], args = [], config = repositoryPath("deno.json") }: StartOptions =
    {},
): string[] {
  return [
    "run",
    "--quiet",
    "--no-prompt",
    "--no-check",
    "--cached-only",
    `--config=${config}`,
    IDLE_THREADS,
    ...permissions,
    module,
    ...args,
  ];
}

/** Starts a module; dispose of it to kill it. */
export function startDeno(module: string, options: StartOptions = {}): RunningProcess {
  return startProgram(Deno.execPath(), denoArgs(module, options), { cwd: options.cwd });
}

/** Starts a program; dispose of it to kill it. */
export function startProgram(
  program: string,
  args: readonly string[],
  { cwd, env }: {
    readonly cwd?: string;
    readonly env?: Readonly<Record<string, string>>;
  } = {},
): RunningProcess {
  const child = new Deno.Command(program, {
    args: [...args],
    cwd,
    env: { NO_COLOR: "1", ...env },
    stdout: "piped",
    stderr: "piped",
    stdin: "null",
  }).spawn();
  let text = "";
  let over = false;
  let ended = false; // while others may still hold on to its output
  let wake = (): void => {};
  const read = async (stream: ReadableStream<Uint8Array>): Promise<void> => {
    for await (const part of stream.pipeThrough(new TextDecoderStream())) {
      text += part;
      wake();
    }
  };
  const done = Promise.all([
    read(child.stdout),
    read(child.stderr),
    child.status.finally(() => ended = true),
  ]).then(
    ([, , { code }]) => {
      over = true;
      wake();
      return { code, text };
    },
  );
  return {
    get text(): string {
      return text;
    },
    async waitFor(pattern: RegExp): Promise<void> {
      while (!pattern.test(text)) {
        if (over) throw new Error(`The process ended before it printed ${pattern}:\n${text}`);
        await new Promise<void>((resolve) => wake = resolve);
      }
    },
    kill: (signal: Deno.Signal): void => {
      if (!ended) child.kill(signal);
    },
    ended: (): Promise<{ code: number; text: string }> => done,
    async [Symbol.asyncDispose](): Promise<void> {
      if (!ended) child.kill("SIGKILL");
      await done;
    },
  };
}
