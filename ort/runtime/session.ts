/**
 * A compiled graph, and bindings of its inputs and outputs to tensors.
 *
 * In: an ONNX model as bytes or a file. Out: `Session.bind` and `Binding.run`.
 *
 * @module
 */

import { cString, OutParameter, takeString } from "./api.ts";
import type { Device } from "./device.ts";
import type { Runtime } from "./runtime.ts";
import type { SpareTensors } from "./spare_tensors.ts";
import type { Tensor } from "./tensor.ts";

/** How a session is made. */
export interface SessionOptions {
  /** A name for errors; @default "graph" */
  readonly name?: string;
  /** Where the graph runs; @default the runtime's device */
  readonly device?: Device;
  /**
   * Whether weights inside the model are copied into an order that products of many rows like. Without
   * it a file's weights are read where the system mapped them.
   * @default true
   */
  readonly prepacking?: boolean;
  /**
   * Weights of the model by name, in place of data of its own. The tensors must outlive the session, unless
   * it is known to have copied them.
   */
  readonly initializers?: TensorMap;
}

/**
 * A graph that ONNX Runtime has compiled.
 *
 * @example
 * ```ts
 * import { Runtime } from "@ortune/ortune";
 * import { GraphBuilder, ops, writeOnnx } from "@ortune/ortune/unstable-graph";
 * import { Session, Tensor } from "@ortune/ortune/unstable-ort";
 * import assert from "node:assert/strict";
 *
 * const b = new GraphBuilder("square");
 * const x = b.input("x", "float32", [2]);
 * b.output("y", ops.mul(b, x, x));
 *
 * using runtime = new Runtime({ threads: 1 });
 * using session = new Session(runtime, writeOnnx(b.build()), { name: "square" });
 * using input = Tensor.from(runtime, "float32", [2], Float32Array.of(3, 4));
 * using output = Tensor.allocate(runtime, "float32", [2]);
 * using binding = session.bind({ inputs: { x: input }, outputs: { y: output } });
 * binding.run();
 * assert.deepEqual([...output.float32()], [9, 16]);
 * input.float32()[0] = 5; // bound memory: the next run reads it
 * binding.run();
 * assert.deepEqual([...output.float32()], [25, 16]);
 * ```
 */
export class Session implements Disposable {
  /** For errors. */
  readonly name: string;
  /** Where it runs. */
  readonly device: Device;
  /** Names of the inputs, in the model's order. */
  readonly inputs: readonly string[];
  /** Names of the outputs, in the model's order. */
  readonly outputs: readonly string[];
  /** What it was made with. */
  readonly runtime: Runtime;
  /** OrtRunOptions of its runs. */
  readonly runOptions: Deno.PointerValue;
  readonly #pointer: Deno.PointerObject;
  #alive = true;

  /** Compiles a model given as ONNX bytes, or read from the file at a path. */
  constructor(runtime: Runtime, model: Uint8Array<ArrayBuffer> | string, {
    name = typeof model === "string" ? model : "graph",
    device = runtime.device,
    prepacking = true,
    initializers = {},
  }: SessionOptions = {}) {
    this.runtime = runtime;
    this.name = name;
    this.device = device;
    const what = `compile graph ${name}`;
    const { api, env } = runtime;
    const { sessionOptions, runOptions } = runtime.place(device);
    this.runOptions = runOptions;
    const given = Object.entries(initializers);
    const options = prepacking && given.length === 0
      ? sessionOptions
      : api.create("CloneSessionOptions", what, sessionOptions);
    if (!prepacking) disablePrepacking(runtime, options);
    for (const [name, { pointer }] of given) {
      api.call("AddInitializer", what, options, cString(name), pointer);
    }
    try {
      this.#pointer = typeof model === "string"
        ? api.create("CreateSession", what, env, pathString(model), options)
        : api.create("CreateSessionFromArray", what, env, model, model.length, options);
    } finally {
      if (options !== sessionOptions) api.raw("ReleaseSessionOptions", options);
    }
    this.inputs = this.#names("Input");
    this.outputs = this.#names("Output");
  }

  /** The OrtSession, for binding. */
  get pointer(): Deno.PointerObject {
    if (!this.#alive) throw new ReferenceError(`Cannot use graph ${this.name}: it was disposed of`);
    return this.#pointer;
  }

  #names(kind: "Input" | "Output"): string[] {
    const what = `list the ${kind.toLowerCase()}s of graph ${this.name}`;
    const { api, cpuAllocator } = this.runtime;
    const count = new OutParameter();
    api.call(`SessionGet${kind}Count`, what, this.pointer, count.bytes);
    return Array.from({ length: Number(count.address) }, (_, i) => {
      const name = new OutParameter();
      api.call(`SessionGet${kind}Name`, what, this.pointer, i, cpuAllocator, name.bytes);
      return takeString(api, cpuAllocator, name);
    });
  }

  /**
   * A set of bound inputs and outputs, to be run any number of times.
   *
   * @throws {Error} where a tensor is missing: all missing names together
   */
  bind(tensors: { inputs: TensorMap; outputs: TensorMap }): Binding {
    const { inputs, outputs } = tensors;
    const missing = [
      ...this.inputs.filter((name) => !inputs[name]),
      ...this.outputs.filter((name) => !outputs[name]).map((name) => `output ${name}`),
    ];
    if (missing.length > 0) {
      throw new Error(`Cannot bind graph ${this.name}: no tensor for ${missing.join(", ")}`);
    }
    const binding = new Binding(this);
    try {
      for (const name of this.inputs) binding.input(name, inputs[name]);
      for (const name of this.outputs) binding.output(name, outputs[name]);
      return binding;
    } catch (cause) {
      binding[Symbol.dispose]();
      throw cause;
    }
  }

  /** Binds, runs once and releases the binding. */
  run(tensors: { inputs: TensorMap; outputs: TensorMap }): void {
    using binding = this.bind(tensors);
    binding.run();
  }

  /** Releases the compiled graph; dispose of its bindings first. */
  [Symbol.dispose](): void {
    if (!this.#alive) return;
    this.#alive = false;
    this.runtime.api.raw("ReleaseSession", this.#pointer);
  }
}

function disablePrepacking({ api }: Runtime, options: Deno.PointerValue): void {
  const [key, value] = ["session.disable_prepacking", "1"].map(cString);
  api.call("AddSessionConfigEntry", "set session options", options, key, value);
}

/** Tensors by the name of a graph's input or output. */
export type TensorMap = Readonly<Record<string, Tensor>>;

/** Inputs and outputs of one session, bound to tensors. */
export class Binding implements Disposable {
  readonly #session: Session;
  readonly #pointer: Deno.PointerObject;
  /** Outputs that are copied after a run, by their names. */
  readonly #copied = new Map<string, { readonly spare: Tensor; readonly tensor: Tensor }>();
  #alive = true;

  /** A binding with nothing bound yet. */
  constructor(session: Session) {
    this.#session = session;
    this.#pointer = session.runtime.api.create(
      "CreateIoBinding",
      `bind graph ${session.name}`,
      session.pointer,
    );
  }

  /** Binds an input; ONNX Runtime keeps the memory's owner alive, the caller keeps the memory. */
  input(name: string, tensor: Tensor): void {
    this.#bind("BindInput", name, tensor);
  }

  /** Binds an output to preallocated memory. */
  output(name: string, tensor: Tensor): void {
    this.#copied.delete(name);
    this.#bind("BindOutput", name, tensor);
  }

  /** Binds an output to a spare buffer, from which each run copies it into the tensor. */
  outputByCopy(name: string, tensor: Tensor, spares: SpareTensors): void {
    this.#copied.delete(name);
    const used = [...this.#copied.values()].map(({ spare }) => spare);
    const spare = spares.find(tensor.byteLength, used);
    using view = spare.view(0, tensor.shape, tensor.dtype);
    this.#bind("BindOutput", name, view);
    this.#copied.set(name, { spare, tensor });
  }

  #bind(call: "BindInput" | "BindOutput", name: string, tensor: Tensor): void {
    const { runtime, name: graph } = this.#session;
    this.#assertAlive();
    runtime.api.call(
      call,
      `bind ${name} of graph ${graph}`,
      this.#pointer,
      encodedName(name),
      tensor.pointer,
    );
  }

  /**
   * Runs the graph on what is bound. On the CPU this thread blocks until it is done; on a device the
   * work is queued, and {@linkcode Tensor.read} waits for it.
   */
  run(): void {
    const { runtime, pointer, name, runOptions, device } = this.#session;
    this.#assertAlive();
    const { tensors } = runtime.place(device);
    const what = `run graph ${name}`;
    let refusal: Error | undefined;
    try {
      runtime.api.call("RunWithBinding", what, pointer, runOptions, this.#pointer);
    } catch (cause) {
      refusal = runtime.cuda?.explainShortage(cause as Error, what) ?? cause as Error;
    }
    tensors?.throwErrors(what, refusal);
    if (refusal) throw refusal;
    for (const { spare, tensor } of this.#copied.values()) tensor.copyFrom(spare);
  }

  #assertAlive(): void {
    if (this.#alive) return;
    throw new ReferenceError(
      `Cannot use a binding of graph ${this.#session.name}: it was disposed of`,
    );
  }

  /** Releases the binding; the tensors stay. */
  [Symbol.dispose](): void {
    if (!this.#alive) return;
    this.#alive = false;
    this.#session.runtime.api.raw("ReleaseIoBinding", this.#pointer);
  }
}

const names = new Map<string, Uint8Array<ArrayBuffer>>();

/** C strings of tensor names, made once: a training step binds the same few hundred names. */
function encodedName(name: string): Uint8Array<ArrayBuffer> {
  let encoded = names.get(name);
  if (!encoded) names.set(name, encoded = cString(name));
  return encoded;
}

/** ORTCHAR_T: UTF-16 on Windows, bytes elsewhere. */
function pathString(path: string): BufferSource {
  if (Deno.build.os !== "windows") return cString(path);
  return Uint16Array.from(path + "\0", (character) => character.charCodeAt(0));
}
