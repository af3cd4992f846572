/**
 * One race after another: of each shape and method. In: what to run, a folder for weights. Out: results,
 * which grow while they run.
 */

import { chooseEntries, type Entry, type Method, ortuneEntries, torchEntries } from "./entries.ts";
import { writeInitialWeights } from "./initial_weights.ts";
import type { OrtuneSide } from "./ortune_side.ts";
import { whyNoTorch } from "./python_parts.ts";
import { AGREE, Race } from "./race.ts";
import type { ContenderResult } from "./report.ts";
import type { TimeBudget } from "./time_budget.ts";
import { makeWorkload, SHAPES, type Workload } from "./workload.ts";

/** What to run, and where. */
export interface RacesOptions {
  readonly shapes: readonly string[];
  readonly methods: readonly Method[];
  /** Names of those who take part. */
  readonly only: RegExp;
  readonly rounds: number;
  readonly together: boolean;
  readonly cpu: boolean;
  /** Whether rows and updates are small. */
  readonly tiny: boolean;
  /** Whether nothing is run, but weights are written. */
  readonly weightsOnly: boolean;
  readonly python: string;
  /** Path of torch_side.py. */
  readonly torchSide: string;
  /** Path of compare.ts, or of its bundle, which contenders run. */
  readonly script: string;
  /** Folder for weights. */
  readonly scratch: string;
  readonly budget: TimeBudget;
  /** Takes a line of progress. */
  readonly say: (text: string) => void;
}

// Qwen3-Medical-SFT: 1e-4 falling to 0 over 1084 updates.
const LEARNING_RATE = 1e-4;
const TOTAL_STEPS = 1084;
const SEED = 42;
const DROPOUT = 0.1;
const CPU_THREADS = 2;

/** Runs them all. */
export async function runRaces(options: RacesOptions, results: ContenderResult[]): Promise<void> {
  const { shapes, methods, budget, python } = options;
  const races = shapes.flatMap((shape) => methods.map((method) => ({ shape, method })));
  // The first shape's full training matters most and loads slowest.
  const weights = races.map(({ shape, method }) =>
    (shape === "0.6B" ? 0.8 : 1.2) * (method === "full" ? 1.3 : 1)
  );
  const noTorch = await whyNoTorch(python);
  for (const [i, { shape, method }] of races.entries()) {
    const part = { ...options, budget: budget.part(weights.slice(i)) };
    await runRace(part, { shape, method, noTorch, results });
  }
}

async function runRace(options: RacesOptions, { shape, method, noTorch, results }: {
  readonly shape: string;
  readonly method: Method;
  /** Why PyTorch's contenders cannot run. */
  readonly noTorch: string | undefined;
  readonly results: ContenderResult[];
}): Promise<void> {
  const { tiny, say, python, torchSide, script, cpu, budget, only } = options;
  const workload = workloadOf(shape, tiny);
  const { torch, ortune } = sidesOf(options, shape, method);
  await Deno.writeTextFile(torch.workload, JSON.stringify(workload));
  try {
    say(`${shape}: initial weights`);
    const how = { python, script: torchSide, torch: noTorch === undefined, budget };
    const written = await writeInitialWeights({ ...how, side: torch });
    say(`${shape}: initial weights ${written ? "written" : "found"}`);
  } catch (error) {
    const failure = error instanceof Error ? error.message : String(error);
    say(`${shape}: initial weights failed: ${failure}`);
    results.push({ shape, method, name: "initial weights", losses: [], failure });
    return;
  }
  if (options.weightsOnly) return;
  const entries = chooseEntries([
    ...torchEntries(python, torchSide, torch),
    ...ortuneEntries(method, { script, cpu, side: ortune }),
  ], only);
  const able = (entry: Entry): boolean => entry.ortune || noTorch === undefined;
  for (const { name } of entries.filter((entry) => !able(entry))) {
    say(`skipped: ${shape} ${method} ${name}: ${noTorch}`);
    results.push({ shape, method, name, losses: [], skipped: noTorch });
  }
  const updates = tiny ? { four: 4, large: 1 } : { four: 10, large: 2 };
  const race = new Race(results, { ...options, shape, method, workload, updates });
  await race.run(entries.filter(able));
}

function workloadOf(shape: string, tiny: boolean): Workload {
  return makeWorkload({
    seed: SEED,
    vocabulary: SHAPES[shape].vocab_size,
    maxLength: tiny ? 256 : 2048,
    four: AGREE + 60,
    large: 6,
    largeTokens: tiny ? 2048 : 32768,
  });
}

/** What both sides are told of a race. */
function sidesOf({ scratch, cpu }: RacesOptions, shape: string, method: Method) {
  const path = `${scratch}/${shape}-${cpu ? "cpu" : "cuda"}`;
  const adapter = `${path}.adapter`;
  const common = {
    model: path,
    workload: `${path}.rows.json`,
    device: cpu ? "cpu" : "cuda:0",
    learningRate: LEARNING_RATE,
    totalSteps: TOTAL_STEPS,
    ...cpu ? { threads: CPU_THREADS } : {},
  };
  const torch = {
    ...common,
    adapter,
    shape: SHAPES[shape],
    seed: SEED,
    lora: method === "lora",
    dropout: DROPOUT,
    microRows: 2,
  };
  const ortune: OrtuneSide = {
    ...common,
    ...method === "lora" ? { adapter } : {},
    gradientCheckpointing: true,
    kernels: !cpu,
    microRows: 4,
  };
  return { torch, ortune };
}
