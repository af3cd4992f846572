/**
 * ortune beside the seed's scripts and a packed PyTorch on one GPU, in one command and 8 minutes.
 *
 * In: a Python with torch, transformers and peft; no network. Out: one JSON line and a Markdown
 * table on stdout, progress on stderr; exit code 1 where a contender failed. Contenders are processes,
 * one after the other; README.md beside this file says what is measured, and how.
 *
 *     deno run -A bench/gpu/compare.ts --python python3
 *     deno run -A bench/gpu/compare.ts --python python3 --cpu --tiny
 */

import { parseArgs } from "node:util";
import type { Method } from "./entries.ts";
import { type OrtuneSide, runOrtune } from "./ortune_side.ts";
import { type RacesOptions, runRaces } from "./races.ts";
import { type ContenderResult, formatResults } from "./report.ts";
import { TimeBudget } from "./time_budget.ts";
import { SHAPES } from "./workload.ts";

const METHODS: readonly Method[] = ["full", "lora"];

const OPTIONS = {
  contender: { type: "string" },
  python: { type: "string", default: "python3" },
  "torch-side": { type: "string", default: new URL("torch_side.py", import.meta.url).pathname },
  cpu: { type: "boolean", default: false },
  tiny: { type: "boolean", default: false },
  seconds: { type: "string", default: "470" },
  rounds: { type: "string", default: "2" },
  shapes: { type: "string" },
  methods: { type: "string", default: METHODS.join(",") },
  // A regular expression, such as "^(torch, packed|ortune bf16)$".
  only: { type: "string", default: "" },
  together: { type: "boolean", default: false },
  // A folder for weights, where a later call finds them.
  scratch: { type: "string" },
  "weights-only": { type: "boolean", default: false },
} as const;

type Values = ReturnType<typeof parseArgs<{ options: typeof OPTIONS }>>["values"];

const say = (text: string): void => console.error(text);

/** The names that a flag lists. */
function listed<T extends string>(flag: string, value: string, known: readonly T[]): T[] {
  const names = value.split(",");
  const unknown = names.filter((name) => !known.includes(name as T));
  if (unknown.length === 0) return names as T[];
  throw new RangeError(
    `Cannot read --${flag} ${value}: ${unknown.join(", ")} is not one of ${known.join(", ")}`,
  );
}

function positive(flag: string, value: string): number {
  if (Number(value) > 0) return Number(value);
  throw new RangeError(`Cannot read --${flag} ${value}: give a number above 0`);
}

/** What the flags say. */
function readFlags(values: Values): Omit<RacesOptions, "scratch"> {
  const { cpu, tiny, python, together, methods, shapes = tiny ? "tiny" : "1.7B,0.6B" } = values;
  return {
    ...{ cpu, tiny, python, together, say },
    shapes: listed("shapes", shapes, Object.keys(SHAPES)),
    methods: listed("methods", methods, METHODS),
    only: new RegExp(values.only),
    rounds: positive("rounds", values.rounds),
    weightsOnly: values["weights-only"],
    torchSide: values["torch-side"],
    // The file that runs, which may be the bundle.
    script: new URL(import.meta.url).pathname,
    budget: new TimeBudget(positive("seconds", values.seconds)),
  };
}

/** Is a contender, whose last words say what went wrong. */
async function runContender(side: OrtuneSide): Promise<void> {
  try {
    await runOrtune(side);
  } catch (error) {
    console.error(error);
    say(`error: ${error instanceof Error ? error.message : error}`);
    Deno.exit(1);
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: OPTIONS });
  if (values.contender !== undefined) {
    return await runContender(JSON.parse(values.contender));
  }
  const flags = readFlags(values);
  const kept = values.scratch;
  if (kept !== undefined) await Deno.mkdir(kept, { recursive: true });
  const scratch = kept ?? await Deno.makeTempDir({ prefix: "ortune-compare-" });
  const results: ContenderResult[] = [];
  const began = Date.now();
  const { cpu } = values;
  const publish = (): void => {
    if (values["weights-only"] && results.length === 0) return;
    const seconds = (Date.now() - began) / 1000;
    console.log(JSON.stringify({ date: new Date(began).toISOString(), seconds, cpu, results }));
    console.log(`\n${formatResults(results)}`);
  };
  // Whoever ends this early still gets what was measured.
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, () => {
      publish();
      if (kept === undefined) Deno.removeSync(scratch, { recursive: true });
      Deno.exit(1);
    });
  }
  try {
    await runRaces({ ...flags, scratch }, results);
  } finally {
    publish();
    if (kept === undefined) await Deno.remove(scratch, { recursive: true });
  }
  Deno.exit(results.some(({ failure }) => failure !== undefined) ? 1 : 0);
}

if (import.meta.main) await main();
