/**
 * Whether this machine's WebGPU driver computes what training and generation need. ONNX Runtime's
 * kernels run on drivers that nobody here has seen, and a wrong one gives wrong numbers, no error.
 *
 * In: a runtime on webgpu. Out: what was found, or an error that names the driver. It takes some
 * milliseconds, and seconds where the driver compiles its kernels for the first time.
 *
 * @module
 */

import { GraphBuilder } from "../../ort/graph/builder.ts";
import type { Graph, Value } from "../../ort/graph/ir.ts";
import * as ops from "../../ort/graph/ops.ts";
import { cpu, type Device, deviceName, deviceTraits } from "../../ort/runtime/device.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import { VULKAN_LOADER, type VulkanAdapter, vulkanAdapters } from "../../ort/runtime/vulkan.ts";
import { type DType, elementCount } from "../../ort/tensor/dtype.ts";
import { MersenneTwister } from "../../ort/tensor/mersenne_twister.ts";
import { CompiledGraph } from "./compiled_graph.ts";

/** What {@linkcode checkWebGpu} found. */
export interface WebGpuReport {
  /** The driver, or all that there are: which one was taken is not told. */
  readonly driver: string;
  /** Whether there are adapters, and all of them compute on the processor. */
  readonly software: boolean;
  /** Whether outputs are written in place of inputs; else elsewhere, and copied. */
  readonly writesInPlace: boolean;
  /** Whether graphs can tell NaN and infinities: fast mathematics lets x − x be 0 of any x. */
  readonly tellsNonFinite: boolean;
}

/** One line on what computes. */
export function describeWebGpu(
  { driver, software, writesInPlace, tellsNonFinite }: WebGpuReport,
): string {
  return `webgpu: ${driver}${software ? ", on the processor" : ""}` +
    (writesInPlace
      ? ""
      : "; it writes no output in place of an input, so such outputs are copied") +
    (tellsNonFinite
      ? ""
      : "; it cannot tell NaN, so the host looks at each update before it is made");
}

/** One computation, held against the CPU's. */
interface Check {
  readonly name: string;
  /** Its inputs, of floats or bytes, are filled at random, between −2 and 2; an output in place of one is really that. */
  readonly graph: Graph;
}

/** Times an output's largest. Measured on lavapipe: at most 3e-7. */
const TOLERANCE = 1e-4;

function check(name: string, build: (b: GraphBuilder) => void): Check {
  const b = new GraphBuilder(name);
  build(b);
  return { name, graph: b.build() };
}

const CHECKS: readonly Check[] = [
  check("a product of matrices", (b) => {
    const [x, w] = [b.input("x", "float32", [70, 130]), b.input("w", "float32", [66, 130])];
    b.output("y", ops.linear(b, x, w));
  }),
  check("RMSNorm", (b) => {
    const [x, w] = [b.input("x", "float32", [33, 130]), b.input("w", "float32", [130])];
    const [y, invStd] = ops.rmsNorm(b, x, w, 1e-6);
    b.output("y", y);
    b.output("inv_std", invStd);
  }),
  check("a sum in place", (b) => {
    const [x, w] = [b.input("x", "float32", [40, 50]), b.input("w", "float32", [30, 50])];
    const sum = b.input("sum", "float32", [40, 30]);
    b.output("sum_new", ops.linear(b, x, w, sum), { inPlaceOf: sum });
  }),
  check("rows added in place", (b) => {
    const [x, rows] = [b.input("x", "float32", [9, 40]), b.input("rows", "float32", [4, 40])];
    const ids = ops.unsqueeze(b, b.int64([7, 0, 3, 8]), 1);
    b.output("x_new", ops.scatterRows(b, x, ids, rows, { add: true }), { inPlaceOf: x });
  }),
  check("attention of 64 tokens", (b) => {
    const [q, k, v] = ["q", "k", "v"].map((name) => b.input(name, "float32", [1, 2, 64, 16]));
    const weights = ops.softmax(b, ops.matmul(b, q, k, { transB: true, alpha: 0.25 }));
    b.output("y", ops.matmul(b, weights, v));
  }),
];

/** For a base that is stored in float16: not every GPU has the type. */
const FLOAT16 = check("a product with float16 weights", (b) => {
  const [x, w] = [b.input("x", "float32", [70, 130]), b.input("w", "float16", [66, 130])];
  b.output("y", ops.linear(b, x, ops.cast(b, w, "float32")));
});

/** For a base that is kept in 4 or 8 bits. */
const QUANTIZED = ([4, 8] as const).map((bits) =>
  check(`products with weights in ${bits} bits`, (b) => {
    const [x, dy] = [b.input("x", "float32", [70, 130]), b.input("dy", "float32", [70, 66])];
    const data = b.input("data", "uint8", [66, 5, 32 * bits / 8]);
    const weights = { data, scales: b.input("scales", "float32", [66, 5]), block: 32, bits };
    b.output("y", ops.matMulNBits(b, x, weights, { accuracyLevel: 0 }));
    const ids = b.int64(Array.from({ length: 66 }, (_, i) => i));
    b.output("dx", ops.gemm(b, dy, ops.reshape(b, ops.gatherNBits(b, weights, ids), [66, 160])));
  })
);

/** What a device is checked for besides. */
export interface CheckOptions {
  /** Whether weights in float16 are needed. @default false */
  readonly float16?: boolean;
  /** Whether weights in 4 and 8 bits are. @default false */
  readonly quantized?: boolean;
}

/** {@linkcode checkWebGpu} of a runtime on any device; undefined of one that needs no check. */
export function checkDevice(runtime: Runtime, options?: CheckOptions): WebGpuReport | undefined {
  return deviceTraits(runtime.device).checkedFirst ? checkWebGpu(runtime, options) : undefined;
}

/** What runtimes were found to be: each is checked once. */
const reports = new WeakMap<Runtime, WebGpuReport>();

/** Takes over what another runtime of this process, on the same device and library, was found to be. */
export function adoptReport(runtime: Runtime, report: WebGpuReport): void {
  runtime.writesInPlace = report.writesInPlace;
  runtime.tellsNonFinite = report.tellsNonFinite;
  reports.set(runtime, report);
}

/**
 * Runs the checks, before any other graph of the runtime is compiled; of a runtime that was checked
 * before only those that are asked for besides. A driver that refuses outputs in place, or gets them
 * wrong, is used without them from then on.
 *
 * @throws {Error} naming the driver and what it computes wrongly, or refuses
 */
export function checkWebGpu(
  runtime: Runtime,
  { float16 = false, quantized = false }: CheckOptions = {},
): WebGpuReport {
  const known = reports.get(runtime);
  const adapters = known ? [] : listAdapters();
  const driver = known?.driver ?? describe(adapters);
  const fault = (each: Check): Error | undefined => faultOf(runtime, each, driver);
  const besides = [...float16 ? [FLOAT16] : [], ...quantized ? QUANTIZED : []];
  for (const each of [...known ? [] : CHECKS, ...besides]) {
    let found = fault(each);
    if (found && each.graph.aliases.size > 0 && runtime.writesInPlace) {
      runtime.writesInPlace = false;
      found = fault(each);
    }
    if (found) throw found;
  }
  if (known) return known;
  const software = adapters.length > 0 && adapters.every((adapter) => adapter.software);
  const { writesInPlace } = runtime;
  const report = { driver, software, writesInPlace, tellsNonFinite: tellsNonFinite(runtime) };
  adoptReport(runtime, report);
  return report;
}

function listAdapters(): readonly VulkanAdapter[] {
  const loader = VULKAN_LOADER[Deno.build.os];
  return loader === undefined ? [] : vulkanAdapters(loader);
}

function describe(adapters: readonly VulkanAdapter[]): string {
  if (adapters.length === 0) return "the system's driver";
  return adapters.map(({ name, driver }) => `${name}, driver ${driver}`).join(" or ");
}

/** What the device gets wrong of a computation; undefined where it is right. */
function faultOf(runtime: Runtime, { name, graph }: Check, driver: string): Error | undefined {
  const expected = run(runtime, graph, cpu);
  let actual: readonly Float32Array[];
  try {
    actual = run(runtime, graph, runtime.device);
  } catch (cause) {
    const { message } = cause as Error;
    return new Error(`Cannot use device webgpu: ${driver} refuses ${name}: ${message}`, { cause });
  }
  const error = Math.max(...expected.map((values, i) => errorOf(actual[i], values)));
  return error <= TOLERANCE ? undefined : new Error(
    `Cannot use device ${deviceName(runtime.device)}: ${driver} computes ${name} wrongly ` +
      `(${error.toExponential(1)} of the largest); update the driver, or pass --device cpu`,
  );
}

function run(runtime: Runtime, graph: Graph, device: Device): readonly Float32Array[] {
  const random = MersenneTwister.fromSeed(42);
  return runOn(runtime, graph, device, ({ shape }) =>
    Float32Array.from(
      { length: elementCount(shape as readonly number[]) },
      () => 4 * random.nextUint32() * 2 ** -32 - 2,
    ));
}

/** Outputs of a graph whose inputs are filled with numbers; those in place of an input are. */
function runOn(
  runtime: Runtime,
  graph: Graph,
  device: Device,
  fill: (input: Value) => Float32Array<ArrayBuffer>,
): readonly Float32Array[] {
  using owned = new DisposableStack();
  const tensors: Record<string, Tensor> = {};
  for (const input of graph.inputs) {
    const { dtype, shape } = input;
    const values = fill(input);
    const data = encoded(values, dtype);
    tensors[input.name] = owned.use(
      Tensor.from(runtime, dtype, shape as readonly number[], data, device),
    );
  }
  for (const { name, dtype, shape } of graph.outputs) {
    tensors[name] = tensors[graph.aliases.get(name) ?? ""] ??
      owned.use(Tensor.allocate(runtime, dtype, shape as readonly number[], device));
  }
  owned.use(new CompiledGraph(runtime, graph, device)).run(tensors);
  return graph.outputs.map(({ name }) => tensors[name].hostFloat32().slice());
}

/** Numbers between −2 and 2 as an input takes them; bytes are any. */
function encoded(values: Float32Array<ArrayBuffer>, dtype: DType): ArrayBufferView {
  if (dtype === "float16") return new Float16Array(values);
  return dtype === "uint8" ? Uint8Array.from(values, (value) => 64 * (value + 2)) : values;
}

/** The largest error over the largest expected number. */
function errorOf(actual: Float32Array, expected: Float32Array): number {
  const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const errors = expected.map((value, i) => Math.abs(actual[i] - value));
  // A NaN stays one.
  const worst = errors.reduce((most, error) => Math.max(most, error), 0);
  return worst / largest;
}

const SPECIAL = Float32Array.of(NaN, Infinity, -Infinity, 0, 1, -3e38, 1e-30, -1);

function tellsNonFinite(runtime: Runtime): boolean {
  const { graph } = check("finite", (b) => {
    const x = b.input("x", "float32", [SPECIAL.length]);
    // As updateControlGraph of the optimizers has it.
    const finite = ops.equal(b, ops.sub(b, x, x), b.float32(0));
    b.output("finite", ops.cast(b, finite, "float32"));
  });
  const [finite] = runOn(runtime, graph, runtime.device, () => SPECIAL);
  return SPECIAL.every((value, i) => finite[i] === Number(Number.isFinite(value)));
}
