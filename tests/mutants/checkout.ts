/**
 * A copy of what is committed, to put faults into, and the tests that are run there.
 *
 * In: the checkout that this process works in. Out: results of test files and of `deno check` in a copy, and what a test
 * file does without a fault: whether it passes, how long it takes, which lines it does not run.
 */

import { mayShareModule, moduleOf, PRELOADED, SANITIZERS } from "../support/unit_tests.ts";
import { type Missed, missedLines } from "./coverage.ts";

/** What a test file does without a fault. */
export interface CleanRun {
  readonly test: string;
  readonly passes: boolean;
  /** Whether it leaves nothing open: then it is held to that. */
  readonly sanitized: boolean;
  /** Whether it may run in one process with others. */
  readonly shares: boolean;
  /** On this machine as it was then. */
  readonly seconds: number;
  readonly missed: Missed;
}

/** What came of a process. */
interface Output {
  readonly success: boolean;
  readonly code: number;
  readonly text: string;
}

/** A test may take so many times its time without a fault. */
const SLOWER = 4;
/** Seconds that it may take besides, as a start on a busy machine does. */
const SPARE = 20;
/** Exit codes of what is ended: by `timeout`, by SIGKILL where its processor time is over. */
const ENDED: ReadonlySet<number> = new Set([124, 128 + 9]);
function sanitizers(sanitized: boolean): readonly string[] {
  return sanitized ? [...SANITIZERS, `--preload=${PRELOADED}`] : [];
}

/** A copy of the checkout. */
export class Checkout implements AsyncDisposable {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Copies what is committed, which must be all that there is. */
  static async copy(): Promise<Checkout> {
    const folder = await Deno.makeTempDir({ prefix: "ortune-mutants-" });
    const copy = new Checkout(folder);
    const { success, text } = await copy.#run("git", ["clone", "--quiet", Deno.cwd(), "."]);
    if (!success) throw new Error(`Cannot copy the checkout: ${text}`);
    const { text: changes } = await copy.#run("git", ["-C", Deno.cwd(), "status", "--porcelain"]);
    if (changes !== "") {
      throw new Error(`Cannot put faults into what is not committed; commit first:\n${changes}`);
    }
    return copy;
  }

  /** What is committed. */
  async commit(): Promise<string> {
    return (await this.#run("git", ["rev-parse", "HEAD"])).text.trim();
  }

  /** Writes a file of the copy. */
  async write(file: string, text: string): Promise<void> {
    await Deno.writeTextFile(`${this.#folder}/${file}`, text);
  }

  /** The first test that fails of files which share a process, or what else went wrong; undefined where all pass. */
  async whatFails(runs: readonly CleanRun[]): Promise<string | undefined> {
    const seconds = runs.reduce((sum, run) => sum + run.seconds, 0);
    // Processor time for what never ends; time of the clock, which a busy machine takes from all, for what waits.
    const limits = [`${Math.ceil(SLOWER * seconds) + SPARE}`, `${10 * Math.ceil(seconds + SPARE)}`];
    const options = ["--fail-fast", ...sanitizers(runs[0].sanitized)];
    const tests = runs.map(({ test }) => test);
    let path = tests[0];
    if (tests.length > 1) {
      path = `${this.#folder}/output/together_test.ts`;
      await Deno.mkdir(`${this.#folder}/output`, { recursive: true });
      await Deno.writeTextFile(path, moduleOf(this.#folder, tests));
    }
    const { success, code, text } = await this.#test(path, options, limits);
    if (success) return undefined;
    if (ENDED.has(code)) return `no end of ${tests.join(" ")}`;
    if (text.includes("g++ failed")) return "g++ failed";
    return /^(.*?) \.\.\. FAILED/m.exec(text)?.[1] ?? text.trim().split("\n").at(-1) ?? "";
  }

  /** Runs a test file while there is no fault in the copy. */
  async runClean(test: string): Promise<CleanRun> {
    // Whole runs, servers and processes of `tests/` are not held to it, nor units that listen or load for good.
    const first = test.startsWith("tests/") ? undefined : await this.#runClean(test, true);
    return first?.passes ? first : await this.#runClean(test, false);
  }

  async #runClean(test: string, sanitized: boolean): Promise<CleanRun> {
    const coverage = await Deno.makeTempDir({ prefix: "ortune-coverage-" });
    try {
      const start = performance.now();
      const limits = ["unlimited", "1800"];
      const env = { DENO_COVERAGE_DIR: coverage };
      const { success } = await this.#test(test, sanitizers(sanitized), limits, env);
      const seconds = Math.round((performance.now() - start) / 100) / 10;
      const { text } = await this.#run(Deno.execPath(), ["coverage", "--lcov", coverage]);
      const shares = sanitized &&
        mayShareModule(test, await Deno.readTextFile(`${this.#folder}/${test}`));
      const missed = missedLines(text, this.#folder);
      return { test, passes: success, sanitized, shares, seconds, missed };
    } finally {
      await Deno.remove(coverage, { recursive: true });
    }
  }

  /** Those of the files that do not pass `deno check`. */
  async whichFailTypes(files: readonly string[]): Promise<ReadonlySet<string>> {
    const { text } = await this.#run(Deno.execPath(), ["check", "--quiet", ...files]);
    const places = text.matchAll(/at file:\/\/(.*?):\d+:\d+/g);
    return new Set(Array.from(places, ([, path]) => path.slice(this.#folder.length + 1)));
  }

  /** Removes the copy. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.#folder, { recursive: true });
  }

  #test(
    test: string,
    options: readonly string[],
    [processor, clock]: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Promise<Output> {
    const command = 'ulimit -t "$0"; exec timeout "$@"';
    const all = ["test", "--allow-all", "--no-check", ...options, test];
    return this.#run("bash", ["-c", command, processor, clock, Deno.execPath(), ...all], env);
  }

  async #run(
    command: string,
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Promise<Output> {
    const { success, code, stdout, stderr } = await new Deno.Command(command, {
      args: [...args],
      cwd: this.#folder,
      env: { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1", ...env },
      stdin: "null",
    }).output();
    const decoder = new TextDecoder();
    return { success, code, text: decoder.decode(stdout) + decoder.decode(stderr) };
  }
}
