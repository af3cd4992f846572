/**
 * A whole fine-tuning step of all 28 layers at Qwen3-0.6B's shapes, T = 512, all tokens
 * supervised: seconds, the share spent outside ONNX Runtime, peak memory. Prints JSON. Needs about
 * 10 GiB of memory.
 *
 *     deno run -A bench/step.ts [threads] [--no-gradient-checkpointing] [--lora]
 */

import { layoutParameters, ParameterStore } from "../model/engine/parameter_store.ts";
import { TrainingEngine } from "../model/engine/training_engine.ts";
import { adaptModel } from "../lora/load_adapter.ts";
import { DEFAULT_LORA } from "../lora/lora_options.ts";
import { modelParameters } from "../model/parameters.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { Binding } from "../ort/runtime/session.ts";
import { AdamW } from "../train/optimizers/adamw.ts";
import { fillRandom, median, peakMemory, QWEN3_06B } from "./measure.ts";

const LENGTH = 512;
const STEPS = 3;

let insideOrt = 0;
const run = Binding.prototype.run;
Binding.prototype.run = function (this: Binding): void {
  const began = performance.now();
  run.call(this);
  insideOrt += performance.now() - began;
};

const runtime = new Runtime({ threads: Number(Deno.args[0] ?? 2) });
const weights = new ParameterStore(runtime, layoutParameters(modelParameters(QWEN3_06B)));
for (const { name, shape } of weights.layout.specs) {
  const values = weights.tensor(name).float32();
  if (shape.length === 1) values.fill(1);
  else fillRandom(values, 0.03);
}
const adapted = Deno.args.includes("--lora")
  ? adaptModel(runtime, { config: QWEN3_06B, base: weights, lora: DEFAULT_LORA })
  : undefined;
if (adapted) fillRandom(adapted.trained.flat.float32(), 0.01);
const trained = adapted?.trained ?? weights;
const gradients = new ParameterStore(runtime, trained.layout);
const gradientCheckpointing = !Deno.args.includes("--no-gradient-checkpointing");
using engine = new TrainingEngine(runtime, QWEN3_06B, weights, gradients, {
  gradientCheckpointing,
  adapter: adapted && { block: adapted.block, weights: adapted.weights },
});
using adamw = new AdamW(runtime, trained, gradients);

const batch = {
  rows: 1,
  length: LENGTH,
  inputIds: BigInt64Array.from({ length: LENGTH }, (_, i) => BigInt(i * 293)),
  positionIds: BigInt64Array.from({ length: LENGTH }, (_, i) => BigInt(i)),
  segmentIds: new Int32Array(LENGTH).fill(1),
  targets: Int32Array.from({ length: LENGTH }, (_, i) => (i * 293 + 293) % 151936),
};
const rows: { total: number; passes: number; optimizer: number; outside: number }[] = [];
for (let step = 1; step <= STEPS + 1; step++) {
  insideOrt = 0;
  const began = performance.now();
  await engine.forwardBackward(batch, { scale: 1 / LENGTH, first: true });
  const passed = performance.now();
  const norm = await adamw.gradientNorm();
  await adamw.update({ learningRate: 1e-6, clip: Math.min(1, 1 / (norm + 1e-6)), step });
  const ended = performance.now();
  if (!Number.isFinite(norm)) throw new Error(`Cannot benchmark: gradient norm ${norm}`);
  const total = ended - began;
  rows.push({
    total,
    passes: passed - began,
    optimizer: ended - passed,
    outside: (total - insideOrt) / total,
  });
}
// The first step compiles the graphs.
const steady = rows.slice(1);
const middle = (key: keyof typeof rows[number]) => median(steady.map((row) => row[key]));
console.log(JSON.stringify({
  gradient_checkpointing: gradientCheckpointing,
  lora: adapted !== undefined,
  step_s: middle("total") / 1000,
  passes_s: middle("passes") / 1000,
  optimizer_s: middle("optimizer") / 1000,
  tokens_per_s: LENGTH / middle("total") * 1000,
  outside_ort: middle("outside"),
  peak_rss_mib: peakMemory(),
  state_mib: 4 * (weights.layout.length + (adapted ? 4 : 3) * trained.layout.length) / 2 ** 20,
}));
