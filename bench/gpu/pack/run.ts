/**
 * What a pack's run.sh starts, once the environment is set: takes the steps and tells what came of them.
 *
 * In: SECONDS, STEPS, --rehearse; OUT, PYTHON, SCRATCH. Out: logs, a summary last on stdout, exit code
 * 1 where a step failed.
 */

import { parseArgs } from "node:util";
import { runMain } from "../../run_main.ts";
import { TimeBudget } from "../time_budget.ts";
import { StepRunner } from "./step_runner.ts";
import { listSteps } from "./steps.ts";

const USAGE = "usage: bash run.sh [SECONDS] [STEPS] [--rehearse]";
const SECONDS = "430";

/** Whether a program is on PATH. */
function has(program: string): boolean {
  try {
    return new Deno.Command(program, { args: ["--version"], stdout: "null", stderr: "null" })
      .outputSync().success;
  } catch {
    return false;
  }
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { rehearse: { type: "boolean", default: false } },
  });
  const [seconds = SECONDS, only = ""] = positionals;
  if (!(Number(seconds) > 0) || positionals.length > 2) {
    throw new RangeError(`Cannot read ${positionals.join(" ")}\n${USAGE}`);
  }
  const wanted = new RegExp(only);
  const out = Deno.env.get("OUT") || "out";
  await Deno.mkdir(out, { recursive: true });
  const scratch = Deno.env.get("SCRATCH") || `${Deno.env.get("TMPDIR") || "/tmp"}/ortune-scratch`;
  const all = listSteps({
    files: Array.from(Deno.readDirSync("."), ({ name }) => name).sort(),
    python: Deno.env.get("PYTHON") || "python3",
    scratch,
    rehearse: values.rehearse,
    has,
  });
  const steps = all.filter(({ name }) => wanted.test(name));
  if (steps.length === 0) {
    throw new RangeError(
      `Cannot choose steps: ${wanted} matches none of ${all.map(({ name }) => name).join("; ")}`,
    );
  }
  const say = (text: string): void => console.log(text);
  const budget = new TimeBudget(Number(seconds));
  const runner = new StepRunner({ budget, out, say });
  // Whoever ends this early still gets what was found.
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, () => runner.stop(`ended early by ${signal}`));
  }
  await runner.run(steps);
  runner.close();
  return runner.failed ? 1 : 0;
}

if (import.meta.main) await runMain(main, { failed: 2 });
