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
import { chooseEntries, type Method, ortuneEntries, torchEntries } from "./entries.ts";
import { writeInitialWeights } from "./initial_weights.ts";
import { type OrtuneSide, runOrtune } from "./ortune_side.ts";
import { whyNoTorch } from "./python_parts.ts";
import { AGREE, Race } from "./race.ts";
import { type ContenderResult, formatResults } from "./report.ts";
import { TimeBudget } from "./time_budget.ts";
import { makeWorkload, SHAPES } from "./workload.ts";

// Qwen3-Medical-SFT: 1e-4 falling to 0 over 1084 updates.
const LEARNING_RATE = 1e-4;
const TOTAL_STEPS = 1084;
const SEED = 42;
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

/** All races, into the results. */
async function runRaces(
  values: Values,
  scratch: string,
  results: ContenderResult[],
): Promise<void> {
  const { cpu, tiny, python, together, "torch-side": torchSide } = values;
  const only = new RegExp(values.only);
  const rounds = positive("rounds", values.rounds);
  const shapes = listed(
    "shapes",
    values.shapes ?? (tiny ? "tiny" : "1.7B,0.6B"),
    Object.keys(SHAPES),
  );
  const methods = listed("methods", values.methods, METHODS);
  const budget = new TimeBudget(positive("seconds", values.seconds));
  const races = shapes.flatMap((shape) => methods.map((method) => ({ shape, method })));
  // The first shape's full training matters most and loads slowest.
  const weights = races.map(({ shape, method }) =>
    (shape === "0.6B" ? 0.8 : 1.2) * (method === "full" ? 1.3 : 1)
  );
  const device = cpu ? "cpu" : "cuda:0";
  const threads = cpu ? { threads: 2 } : {};
  const noTorch = await whyNoTorch(python);
  for (const [i, { shape, method }] of races.entries()) {
    const race = budget.part(weights.slice(i));
    const [model, adapter, workload] = ["", ".adapter", ".rows.json"].map((end) =>
      `${scratch}/${shape}-${cpu ? "cpu" : "cuda"}${end}`
    );
    const rows = makeWorkload({
      seed: SEED,
      vocabulary: SHAPES[shape].vocab_size,
      maxLength: tiny ? 256 : 2048,
      four: AGREE + 60,
      large: 6,
      largeTokens: tiny ? 2048 : 32768,
    });
    await Deno.writeTextFile(workload, JSON.stringify(rows));
    const common = { learningRate: LEARNING_RATE, totalSteps: TOTAL_STEPS, ...threads };
    const torch = {
      ...{ model, adapter, workload, device, shape: SHAPES[shape], seed: SEED },
      ...{ lora: method === "lora", dropout: 0.1, microRows: 2, ...common },
    };
    try {
      say(`${shape}: initial weights`);
      const written = await writeInitialWeights({
        ...{ python, script: torchSide, side: torch, torch: noTorch === undefined, budget: race },
      });
      say(`${shape}: initial weights ${written ? "written" : "found"}`);
    } catch (error) {
      say(`${shape}: no initial weights: ${error}`);
      results.push({
        ...{ shape, method, name: "initial weights", losses: [], failure: String(error) },
      });
      continue;
    }
    if (values["weights-only"]) continue;
    const side = {
      ...{ model, workload, device, microRows: 4, gradientCheckpointing: true, kernels: !cpu },
      ...method === "lora" ? { adapter } : {},
      ...common,
    };
    const entries = chooseEntries([
      ...torchEntries(python, torchSide, torch),
      // The file that runs, which may be the bundle.
      ...ortuneEntries(method, { script: new URL(import.meta.url).pathname, cpu, side }),
    ], only);
    const able = entries.filter(({ ortune }) => ortune || noTorch === undefined);
    for (const { name } of entries.filter((entry) => !able.includes(entry))) {
      say(`skipped: ${shape} ${method} ${name}: ${noTorch}`);
      results.push({ shape, method, name, losses: [], skipped: noTorch });
    }
    const runner = new Race(results, {
      ...{ shape, method, workload: rows, budget: race, rounds, together, say },
      updates: tiny ? { four: 4, large: 1 } : { four: 10, large: 2 },
    });
    await runner.run(able);
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: OPTIONS });
  if (values.contender !== undefined) {
    return await runOrtune(JSON.parse(values.contender) as OrtuneSide);
  }
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
    await runRaces(values, scratch, results);
  } finally {
    publish();
    if (kept === undefined) await Deno.remove(scratch, { recursive: true });
  }
  Deno.exit(results.some(({ failure }) => failure !== undefined) ? 1 : 0);
}

if (import.meta.main) await main();
