/**
 * What every command shares: flags in kebab-case or snake_case, `--help`, exit codes (0 done, 1
 * failed, 2 wrong flags, 130 interrupted) and Ctrl-C, SIGTERM, SIGUSR2 and SIGHUP as an AbortSignal.
 */

import { Command, CommanderError } from "commander";
import { setTimeout as delay } from "node:timers/promises";
import { TELLS_LATER } from "../../comm/abort_on_error.ts";
import { UsageError } from "../../internal/usage_error.ts";
import { hangupAction } from "./hangup.ts";

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
const EXIT_INTERRUPTED = 130;
/** Milliseconds within which SIGTERM and SIGHUP are the one that came first. */
const SAME_END = 2000;
/** The same of SIGINT, which `deno task` passes on 1 ms after the terminal; nobody presses as fast. */
const SAME_PRESS = 100;
// Placeholders of values that are paths.
const PATHS = /[<[](dirs?|file|paths?|run\.json)\b/;
const UNKNOWN = /^error: unknown option '--([\w-]+)/;
const NET_ACCESS = /^Requires net access to "([^"]+)", run again with the --allow-net flag$/;
const FILE_ACCESS = /^Requires (read|write) access to (.+), run again with the --allow-\w+ flag$/s;

/** What a command is run with. */
export interface CommandContext<Options> {
  readonly options: Options;
  /** Aborted by the first Ctrl-C, SIGTERM, SIGUSR2 or SIGHUP; a second one ends the process at once. */
  readonly signal: AbortSignal;
}

/** A command: its flags and what it does. */
export interface CommandDefinition<Options> {
  /** As it is called, such as `deno task train`. */
  readonly name: string;
  readonly description: string;
  /** Adds the flags. */
  readonly flags: (command: Command) => void;
  /** Adds to the arguments what a file says. @default they stay as they are */
  readonly expand?: (args: readonly string[], command: Command) => Promise<readonly string[]>;
  /** What to say of a flag that there is not, given without dashes. @default the nearest one */
  readonly explain?: (flag: string, command: Command) => string | undefined;
  /** Number of this process among those that a launcher started together. @default 0 */
  readonly rank?: number;
  readonly run: (context: CommandContext<Options>) => Promise<void>;
}

/** Parses the arguments, runs the command and sets the process's exit code. */
export async function runCommand<Options>(
  definition: CommandDefinition<Options>,
  args: readonly string[] = Deno.args,
): Promise<void> {
  Deno.exitCode = await executeCommand(definition, {
    args,
    printError: (text) => console.error(text.trimEnd()),
  });
}

/** What a command is started with. */
export interface ExecuteOptions {
  readonly args: readonly string[];
  /** Takes what goes to standard error. */
  readonly printError: (text: string) => void;
}

/** Parses the arguments, runs the command and answers the exit code. */
export async function executeCommand<Options>(
  { name, description, flags, expand, explain, rank = 0, run }: CommandDefinition<Options>,
  { args, printError }: ExecuteOptions,
): Promise<number> {
  const command = new Command(name).description(description).exitOverride()
    .showHelpAfterError(`(${name} --help lists the flags)`)
    .configureOutput({
      // Of flags and help the first process tells: the others were given the same.
      writeErr: (text) => rank === 0 && printError(text),
      ...rank === 0 ? {} : { writeOut: () => {} },
      outputError: (text, write) => {
        const [, flag] = UNKNOWN.exec(text) ?? [];
        const said = flag && explain?.(flag, command);
        write(said ? `error: unknown option '--${flag}': ${said}\n` : text);
      },
      // Commander would read NO_COLOR and the like from the environment, which commands may not.
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
    .allowExcessArguments();
  flags(command);
  const interruption = new AbortController();
  let since = 0;
  // One end comes as several signals: a closing terminal and the shell both send SIGHUP, and `deno
  // task` passes on what its whole group was sent.
  const interruptAfter = (milliseconds: number) => () => {
    if (!interruption.signal.aborted) {
      since = performance.now();
      interruption.abort(new DOMException("Interrupted", "AbortError"));
      // From then on Ctrl-C is the system's, which a graph that runs does not keep waiting.
      Deno.unrefTimer(setTimeout(() => Deno.removeSignalListener("SIGINT", press), SAME_PRESS));
    } else if (performance.now() - since > milliseconds) Deno.exit(EXIT_INTERRUPTED);
  };
  const [press, end] = [interruptAfter(SAME_PRESS), interruptAfter(SAME_END)];
  const listeners: [Deno.Signal, () => void][] = [["SIGINT", press]];
  // Windows has none. SIGUSR2 is what launchers and schedulers can send ahead of the end of a job; SIGUSR1 is
  // Deno's own.
  if (Deno.build.os !== "windows") listeners.push(["SIGTERM", end], ["SIGUSR2", end]);
  const hangup = hangupAction();
  if (hangup !== undefined) listeners.push(["SIGHUP", hangup === "ends" ? end : goOn]);
  for (const [signal, listener] of listeners) Deno.addSignalListener(signal, listener);
  const { signal } = interruption;
  // Gives the first process the time to tell of what is wrong on all: a launcher ends all when one has ended. What is
  // left then is this one's alone, or the launcher waits.
  const isLeft = () => delay(TELLS_LATER, true, { signal }).catch(() => false);
  try {
    const typed = args.map(kebabCase);
    command.parse(await expand?.(typed, command) ?? typed, { from: "user" });
    const [excess] = command.args;
    if (excess !== undefined) {
      command.error(
        `error: unexpected argument '${excess}': put a value of several words in quotes`,
      );
    }
    assertPaths(command);
    await run({ options: command.opts() as Options, signal });
    return signal.aborted ? EXIT_INTERRUPTED : 0;
  } catch (cause) {
    if (cause instanceof CommanderError) {
      if (rank > 0) await isLeft();
      return cause.exitCode === 0 ? 0 : EXIT_USAGE;
    }
    if (signal.aborted && cause === signal.reason) return EXIT_INTERRUPTED;
    const code = failureCode(cause);
    if (rank === 0 || await isLeft() && code !== EXIT_USAGE) {
      printError(`${describeFailure(cause)}\n`);
    }
    return code;
  } finally {
    for (const [signal, listener] of listeners) Deno.removeSignalListener(signal, listener);
  }
}

/** What a command that failed says. */
export function describeFailure(cause: unknown): string {
  return `error: ${message(cause)}`;
}

/** The exit code of a command that failed. */
export function failureCode(cause: unknown): number {
  return cause instanceof UsageError ? EXIT_USAGE : EXIT_FAILED;
}

/** Listens to a signal that is to be ignored, as Deno would end the process otherwise. */
function goOn(): void {}

/** Refuses an empty path, which is what a shell makes of a variable that is not set. */
function assertPaths(command: Command): void {
  for (const option of command.options) {
    const values: unknown[] = [command.getOptionValue(option.attributeName())].flat();
    if (!PATHS.test(option.flags) || !values.includes("")) continue;
    command.error(`error: option '${option.flags}' argument '' is invalid. It must not be empty.`);
  }
}

/** `--learning_rate=1` as `--learning-rate=1`; values are left alone. */
function kebabCase(argument: string): string {
  const [, flag, rest] = /^(--[\w-]+)(.*)$/s.exec(argument) ?? [];
  return flag === undefined ? argument : flag.replaceAll("_", "-") + rest;
}

function message(error: unknown): string {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (!(cause instanceof Deno.errors.NotCapable)) continue;
    const [, host] = NET_ACCESS.exec(cause.message) ?? [];
    if (host !== undefined) {
      return `Cannot connect to ${host}: the task may not; deno.json says which hosts it may reach; ` +
        `for others run the script with deno run and --allow-net=${host} besides`;
    }
    const [, verb, path] = FILE_ACCESS.exec(cause.message) ?? [];
    // Deno's advice to run again with a flag is none for a task.
    return verb === undefined
      ? cause.message
      : `Cannot ${verb} ${path}: the task may not; deno.json says which of models, data and output ` +
        `it may; for others run the script with deno run and --allow-${verb} for them`;
  }
  return error instanceof Error ? error.message : String(error);
}
