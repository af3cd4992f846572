/**
 * ONNX Runtime's CUDA provider, as far as creating sessions goes: whether it has a kernel for every
 * node of a graph, in its data type. Runs without a GPU in a folder made by `build_folder.ts`, under
 * LD_LIBRARY_PATH of that folder.
 *
 * In: the folder, and graphs. Out: what the provider refuses.
 */

import type { Constant, Graph, Node, Value } from "../../graph/ir.ts";
import { writeOnnx } from "../../graph/onnx_writer.ts";

// Slots of struct OrtApi (onnxruntime_c_api.h: "append only"), each a function that answers a status.
const SLOTS = {
  CreateEnv: { slot: 3, parameters: ["i32", "buffer", "buffer"] },
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

  /** Opens the library of a placement folder. */
  constructor(folder: string) {
    const library = Deno.dlopen(`${folder}/libonnxruntime.so`, {
      OrtGetApiBase: { parameters: [], result: "pointer" },
    });
    const base = new Deno.UnsafePointerView(library.symbols.OrtGetApiBase()!);
    const table = functionAt(base, 0, ["u32"], "pointer")(API_VERSION) as Deno.PointerObject;
    this.#table = new Deno.UnsafePointerView(table);
    this.#env = this.#create("CreateEnv", LOG_FATAL, cString("placement"));
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

  /** Why the provider does not take the graph, or undefined where it takes every node. */
  refusal(graph: Graph): string | undefined {
    const model = writeOnnx(graph);
    try {
      const session = this.#create(
        "CreateSessionFromArray",
        this.#env,
        model,
        BigInt(model.length),
        this.#options,
      );
      functionAt(this.#table, RELEASE_SESSION, ["pointer"], "void")(session);
      return undefined;
    } catch (cause) {
      return (cause as Error).message;
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
