/**
 * The first minute on a GPU, check by check: ONNX Runtime's provider, compilation of own kernels,
 * copies, what a session costs, and the rate of ONNX Runtime's products at Qwen3-1.7B's shapes.
 *
 * In: ORTUNE_ORT_LIB, CUDA. Out: a line a check on stdout; exit code 1, and a line on stderr that says
 * why, where one failed.
 *
 *     deno run -A bench/gpu/first_contact.ts
 */

import { CompiledGraph } from "../../model/engine/compiled_graph.ts";
import { adamWSource } from "../../ort/kernels/adamw_kernels.ts";
import { attentionSource } from "../../ort/kernels/attention_kernels.ts";
import { columnSumsSource } from "../../ort/kernels/column_sums.ts";
import { crossEntropySource } from "../../ort/kernels/cross_entropy_kernels.ts";
import { dropoutSource } from "../../ort/kernels/dropout_kernel.ts";
import { openGpu } from "../../ort/kernels/gpu.ts";
import { headsSource } from "../../ort/kernels/heads_kernels.ts";
import { loraSource } from "../../ort/kernels/lora_kernels.ts";
import type { KernelSource } from "../../ort/kernels/nvrtc.ts";
import { rmsNormSource } from "../../ort/kernels/rms_norm_kernels.ts";
import { swigluSource } from "../../ort/kernels/swiglu_kernels.ts";
import { parseDevice } from "../../ort/runtime/device.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import type { Binding } from "../../ort/runtime/session.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import { PRODUCT_KINDS, productGraph, type ProductKind } from "../product_graph.ts";

const TYPE = "bfloat16";
// What full training with float32 masters and LoRA of rank 8 load.
const SOURCES: readonly KernelSource[] = [
  adamWSource({ parameters: "master", gradients: TYPE, moments: "float32", rounding: "nearest" }),
  adamWSource({ parameters: TYPE, gradients: TYPE, moments: TYPE, rounding: "stochastic" }),
  attentionSource(128),
  columnSumsSource(TYPE),
  crossEntropySource(TYPE),
  dropoutSource(TYPE),
  headsSource(128, TYPE),
  loraSource(8),
  rmsNormSource({ elements: TYPE, weights: TYPE }),
  swigluSource(TYPE),
];

/** Qwen3-1.7B's products: outputs and inputs of each. */
const PRODUCTS: Readonly<Record<string, readonly [out: number, width: number]>> = {
  "queries, keys and values": [4096, 2048],
  "attention's output": [2048, 2048],
  "gate and up": [12288, 2048],
  down: [2048, 6144],
  head: [151936, 2048],
};
const TOKENS = [2048, 8192];
const SESSIONS = 8;
const RUNS = 2000;

const failures: string[] = [];

/** Does one check and tells of it in a line. */
async function check<T>(name: string, work: () => T | Promise<T>): Promise<T | undefined> {
  const began = performance.now();
  try {
    const value = await work();
    console.log(`ok    ${name}: ${(performance.now() - began).toFixed(0)} ms`);
    return value;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    console.log(`FAILS ${name}: ${error instanceof Error ? error.stack : message}`);
    failures.push(`${name}: ${message.split("\n")[0]}`);
    return undefined;
  }
}

const tell = (text: string): void => console.log(`      ${text}`);

async function checkKernels(): Promise<void> {
  using gpu = openGpu({ nvrtcLibrary: Deno.env.get("ORTUNE_NVRTC_LIB") || undefined });
  tell(`${gpu.multiprocessors} multiprocessors`);
  for (const source of SOURCES) {
    await check(`compile and load ${source.name}`, () => gpu.load(source));
  }
}

function checkCopies(runtime: Runtime): void {
  const data = Float32Array.from({ length: 3_000_001 }, (_, i) => i);
  using tensor = Tensor.from(runtime, "float32", [data.length], data);
  const at = tensor.hostFloat32().findIndex((value, i) => value !== data[i]);
  if (at >= 0) throw new Error(`Other bytes came back, from element ${at} on`);
}

function product(runtime: Runtime, kind: ProductKind, type: "bfloat16" | "float32"): CompiledGraph {
  return new CompiledGraph(runtime, productGraph(kind, type));
}

function checkProduct(runtime: Runtime): void {
  using graph = product(runtime, "forwards", "float32");
  using x = Tensor.from(runtime, "float32", [2, 3], Float32Array.of(1, 2, 3, 4, 5, 6));
  using w = Tensor.from(runtime, "float32", [2, 3], Float32Array.of(1, 0, -1, 2, 2, 2));
  using c = Tensor.allocate(runtime, "float32", [2, 2]);
  graph.run({ x, w, c }, { t: 2, k: 3, n: 2 });
  const found = [...c.hostFloat32()].join();
  if (found !== "-2,12,-2,30") throw new Error(`It is ${found} and should be -2,12,-2,30`);
}

/** Memory and time of each of some sessions, and the host's part of a run. */
function checkSessions(runtime: Runtime): void {
  const cuda = runtime.cuda!;
  const used = (): number => cuda.memory().total - cuda.memory().leastFree;
  using stack = new DisposableStack();
  const [x, w, c] = [0, 1, 2].map(() => stack.use(Tensor.allocate(runtime, TYPE, [64, 64])));
  for (const tensor of [x, w]) tensor.zero();
  const costs: string[] = [];
  let binding: Binding | undefined;
  for (let i = 0; i < SESSIONS; i++) {
    const before = used();
    const began = performance.now();
    const graph = stack.use(product(runtime, "forwards", TYPE));
    const made = performance.now();
    graph.run({ x, w, c }, { t: 64, n: 64, k: 64 });
    cuda.synchronize();
    const [session, run] = [made - began, performance.now() - made];
    costs.push(
      `${((used() - before) / 2 ** 20).toFixed(0)} MiB, ${session.toFixed(0)} + ${
        run.toFixed(0)
      } ms`,
    );
    binding ??= stack.use(graph.bind({ x, w, c }));
  }
  tell(`a session and its first run: ${costs.join("; ")}`);
  // The second time, as the first meets what is made once.
  for (let round = 0; round < 2; round++) {
    const began = performance.now();
    for (let i = 0; i < RUNS; i++) binding!.run();
    const queued = performance.now();
    cuda.synchronize();
    const micros = (end: number): string => ((end - began) / RUNS * 1000).toFixed(1);
    tell(
      `a run of one product: ${micros(queued)} µs to queue, ${micros(performance.now())} in all`,
    );
  }
}

/** TFLOP/s of each product at sizes of training. */
function checkRates(runtime: Runtime): void {
  using graphs = new DisposableStack();
  const compiled = PRODUCT_KINDS.map((kind) => graphs.use(product(runtime, kind, TYPE)));
  // Numbers about 0.01 of either sign: power, and with it the clock, depends on what is multiplied.
  const random = Uint16Array.from(
    { length: 1 << 20 },
    () => 0x3c00 + Math.floor(Math.random() * 0x180) + (Math.random() < 0.5 ? 0x8000 : 0),
  );
  for (const t of TOKENS) {
    for (const [name, [n, k]] of Object.entries(PRODUCTS)) {
      // The logits of 8192 tokens do not exist at once.
      if (name === "head" && t > TOKENS[0]) continue;
      using tensors = new DisposableStack();
      const fill = (shape: number[]): Tensor => {
        const tensor = tensors.use(Tensor.allocate(runtime, TYPE, shape));
        for (let at = 0; at < tensor.byteLength; at += random.byteLength) {
          tensor.write(
            random.subarray(0, Math.min(random.length, (tensor.byteLength - at) / 2)),
            at,
          );
        }
        return tensor;
      };
      const [x, w, y, sum] = [[t, k], [n, k], [t, n], [n, k]].map(fill);
      const into: Readonly<Record<ProductKind, Tensor>> = {
        forwards: y,
        "inputs' gradient": tensors.use(Tensor.allocate(runtime, TYPE, [t, k])),
        "weights' gradient, added": sum,
      };
      const rates = PRODUCT_KINDS.map((kind, i) => {
        using binding = compiled[i].bind({ x, w, y, sum, c: into[kind] });
        return `${kind} ${measureRate(runtime, binding, 2 * t * n * k).toFixed(0)}`;
      });
      tell(`${t} tokens, ${name}, ${n} × ${k}: ${rates.join("; ")} TFLOP/s`);
    }
  }
}

function measureRate(runtime: Runtime, binding: Binding, flop: number): number {
  const wait = (): void => runtime.cuda!.synchronize();
  const repeats = Math.max(5, Math.min(20, Math.round(2e13 / flop)));
  for (let warm = 0; warm < 3; warm++) binding.run();
  wait();
  const began = performance.now();
  for (let i = 0; i < repeats; i++) binding.run();
  wait();
  return flop * repeats / (performance.now() - began) / 1e9;
}

async function main(): Promise<void> {
  const libraryPath = Deno.env.get("ORTUNE_ORT_LIB") || undefined;
  console.log(`Deno ${Deno.version.deno}; ORTUNE_ORT_LIB=${libraryPath ?? ""}`);
  const runtime = await check(
    "ONNX Runtime on cuda:0",
    () => new Runtime({ libraryPath, device: parseDevice("cuda:0") }),
  );
  await check("own kernels", checkKernels);
  if (!runtime) return;
  await check("bytes there and back", () => checkCopies(runtime));
  await check("a float32 product is right", () => checkProduct(runtime));
  await check("what sessions cost", () => checkSessions(runtime));
  await check("rates of products", () => checkRates(runtime));
  const { total, leastFree } = runtime.cuda!.memory();
  tell(
    `memory in use at most: ${((total - leastFree) / 1e9).toFixed(2)} of ${
      (total / 1e9).toFixed(1)
    } GB`,
  );
  await check("closing", () => runtime[Symbol.dispose]());
}

if (import.meta.main) {
  await main();
  for (const failure of failures) console.error(`error: ${failure}`);
  Deno.exit(failures.length > 0 ? 1 : 0);
}
