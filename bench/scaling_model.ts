/**
 * On paper: what a full fine-tuning step takes on 1 to 1,024 ranks, from figures that were measured of one
 * rank and of a link. Prints the table of docs/distributed.md.
 *
 *     deno run -A bench/scaling_model.ts
 *     deno run -A bench/scaling_model.ts --gflops 4000 --link-gbytes 12.5 --latency-us 20 --adamw-ns 0.05
 *
 * The model, for P parameters, T tokens an update, p ranks, a ring of links of B bytes a second and L
 * seconds a message:
 *
 * - products: 8 P T / p FLOPs, a block's forward pass computed twice (gradient checkpointing)
 * - gradients: 2 (p − 1) / p · 4 P bytes go over each link, in 2 (p − 1) messages for each piece of
 *   4 MiB, when scattered p − 1 a bucket of 16 MiB; what the
 *   embedding's share is comes after backward, all else hides behind it, as far as backward is long enough
 * - update: P elements by AdamW's measured time; with ZeRO-1 P / p, and then (p − 1) / p · 4 P bytes of weights
 * - memory: 16 bytes a parameter; with ZeRO-1 8 + 8 / p, activations left out
 */

import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    gflops: { type: "string", default: "190" },
    "link-gbytes": { type: "string", default: "1.25" },
    "latency-us": { type: "string", default: "50" },
    "adamw-ns": { type: "string", default: "1.4" },
    tokens: { type: "string", default: "131072" },
  },
});

/** What a rank and a link do. */
interface Machine {
  /** FLOPs a second of a rank's matrix products. */
  readonly rate: number;
  /** Bytes a second of a link, each way. */
  readonly link: number;
  /** Seconds of a message. */
  readonly latency: number;
  /** Seconds that AdamW takes of a parameter. */
  readonly adamw: number;
}

/** A model, by what matters here. */
interface Sizes {
  readonly name: string;
  readonly parameters: number;
  /** Of these, the embedding's, whose gradient is there last. */
  readonly embedding: number;
}

/** Qwen3's dense models. */
const MODELS: readonly Sizes[] = [
  { name: "0.6B", parameters: 0.596e9, embedding: 0.156e9 },
  { name: "1.7B", parameters: 1.72e9, embedding: 0.311e9 },
  { name: "4B", parameters: 4.02e9, embedding: 0.389e9 },
  { name: "8B", parameters: 8.19e9, embedding: 0.622e9 },
];
const RANKS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];
/** What goes around the ring at once: of a sum for all, and of a bucket that is scattered or gathered. */
const [PIECE_BYTES, BUCKET_BYTES] = [4 * 2 ** 20, 16 * 2 ** 20];
const FLOAT_BYTES = 4;

/** Seconds of a step, and bytes a parameter that stay in memory. */
function step(
  { parameters, embedding }: Sizes,
  { rate, link, latency, adamw }: Machine,
  { ranks, tokens, shard }: {
    readonly ranks: number;
    readonly tokens: number;
    readonly shard: boolean;
  },
): { seconds: number; waited: number; bytes: number } {
  const products = 8 * parameters * tokens / ranks / rate;
  // Backward with its second forward pass is three quarters of it.
  const backward = products * 3 / 4;
  const over = (elements: number, passes: number): number => {
    const bytes = passes * (ranks - 1) / ranks * FLOAT_BYTES * elements;
    const rounds = Math.ceil(FLOAT_BYTES * elements / (shard ? BUCKET_BYTES : PIECE_BYTES));
    return bytes / link + rounds * passes * (ranks - 1) * latency;
  };
  // ZeRO-1 scatters gradients, one pass, and gathers weights after the update, another.
  const passes = shard ? 1 : 2;
  const hidden = over(parameters - embedding, passes);
  const late = over(embedding, passes) + (shard ? over(parameters, 1) : 0);
  const waited = ranks === 1 ? 0 : Math.max(0, hidden - backward) + late;
  const update = adamw * parameters / (shard ? ranks : 1);
  return {
    seconds: products + waited + update,
    waited,
    bytes: shard ? 8 + 8 / ranks : 16,
  };
}

const machine: Machine = {
  rate: Number(values.gflops) * 1e9,
  link: Number(values["link-gbytes"]) * 1e9,
  latency: Number(values["latency-us"]) * 1e-6,
  adamw: Number(values["adamw-ns"]) * 1e-9,
};
const tokens = Number(values.tokens);
console.log(
  `${values.gflops} GFLOP/s a rank, links of ${values["link-gbytes"]} GB/s and ${
    values["latency-us"]
  } µs, ` +
    `AdamW ${values["adamw-ns"]} ns a parameter, ${tokens.toLocaleString("en")} tokens an update\n`,
);
for (const shard of [false, true]) {
  const title = shard ? "with `--shard-optimizer`" : "all state on each rank";
  console.log(
    `| ranks, ${title} | ${
      MODELS.map(({ name }) => `${name}: s, efficiency, GB a rank`).join(" | ")
    } |`,
  );
  console.log(`|---:|${MODELS.map(() => "---:|").join("")}`);
  for (const ranks of RANKS) {
    const cells = MODELS.map((model) => {
      const one = step(model, machine, { ranks: 1, tokens, shard });
      const { seconds, bytes } = step(model, machine, { ranks, tokens, shard });
      const efficiency = 100 * one.seconds / ranks / seconds;
      const shown = seconds < 10 ? seconds.toFixed(1) : seconds.toFixed(0);
      return `${shown}, ${efficiency.toFixed(0)} %, ${(bytes * model.parameters / 1e9).toFixed(1)}`;
    });
    console.log(`| ${ranks} | ${cells.join(" | ")} |`);
  }
  console.log("");
}
