/** A task of deno.json with its own permissions, in another folder. */

import { IDLE_THREADS } from "./process.ts";
import { repositoryPath, runDeno, type ScriptOutput } from "./run_script.ts";

/** A task's flags and script. */
export interface Task {
  readonly flags: readonly string[];
  readonly script: string;
}

/** A task as deno.json has it. */
export interface DeclaredTask {
  readonly description: string;
  readonly command: string;
}

/** Every task as it is declared. */
export const declaredTasks: Readonly<Record<string, DeclaredTask>> =
  JSON.parse(await Deno.readTextFile(repositoryPath("deno.json"))).tasks;

/** Every task's command line. */
export const tasks: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(declaredTasks).map(([name, { command }]) => [name, command]),
);

/** Takes a task's command apart. */
export function task(name: string): Task {
  const words = tasks[name].replace(/^(\w+=\S+ )+/, "").split(" "); // without its environment
  if (words[0] !== "deno" || words[1] !== "run") throw new Error(`${name} is no script`);
  return { flags: words.slice(2, -1), script: words.at(-1)! };
}

/** Runs a script in a folder under a task's own flags. */
export function runAs(
  { flags, script }: Task,
  cwd: string,
  args: readonly string[] = [],
): Promise<ScriptOutput> {
  const config = repositoryPath("deno.json");
  const fixed = ["--quiet", "--no-check", "--cached-only", `--config=${config}`, IDLE_THREADS];
  const module = script.startsWith("/") ? script : repositoryPath(script);
  return runDeno(["run", ...fixed, ...flags, module, ...args], cwd);
}

/** Runs a task in a folder; arguments may be given as one text without blanks in them. */
export function runTask(
  name: string,
  cwd: string,
  args: string | readonly string[],
): Promise<ScriptOutput> {
  const words = typeof args === "string" ? args.split(" ").filter((each) => each !== "") : args;
  return runAs(task(name), cwd, words);
}
