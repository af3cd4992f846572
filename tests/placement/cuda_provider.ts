/**
 * ONNX Runtime's CUDA provider, as far as creating sessions goes: whether it has a kernel for every
 * node of a graph, in its data type. Runs without a GPU in a folder made by `build_folder.ts`, under
 * LD_LIBRARY_PATH of that folder.
 *
 * In: the folder, and graphs. Out: what the provider refuses.
 */

import { evaluateShape, type Symbols } from "../../ort/graph/dim.ts";
import type { Constant, Graph, Node, Value } from "../../ort/graph/ir.ts";
import { writeOnnx } from "../../ort/graph/onnx_writer.ts";
import { byteWidth, elementCount } from "../../ort/tensor/dtype.ts";
import { onnxDataType } from "../../ort/tensor/onnx_dtype.ts";

// Slots of struct OrtApi (onnxruntime_c_api.h: "append only"), each a function that answers a status.
const SLOTS = {
  CreateEnv: { slot: 3, parameters: ["i32", "buffer", "buffer"] },
  Run: {
    slot: 9,
    parameters: [
      "pointer",
      "pointer",
      "buffer",
      "buffer",
      "usize",
      "buffer",
      "usize",
      "buffer",
    ],
  },
  CreateTensorWithDataAsOrtValue: {
    slot: 49,
    parameters: ["pointer", "buffer", "usize", "buffer", "usize", "i32", "buffer"],
  },
  CreateCpuMemoryInfo: { slot: 69, parameters: ["i32", "i32", "buffer"] },
  CreateSessionFromArray: {
    slot: 8,
    parameters: ["pointer", "buffer", "usize", "pointer", "buffer"],
  },
  CreateSessionOptions: { slot: 10, parameters: ["buffer"] },
  SetSessionGraphOptimizationLevel: { slot: 23, parameters: ["pointer", "i32"] },
  AddSessionConfigEntry: { slot: 130, parameters: ["pointer", "buffer", "buffer"] },
  AppendCuda: { slot: 204, parameters: ["pointer", "pointer"] },
  CreateCUDAProviderOptions: { slot: 205, parameters: ["buffer"] },
} as const satisfies Record<string, { slot: number; parameters: readonly Deno.NativeType[] }>;
const GET_ERROR_MESSAGE = 2;
const RELEASE_STATUS = 93;
const RELEASE_SESSION = 95;
const RELEASE_VALUE = 96;
const API_VERSION = 22;
const LOG_FATAL = 4;

type Call = (...args: (Deno.PointerValue | BufferSource | number | bigint)[]) => unknown;

function functionAt(
  table: Deno.UnsafePointerView,
  slot: number,
  parameters: readonly Deno.NativeType[],
  result: Deno.NativeResultType,
): Call {
  const pointer = table.getPointer(slot * 8) as Deno.PointerObject<Deno.ForeignFunction>;
  const native = new Deno.UnsafeFnPointer(pointer, { parameters, result });
  return native.call.bind(native) as Call;
}

const cString = (text: string) => new TextEncoder().encode(text + "\0");

/** Creates sessions on the CUDA provider, with no other provider to fall back to. */
export class CudaProvider {
  readonly #table: Deno.UnsafePointerView;
  readonly #env: Deno.PointerObject;
  readonly #options: Deno.PointerObject;
  readonly #memory: Deno.PointerObject;

  /** Opens the library of a placement folder. */
  constructor(folder: string) {
    const library = Deno.dlopen(`${folder}/libonnxruntime.so`, {
      OrtGetApiBase: { parameters: [], result: "pointer" },
    });
    const base = new Deno.UnsafePointerView(library.symbols.OrtGetApiBase()!);
    const table = functionAt(base, 0, ["u32"], "pointer")(API_VERSION) as Deno.PointerObject;
    this.#table = new Deno.UnsafePointerView(table);
    this.#env = this.#create("CreateEnv", LOG_FATAL, cString("placement"));
    this.#memory = this.#create("CreateCpuMemoryInfo", 1, 0); // an arena's, default memory
    this.#options = this.#create("CreateSessionOptions");
    this.#call("SetSessionGraphOptimizationLevel", this.#options, 1);
    const disable = [cString("session.disable_cpu_ep_fallback"), cString("1")];
    this.#call("AddSessionConfigEntry", this.#options, ...disable);
    this.#call("AppendCuda", this.#options, this.#create("CreateCUDAProviderOptions"));
  }

  #call(name: keyof typeof SLOTS, ...args: Parameters<Call>): void {
    const { slot, parameters } = SLOTS[name];
    const failed = functionAt(this.#table, slot, parameters, "pointer")(...args);
    if (failed === null) return;
    const status = failed as Deno.PointerObject;
    const message = functionAt(this.#table, GET_ERROR_MESSAGE, ["pointer"], "pointer")(status);
    const text = Deno.UnsafePointerView.getCString(message as Deno.PointerObject);
    functionAt(this.#table, RELEASE_STATUS, ["pointer"], "void")(status);
    throw new Error(text);
  }

  #create(name: keyof typeof SLOTS, ...args: Parameters<Call>): Deno.PointerObject {
    const out = new BigUint64Array(1);
    this.#call(name, ...args, out);
    return Deno.UnsafePointer.create(out[0])!;
  }

  #session(graph: Graph): Deno.PointerObject {
    const model = writeOnnx(graph);
    const length = BigInt(model.length);
    return this.#create("CreateSessionFromArray", this.#env, model, length, this.#options);
  }

  #release(slot: number, pointer: Deno.PointerValue): void {
    functionAt(this.#table, slot, ["pointer"], "void")(pointer);
  }

  /** Why the provider does not take the graph, or undefined where it takes every node. */
  refusal(graph: Graph): string | undefined {
    try {
      this.#release(RELEASE_SESSION, this.#session(graph));
      return undefined;
    } catch (cause) {
      return (cause as Error).message;
    }
  }

  /**
   * Why a run of the graph does not come to its end, or undefined where it does. What it computes on
   * stand-ins means nothing; what a kernel's host part refuses, such as a type it was registered for
   * and does not have, is refused here too.
   *
   * @param fill gives an input's elements; all others are 0
   */
  failure(
    graph: Graph,
    symbols: Symbols,
    fill: (name: string) => number | undefined,
  ): string | undefined {
    const names = (values: readonly Value[]) => values.map(({ name }) => cString(name));
    const addresses = (arrays: readonly Uint8Array<ArrayBuffer>[]) =>
      BigUint64Array.from(
        arrays,
        (array) => Deno.UnsafePointer.value(Deno.UnsafePointer.of(array)),
      );
    const session = this.#session(graph);
    const data: Uint8Array<ArrayBuffer>[] = []; // kept until the run is over
    const inputs = graph.inputs.map(({ name, dtype, shape }) => {
      const target = graph.shapeInputs.get(name);
      const sizes = target ? [target.length] : evaluateShape(shape, symbols);
      const bytes = new Uint8Array(elementCount(sizes) * byteWidth(dtype) + 1);
      const value = fill(name);
      if (target) {
        new BigInt64Array(bytes.buffer, 0, sizes[0]).set(
          evaluateShape(target, symbols).map(BigInt),
        );
      } else if (value !== undefined) new Int32Array(bytes.buffer, 0, 1)[0] = value;
      data.push(bytes);
      return this.#create(
        "CreateTensorWithDataAsOrtValue",
        this.#memory,
        bytes,
        BigInt(bytes.length - 1),
        BigInt64Array.from(sizes, BigInt),
        BigInt(sizes.length),
        onnxDataType(dtype),
      );
    });
    const outputs = new BigUint64Array(graph.outputs.length);
    const [inputNames, outputNames] = [names(graph.inputs), names(graph.outputs)];
    try {
      this.#call(
        "Run",
        session,
        null,
        addresses(inputNames),
        BigUint64Array.from(inputs, (value) => Deno.UnsafePointer.value(value)),
        BigInt(inputs.length),
        addresses(outputNames),
        BigInt(outputs.length),
        outputs,
      );
      return undefined;
    } catch (cause) {
      return (cause as Error).message;
    } finally {
      for (const value of inputs) this.#release(RELEASE_VALUE, value);
      for (const value of outputs) this.#release(RELEASE_VALUE, Deno.UnsafePointer.create(value));
      this.#release(RELEASE_SESSION, session);
    }
  }

  /** What is refused, node by node where a node alone is refused too; empty if nothing is. */
  refusals(graph: Graph): string[] {
    const whole = this.refusal(graph);
    if (whole === undefined) return [];
    const single = graph.nodes.flatMap((node) => {
      const why = this.refusal(singleNode(graph, node));
      return why === undefined ? [] : [`${graph.name}: ${signature(node)}: ${why}`];
    });
    return single.length > 0 ? [...new Set(single)] : [`${graph.name}: ${whole}`];
  }
}

function signature({ op, inputs, outputs }: Node): string {
  const types = (values: readonly (Value | undefined)[]) =>
    values.map((value) => value ? value.dtype : "none").join(", ");
  return `${op}(${types(inputs)}) -> ${types(outputs)}`;
}

/** A graph of one node of another; constants stay constants. */
function singleNode(graph: Graph, node: Node): Graph {
  const constants: Constant[] = graph.constants.filter(({ value }) => node.inputs.includes(value));
  const constant = new Set(constants.map(({ value }) => value));
  const inputs = [...new Set(node.inputs)].filter((value) => value && !constant.has(value));
  return {
    ...graph,
    inputs: inputs as Value[],
    outputs: node.outputs,
    nodes: [node],
    constants,
    aliases: new Map(),
    shapeInputs: new Map(),
  };
}
