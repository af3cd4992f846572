/**
 * One command of a step, in a process group that ends when its time is over. In: a command. Out: what
 * it printed, and in a sentence why it failed, if it did.
 */

/** A command of a step. */
export interface StepCommand {
  /** Tells it from the step's others. */
  readonly name?: string;
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** What it must print; without it its exit code decides alone. */
  readonly proof?: RegExp;
}

/** How to run it. */
export interface CommandRunOptions {
  readonly seconds: number;
  /** Takes its output as it comes. */
  readonly write?: (text: string) => void;
}

// Output kept in memory: the end, where errors and tables are.
const KEPT = 2 ** 20;
const KILL_SECONDS = 3;
// timeout(1) says so of a command that was too slow, or took too little notice.
const TIMED_OUT = [124, 137];
// The best of what it may say, from the best on.
const REASONS = [
  // Not the test runner's own line, nor what a Vulkan driver writes where there is no desktop.
  /^error: (?!Test failed|XDG_RUNTIME_DIR).*$/m,
  /^.*Error: .*$/m,
  /^.* failed: .*$/m,
];
const REASON_LENGTH = 400;

/** A command that runs. */
export class CommandRun {
  /** The end of what it printed so far. */
  output = "";
  readonly #command: StepCommand;
  readonly #options: CommandRunOptions;
  readonly #child: Deno.ChildProcess | undefined;
  readonly #failure: string | undefined;

  /** Starts it. */
  constructor(command: StepCommand, options: CommandRunOptions) {
    this.#command = command;
    this.#options = options;
    try {
      this.#child = new Deno.Command("timeout", {
        args: [`--kill-after=${KILL_SECONDS}`, `${options.seconds}`, ...command.command],
        env: { ...command.env },
        stdin: "null",
        stdout: "piped",
        stderr: "piped",
      }).spawn();
    } catch (error) {
      this.#failure = `it does not start: ${error instanceof Error ? error.message : error}`;
    }
  }

  /** Waits for its end; nothing, or why it failed. */
  async result(): Promise<string | undefined> {
    if (!this.#child) return this.#failure;
    await Promise.all([this.#read(this.#child.stdout), this.#read(this.#child.stderr)]);
    const { code } = await this.#child.status;
    const { proof } = this.#command;
    if (code === 0) {
      return !proof || proof.test(this.output) ? undefined : `it did not print ${proof}`;
    }
    const reason = REASONS.map((each) => each.exec(this.output)?.[0]).find((line) => line)?.trim()
      .slice(0, REASON_LENGTH);
    const what = TIMED_OUT.includes(code)
      ? `ended after ${this.#options.seconds} s`
      : `exit code ${code}`;
    return reason ? `${what}: ${reason}` : what;
  }

  async #read(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      this.output = (this.output + text).slice(-KEPT);
      this.#options.write?.(text);
    }
  }

  /** Ends it and what it started. */
  stop(): void {
    try {
      this.#child?.kill("SIGTERM");
    } catch {
      // It has ended.
    }
  }
}
