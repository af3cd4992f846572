/**
 * LoRA steps on a frozen base in float32, 8 and 4 bits, beside PyTorch with PEFT: time, memory, and how far
 * losses and gradients are from those on the float32 base. All in one run: a process each, whose steps
 * take turns. Weights are random, of a published model's shapes. Prints JSON lines.
 *
 *     deno run -A bench/quantized_base.ts [--model 0.6B|1.7B] [--rounds 3] [--threads 2]
 *       [--layers 28] [--vocabulary 151936] [--only int8-int8,…] [--python PATH]
 *
 * With `--python`, an interpreter that has torch, transformers and peft (bench/torch_lora.py).
 */

import { parseArgs } from "node:util";
import { TextLineStream } from "./text_lines.ts";
import { adaptModel } from "../lora/load_adapter.ts";
import { DEFAULT_LORA } from "../lora/lora_options.ts";
import { BASE_STORAGES, type BaseDtype, type BaseStorage } from "../model/base_storage.ts";
import type { ModelConfig } from "../model/config.ts";
import { loadQuantized } from "../model/engine/load_quantized.ts";
import { loadWeights } from "../model/engine/load_weights.ts";
import { layoutParameters, ParameterStore } from "../model/engine/parameter_store.ts";
import { QuantizedStore } from "../model/engine/quantized_store.ts";
import { Head } from "../model/engine/head.ts";
import { TrainingEngine } from "../model/engine/training_engine.ts";
import { modelParameters } from "../model/parameters.ts";
import type { BaseCompute } from "../model/quantization.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { Binding } from "../ort/runtime/session.ts";
import type { TensorSource } from "../ort/tensor/tensor_source.ts";
import { AdamW } from "../train/optimizers/adamw.ts";
import { median, peakMemory, qwen3Shapes } from "./measure.ts";

const LENGTH = 512;
/** Dtype of the base and what products with it are computed in. */
const VARIANTS = ["fp32", "int8-int8", "int8-fp32", "int4-int8", "int4-fp32"] as const;
const TORCH = ["torch-float32", "torch-bfloat16"] as const;

const { values: flags } = parseArgs({
  options: {
    model: { type: "string", default: "0.6B" },
    rounds: { type: "string", default: "3" },
    threads: { type: "string", default: "2" },
    layers: { type: "string", default: "28" },
    vocabulary: { type: "string", default: "151936" },
    only: { type: "string" },
    python: { type: "string" },
    child: { type: "string" },
    gradients: { type: "string" },
  },
});

interface StepResult {
  readonly ms: number;
  readonly loss: number;
  readonly outside?: number;
  /** Of it in the head. */
  readonly head?: number;
}

async function parent(): Promise<void> {
  const folder = await Deno.makeTempDir();
  const all = [...VARIANTS, ...flags.python ? TORCH : []];
  const names = flags.only ? all.filter((name) => flags.only!.split(",").includes(name)) : all;
  const children = names.map((name) => new Child(name, folder));
  const steps = new Map<string, StepResult[]>(names.map((name) => [name, []]));
  for (const each of children) console.log(JSON.stringify(await each.ask<object>("load")));
  for (let round = 0; round <= Number(flags.rounds); round++) {
    for (const each of children) {
      const step = await each.ask<StepResult>("step");
      steps.get(each.name)!.push(step);
      console.error(round, each.name, JSON.stringify(step));
    }
  }
  const middle = (name: string, of: (step: StepResult) => number): number =>
    median((steps.get(name) ?? []).slice(1).map(of)) / 1000;
  const time = (name: string): number => middle(name, ({ ms }) => ms);
  /** With all 28 layers: what is not the head's is the layers'. */
  const whole = (name: string): number =>
    middle(name, ({ ms, head = NaN }) => head + 28 / Number(flags.layers) * (ms - head));
  const reference = await gradientsOf(folder, "fp32");
  for (const each of children) {
    const { peak_rss_mib } = await each.ask<{ peak_rss_mib: number }>("end");
    const [{ loss }] = steps.get(each.name)!;
    const gradients = await gradientsOf(folder, each.name);
    console.log(JSON.stringify({
      base: each.name,
      model: flags.model,
      layers: Number(flags.layers),
      step_s: time(each.name),
      of_fp32: time(each.name) / time("fp32"),
      head_s: middle(each.name, ({ head = NaN }) => head),
      of_fp32_with_28_layers: whole(each.name) / whole("fp32"),
      of_torch_bfloat16: flags.python ? time(each.name) / time("torch-bfloat16") : undefined,
      outside_ort: steps.get(each.name)!.at(-1)!.outside,
      peak_rss_mib,
      loss,
      gradient_error: reference && gradients ? distance(gradients, reference) : undefined,
    }));
  }
  await Deno.remove(folder, { recursive: true });
}

/** A process that answers a line with a line. */
class Child {
  readonly name: string;
  readonly #input: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #output: ReadableStreamDefaultReader<string>;

  constructor(name: string, folder: string) {
    this.name = name;
    const gradients = `${folder}/${name}`;
    const { model, threads, layers, vocabulary } = flags;
    const sizes = { model, threads, layers, vocabulary };
    const torch = name.startsWith("torch-");
    const script = new URL(torch ? "torch_lora.py" : "quantized_base.ts", import.meta.url).pathname;
    const own = torch
      ? [script, name.slice("torch-".length), ...Object.values(sizes)]
      : ["run", "-A", script, "--child", name, "--gradients", gradients];
    const process = new Deno.Command(torch ? flags.python! : Deno.execPath(), {
      args: torch
        ? own
        : [...own, ...Object.entries(sizes).flatMap(([flag, size]) => [`--${flag}`, size])],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    this.#input = process.stdin.getWriter();
    this.#output = process.stdout
      .pipeThrough(new TextDecoderStream())
      .pipeThrough(new TextLineStream())
      .getReader();
  }

  async ask<T>(question: string): Promise<T> {
    await this.#input.write(new TextEncoder().encode(`${question}\n`));
    const { value } = await this.#output.read();
    if (value === undefined) throw new Error(`Cannot measure ${this.name}: its process ended`);
    return JSON.parse(value);
  }
}

async function gradientsOf(folder: string, name: string): Promise<Float32Array | undefined> {
  try {
    return new Float32Array((await Deno.readFile(`${folder}/${name}`)).buffer);
  } catch {
    return undefined;
  }
}

/** ‖a − b‖ ÷ ‖b‖ */
function distance(a: Float32Array, b: Float32Array): number {
  let [errors, squares] = [0, 0];
  for (let i = 0; i < b.length; i++) {
    errors += (a[i] - b[i]) ** 2;
    squares += b[i] ** 2;
  }
  return Math.sqrt(errors / squares);
}

/** Weights of about N(0, 0.02²) and norms of 1, the same for the same names, without memory for them. */
function randomSource(config: ModelConfig): TensorSource {
  const specs = modelParameters(config);
  const shapes = new Map(specs.map(({ name, shape }, i) => [name, { shape, seed: 61 * i }]));
  const noise = new Float32Array(2 ** 22 + 61 * specs.length);
  let state = 1;
  for (let i = 0; i < noise.length; i++) {
    let sum = -3;
    for (let j = 0; j < 6; j++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      sum += state * 2 ** -32;
    }
    noise[i] = sum * 0.0283;
  }
  return {
    names: () => [...shapes.keys()],
    info: (name) => ({ dtype: "float32", shape: shapes.get(name)!.shape }),
    // deno-lint-ignore require-await -- the interface is for files
    read: async (name, into, offset = 0) => {
      const { shape, seed } = shapes.get(name)!;
      const floats = new Float32Array(into.buffer, into.byteOffset, into.byteLength / 4);
      if (shape.length === 1) return void floats.fill(1);
      const period = 2 ** 22;
      for (let at = 0; at < floats.length;) {
        const from = (offset / 4 + at) % period;
        const count = Math.min(floats.length - at, period - from);
        floats.set(noise.subarray(seed + from, seed + from + count), at);
        at += count;
      }
    },
  };
}

async function loadBase(
  runtime: Runtime,
  config: ModelConfig,
  name: string,
): Promise<ParameterStore> {
  const [dtype, compute] = name.split("-") as [BaseDtype, BaseCompute];
  const { quantization, ...storage }: BaseStorage = BASE_STORAGES[dtype];
  const specs = modelParameters(config);
  const source = randomSource(config);
  if (!quantization) {
    const weights = new ParameterStore(runtime, layoutParameters(specs));
    await loadWeights(runtime, weights, source);
    return weights;
  }
  const how = { ...storage, quantization: { ...quantization, compute } };
  const weights = new QuantizedStore(runtime, specs, { dtype: "float32", storage: how });
  await loadQuantized(runtime, weights, source, { specs });
  return weights;
}

async function child(name: string): Promise<void> {
  let inside = 0;
  const run = Binding.prototype.run;
  Binding.prototype.run = function (this: Binding): void {
    const began = performance.now();
    run.call(this);
    inside += performance.now() - began;
  };
  let inHead = 0;
  const gradientsOfHead = Head.prototype.gradients;
  Head.prototype.gradients = async function (this: Head, ...args): Promise<void> {
    const began = performance.now();
    await gradientsOfHead.apply(this, args);
    inHead += performance.now() - began;
  };
  const config = qwen3Shapes(flags.model, {
    layers: Number(flags.layers),
    vocabulary: Number(flags.vocabulary),
  });
  const runtime = new Runtime({ threads: Number(flags.threads) });
  const began = performance.now();
  const base = await loadBase(runtime, config, name);
  const loaded = { base: name, load_s: (performance.now() - began) / 1000, loaded_mib: memory() };
  using adapted = adaptModel(runtime, { config, base, lora: DEFAULT_LORA });
  fill(adapted.trained);
  const gradients = new ParameterStore(runtime, adapted.trained.layout);
  const { block, weights } = adapted;
  using engine = new TrainingEngine(runtime, config, weights, gradients, {
    adapter: { block, weights },
  });
  using adamw = new AdamW(runtime, adapted.trained, gradients);
  const batch = {
    rows: 1,
    length: LENGTH,
    inputIds: BigInt64Array.from({ length: LENGTH }, (_, i) => BigInt(i * 293 % config.vocabSize)),
    positionIds: BigInt64Array.from({ length: LENGTH }, (_, i) => BigInt(i)),
    segmentIds: new Int32Array(LENGTH).fill(1),
    targets: Int32Array.from({ length: LENGTH }, (_, i) => (i * 293 + 293) % config.vocabSize),
  };
  let step = 0;
  const lines = Deno.stdin.readable
    .pipeThrough(new TextDecoderStream())
    .pipeThrough(new TextLineStream());
  for await (const line of lines) {
    if (line === "load") console.log(JSON.stringify(loaded));
    if (line === "end") {
      console.log(JSON.stringify({ peak_rss_mib: peakMemory() }));
      break;
    }
    if (line !== "step") continue;
    step++;
    inside = inHead = 0;
    const started = performance.now();
    const how = { scale: 1 / LENGTH, first: true, dropoutSeed: step };
    const { losses } = await engine.forwardBackward(batch, how);
    const norm = await adamw.gradientNorm();
    if (step === 1) await Deno.writeFile(flags.gradients!, gradients.flat.bytes().slice());
    await adamw.update({ learningRate: 1e-6, clip: Math.min(1, 1 / (norm + 1e-6)), step });
    const ms = performance.now() - started;
    const loss = losses.reduce((sum, each) => sum + each, 0) / losses.length;
    console.log(JSON.stringify({ ms, loss, head: inHead, outside: (ms - inside) / ms }));
  }
}

/** The same numbers in each process. */
function fill(store: ParameterStore): void {
  let state = 7;
  const values = store.flat.float32();
  for (let i = 0; i < values.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    values[i] = (state * 2 ** -32 - 0.5) * 0.02;
  }
}

/** Resident memory of this process in MiB. */
function memory(): number {
  return Deno.memoryUsage().rss / 2 ** 20;
}

if (flags.child) await child(flags.child);
else await parent();
