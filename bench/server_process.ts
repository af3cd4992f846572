/**
 * A server under a load: `cli/commands/serve.ts` on a model, in a process of its own.
 *
 * Linux: its memory is read from /proc.
 */

import { processUsage } from "./process_usage.ts";

const MIB = 2 ** 20;

/** What the clients of a load ask. */
export const QUESTIONS: readonly string[] = [
  "头疼怎么办？",
  "What helps against a cough?",
  "I slept badly.",
  "血压高怎么办？",
];

/** A server that runs. */
export interface ServerProcess {
  readonly url: string;
  /** Bytes of it that are in memory. */
  resident(): Promise<number>;
  /** Ctrl-C; the exit code, once it has ended. */
  interrupt(): Promise<number>;
}

/** Starts a server of the model in a folder, on a free port of this machine. */
export async function startServer(
  model: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<ServerProcess> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--quiet", "--no-prompt", "--no-check", "--allow-net=127.0.0.1", "--allow-ffi"],
      ...["--allow-env=ORTUNE_ORT_LIB,ORTUNE_API_KEY", `--allow-read=${model}`],
      ...[new URL("../cli/commands/serve.ts", import.meta.url).pathname, "--port", "0"],
      ...["--model", model, "--model-name", "base", ...args],
    ],
    env,
    stdout: "piped",
  }).spawn();
  return {
    url: await listeningUrl(child.stdout),
    async resident(): Promise<number> {
      const usage = await processUsage(child.pid);
      if (!usage) throw new Error("The server ended");
      return usage.bytes;
    },
    async interrupt(): Promise<number> {
      child.kill("SIGINT");
      return (await child.status).code;
    },
  };
}

/** How resident memory went over a load: its means by tenths of the time, in bytes. */
export function memoryByTenths(
  samples: readonly number[],
): { readonly text: string; readonly drift: number } {
  const tenth = Math.max(1, Math.floor(samples.length / 10));
  const mean = (part: readonly number[]): number =>
    part.reduce((sum, each) => sum + each, 0) / part.length / MIB;
  const means = Array.from(
    { length: 10 },
    (_, i) => mean(samples.slice(i * tenth, (i + 1) * tenth)),
  );
  // The first tenth is warming up: compiled code, buffers of all sizes.
  const [early, late] = [means[1], mean(samples.slice(-tenth))];
  const drift = 100 * (late / early - 1);
  return {
    text: `resident by tenths: ${means.map((each) => each.toFixed(0)).join(", ")} MiB\n` +
      `resident: ${early.toFixed(0)} MiB in the second tenth, ${
        late.toFixed(0)
      } MiB in the last, ` +
      `drift ${drift.toFixed(1)} %`,
    drift,
  };
}

async function listeningUrl(stdout: ReadableStream<Uint8Array>): Promise<string> {
  const reader = stdout.pipeThrough(new TextDecoderStream()).getReader();
  for (let text = "";;) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`The server ended: ${text}`);
    text += value;
    const [found] = /http:\/\/127\.0\.0\.1:\d+/.exec(text) ?? [];
    if (found) return found;
  }
}
