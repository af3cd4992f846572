/**
 * A process that trains when told to. In: a command line. Out: replies to commands, each within a
 * limit; whatever goes wrong ends the process and is an error that says what it last wrote.
 */

import type { TimeBudget } from "./time_budget.ts";

/** Lines of this start are replies; all others are noise. */
export const REPLY = "@@";

/** What to do next. */
export interface Command {
  readonly phase: "four" | "large";
  readonly count: number;
  /** Turns dropout off, where it can be. */
  readonly agree?: boolean;
  /** Waits after every graph, and tells the time of each. */
  readonly profile?: boolean;
}

/** What came of a command. */
export interface Reply {
  readonly seconds: number;
  readonly losses: readonly number[];
  /** The most memory that it held, by its own count, in bytes; null where it does not know. */
  readonly peakBytes: number | null;
  /** Milliseconds and runs by graph. */
  readonly profile?: Readonly<Record<string, { readonly ms: number; readonly runs: number }>>;
}

const NOISE_KEPT = 4000;
// As Deno and Python say it.
const REASON = /^(?:error: |(?:\w+\.)*\w*(?:Error|Exception|Interrupt)\b)/;

/** A running process. */
export class Contender {
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #replies: AsyncGenerator<string, void, void>;
  #noise = "";

  /** Starts it. */
  constructor(
    command: string,
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ) {
    this.#child = new Deno.Command(command, {
      args: [...args],
      env: { NO_COLOR: "1", ...env },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#input = this.#child.stdin.getWriter();
    this.#replies = this.#lines();
    this.#keepErrors();
  }

  #keep(text: string): void {
    this.#noise = (this.#noise + text).slice(-NOISE_KEPT);
  }

  async #keepErrors(): Promise<void> {
    for await (const text of this.#child.stderr.pipeThrough(new TextDecoderStream())) {
      this.#keep(text);
    }
  }

  async *#lines(): AsyncGenerator<string, void, void> {
    let rest = "";
    for await (const text of this.#child.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop()!;
      for (const line of lines) {
        if (line.startsWith(REPLY)) yield line.slice(REPLY.length);
        else this.#keep(line + "\n");
      }
    }
  }

  /** Waits for the next reply. */
  async reply(budget: TimeBudget, most: number): Promise<unknown> {
    const seconds = budget.limit(most);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<"late">((resolve) => {
      timer = setTimeout(() => resolve("late"), 1000 * seconds);
    });
    const next = await Promise.race([this.#replies.next(), late]);
    clearTimeout(timer);
    if (next === "late") throw await this.#failure(`gave no answer within ${seconds.toFixed(0)} s`);
    if (next.done) throw await this.#failure("ended");
    return JSON.parse(next.value);
  }

  /** Sends a command and waits for what comes of it. */
  async ask(command: Command, budget: TimeBudget, most: number): Promise<Reply> {
    try {
      await this.#input.write(new TextEncoder().encode(JSON.stringify(command) + "\n"));
    } catch {
      throw await this.#failure("takes no more commands");
    }
    return await this.reply(budget, most) as Reply;
  }

  async #failure(what: string): Promise<Error> {
    await this.stop();
    const words = this.#noise.trim() || "none";
    // What went wrong stands before a trace that may be long, and after what came before.
    const reason = words.split("\n").findLast((line) => REASON.test(line))?.trim();
    const said = reason === undefined || reason === words ? "" : `: ${reason}`;
    return new Error(`It ${what}${said}; its last words: ${words}`);
  }

  /** Ends it, if it has not ended. */
  async stop(): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.#child.status;
    // What nobody reads any more may not be written out.
    await this.#input.close().catch(() => {});
  }
}
