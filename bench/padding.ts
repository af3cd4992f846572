/**
 * What padding costs: tokens computed for each real one, calculated, and real tokens a second on the processor
 * with padding and without, measured in turns.
 *
 *     deno run -A bench/padding.ts [--rounds 7] [--threads 2] [--layers 2] [--calculate]
 *
 * In: examples of the dataset's lengths (gpu/workload.ts). Out: tables. Measured are some layers of
 * Qwen3-0.6B with 4,096 tokens in float32, forwards and backwards, activations recomputed; needs 2 GiB. Where
 * others use the machine too, a processor's seconds on one thread tell more than the clock's.
 */

import { parseArgs } from "node:util";
import { makeBatches } from "../data/batches/batches.ts";
import type { Batch } from "../data/batches/collator.ts";
import { planEpoch } from "../data/batches/epoch_plan.ts";
import { joinExample } from "../data/examples/join_example.ts";
import { nextFit } from "../data/batches/next_fit.ts";
import { ParameterStore } from "../model/engine/parameter_store.ts";
import { TrainingEngine } from "../model/engine/training_engine.ts";
import { computedTokens, GRID_COST, type Layout } from "../model/engine/without_padding.ts";
import { adaptModel } from "../lora/load_adapter.ts";
import { DEFAULT_LORA } from "../lora/lora_options.ts";
import { parseConfig } from "../model/config.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { QWEN3_0_6B } from "../tests/support/model_configs.ts";
import { batchesOfLengths } from "./gpu/workload.ts";
import { fillRandom, median, randomWeights } from "./measure.ts";

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "7" },
    threads: { type: "string", default: "2" },
    layers: { type: "string", default: "2" },
    calculate: { type: "boolean", default: false },
  },
});
const MAX_LENGTH = 2048;
const VOCABULARY = 4096;
const lengths = batchesOfLengths({ examples: 1, maxLength: MAX_LENGTH, batches: 4800 })
  .map(([{ tokens }]) => tokens);
const order = { seed: 42, epoch: 0 };

/** Computed for each real token, over an epoch. */
function ratio(
  { batchSize, packed, sortWithin, layout }: {
    readonly batchSize: number;
    readonly packed?: boolean;
    readonly sortWithin?: number;
    readonly layout: Layout;
  },
): string {
  const packing = packed ? { maxLength: MAX_LENGTH } : undefined;
  let [real, computed] = [0, 0];
  for (const batch of planEpoch(lengths, { ...order, batchSize, packing, sortWithin }).batches()) {
    const members = Array.from(batch, (index) => lengths[index]);
    const starts = packing ? nextFit(members, MAX_LENGTH) : [...members.keys()];
    const rows = starts.map((start, i) =>
      members.slice(start, starts[i + 1]).reduce((sum, each) => sum + each, 0)
    );
    real += rows.reduce((sum, each) => sum + each, 0);
    computed += computedTokens(rows, layout);
  }
  return (computed / real).toFixed(3);
}

console.log("Tokens computed for each real one:\n");
console.log("| rows × batches an update | grid | sorted within the update | host | end to end |");
console.log("|---|---|---|---|---|");
for (const [batchSize, sortWithin] of [[1, 4], [2, 2], [4, 1], [2, 4], [4, 4], [8, 2], [16, 1]]) {
  const cells = [
    ratio({ batchSize, layout: "grid" }),
    ratio({ batchSize, sortWithin, layout: "grid" }),
    ratio({ batchSize, sortWithin, layout: "similar-rows" }),
    ratio({ batchSize, sortWithin, layout: "end-to-end" }),
  ];
  console.log(`| ${batchSize} × ${sortWithin} | ${cells.join(" | ")} |`);
}
for (const batchSize of [1, 4, 16]) {
  const cells = (["grid", "grid", "similar-rows", "end-to-end"] as const)
    .map((layout) => ratio({ batchSize, packed: true, layout }));
  console.log(`| ${batchSize} packed rows of ${MAX_LENGTH} | ${cells.join(" | ")} |`);
}
if (values.calculate) Deno.exit();

const config = parseConfig({
  ...QWEN3_0_6B,
  num_hidden_layers: Number(values.layers),
  vocab_size: VOCABULARY,
});
const runtime = new Runtime({ threads: Number(values.threads) });
const weights = randomWeights(runtime, config);
const rounds = Number(values.rounds);
const examples = lengths.slice(0, 4 * (rounds + 1)).map((length, i) => {
  const ids = Int32Array.from({ length }, (_, at) => (at * 293 + i * 31) % VOCABULARY);
  const options = { maxLength: MAX_LENGTH, terminated: true };
  return joinExample(ids.subarray(0, 20), ids.subarray(20), options);
});

/** A quarter of the values lies below the first, three below the second. */
function quartiles(values: readonly number[]): readonly [number, number] {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (part: number) => sorted[Math.round(part * (sorted.length - 1))];
  return [at(0.25), at(0.75)];
}

console.log(
  `\nReal tokens a second, ${rounds} updates of four examples in turns, ${values.threads} threads:\n`,
);
console.log(
  "| | with padding | without | times (quartiles) | a processor's second: with | without | " +
    "times (quartiles) | a grid costs, in tokens |",
);
console.log("|---|---|---|---|---|---|---|---|");
for (const [batchSize, batches] of [[4, 1], [2, 2]]) {
  for (const lora of [false, true]) {
    using owned = new DisposableStack();
    const adapted = lora
      ? owned.use(adaptModel(runtime, {
        config,
        base: weights,
        lora: { ...DEFAULT_LORA, dropout: 0 },
      }))
      : undefined;
    if (adapted) fillRandom(adapted.trained.flat.float32(), 0.01);
    const gradients = owned.use(
      new ParameterStore(runtime, (adapted?.trained ?? weights).layout),
    );
    const ways = [false, true].map((skipPadding) => ({
      engine: owned.use(
        new TrainingEngine(runtime, config, weights, gradients, {
          skipPadding,
          adapter: adapted && { block: adapted.block, weights: adapted.weights },
        }),
      ),
      windows: windowsOf(batchSize, batches, skipPadding),
      rates: { clock: [] as number[], processor: [] as number[] },
    }));
    const pass = async (engine: TrainingEngine, window: readonly Batch[]): Promise<Seconds> => {
      const began = { clock: performance.now() / 1000, processor: processorSeconds() };
      for (const [i, batch] of window.entries()) {
        await engine.forwardBackward(batch, { scale: 1e-3, first: i === 0 });
      }
      return {
        clock: performance.now() / 1000 - began.clock,
        processor: processorSeconds() - began.processor,
      };
    };
    for (let round = 0; round <= rounds; round++) {
      // The first compiles; and who begins changes.
      for (const { engine, windows, rates } of round % 2 ? ways : ways.toReversed()) {
        const seconds = await pass(engine, windows[round]);
        const tokens = windows[round].reduce((sum, batch) => sum + batch.tokens, 0);
        if (round === 0) continue;
        rates.clock.push(tokens / seconds.clock);
        rates.processor.push(tokens / seconds.processor);
      }
    }
    const [{ rates: before }, { rates: after, engine }] = ways;
    const grid = await gridCost(engine);
    const cells = (["clock", "processor"] as const).flatMap((kind) => {
      const times = after[kind].map((rate, i) => rate / before[kind][i]);
      const [low, high] = quartiles(times).map((each) => each.toFixed(2));
      return [
        median(before[kind]).toFixed(0),
        median(after[kind]).toFixed(0),
        `${median(times).toFixed(2)} (${low} to ${high})`,
      ];
    });
    console.log(
      `| ${lora ? "LoRA" : "full"}, ${batchSize} rows × ${batches} | ${cells.join(" | ")} | ` +
        `${grid.toFixed(0)} (reckoned: ${GRID_COST}) |`,
    );
  }
}

/** What a pass took. */
interface Seconds {
  readonly clock: number;
  /** Of all threads of this process. */
  readonly processor: number;
}

function processorSeconds(): number {
  // user and system, in ticks of a hundredth of a second: proc(5).
  const stat = Deno.readTextFileSync("/proc/self/stat");
  const [user, system] = stat.slice(stat.lastIndexOf(")") + 2).split(" ").slice(11);
  return (Number(user) + Number(system)) / 100;
}

/** The batches of each update, as they were before and as they are. */
function windowsOf(batchSize: number, batches: number, sorted: boolean): readonly Batch[][] {
  const sortWithin = sorted ? batches : 1;
  const made = [...makeBatches(examples, { ...order, batchSize, sortWithin, padId: 0 })];
  return Array.from(
    { length: rounds + 1 },
    (_, i) => made.slice(i * batches, (i + 1) * batches),
  );
}

/** What a grid costs besides its tokens, from the least seconds of a short one and a longer one. */
async function gridCost(engine: TrainingEngine): Promise<number> {
  const batch = (length: number): Batch => {
    const ids = Int32Array.from({ length }, (_, i) => (i * 293) % VOCABULARY);
    const all = joinExample(ids.subarray(0, 1), ids.subarray(1), {
      maxLength: length,
      terminated: true,
    });
    const [made] = makeBatches([all], { ...order, batchSize: 1, padId: 0 });
    return made;
  };
  const [short, long] = [64, 320];
  const least = new Map([[short, Infinity], [long, Infinity]]);
  for (let i = 0; i < 6; i++) {
    for (const [length, best] of least) {
      const began = processorSeconds();
      await engine.forwardBackward(batch(length), { scale: 1e-3, first: false });
      if (i > 0) least.set(length, Math.min(best, processorSeconds() - began));
    }
  }
  const perToken = (least.get(long)! - least.get(short)!) / (long - short);
  return least.get(short)! / perToken - short;
}
