/**
 * The opened WebGPU device: its allocator, copies to and from it, and the errors it tells of.
 *
 * In: the C API, session options with the provider. Out: a `TensorMemory`. One tensor is one buffer
 * of the GPU, so nothing can begin inside it.
 */

import { byteWidth, type DType, elementCount } from "../tensor/dtype.ts";
import { onnxDataType } from "../tensor/onnx_dtype.ts";
import { type OrtApi, OutParameter } from "./api.ts";
import type { DeviceLog } from "./device_log.ts";
import { type MemoryBudget, WAYS_OUT } from "./memory_budget.ts";
import type { AllocatedTensor, MemoryStart, TensorMemory } from "./tensor_memory.ts";
import { wrapMemory } from "./wrap_memory.ts";

/** A graph of one Sqrt over four numbers, in ONNX: what `webgpu_test.ts` writes. */
export const KEEPER_MODEL =
  "CAoSBm9ydHVuZTo7Cg8KAXgSAXkaAXkiBFNxcnQSBmtlZXBlcloPCgF4EgoKCAgBEgQKAggEYg8KAXkSCgoICAESBAoC" +
  "CARCAhAVQhEKDWNvbS5taWNyb3NvZnQQAQ==";

/** Copies are in whole groups of this many bytes; the rest of a last one that is cut short is zeroed. */
const GRAIN = 4;
/** Most zeros that are kept on the device, to be copied. */
const MOST_ZEROS = 1 << 26;
/** What a message of the device itself begins with. */
const OF_THE_DEVICE = /^WebGPU device /;

/** The loss of the device is logged as no error; it is told of by the calls that come after it. */
const LOST = /device (?:is |was )?lost/i;

/** What a {@linkcode WebGpu} is opened with. */
export interface WebGpuOptions {
  readonly api: OrtApi;
  readonly env: Deno.PointerObject;
  /** With the provider appended. */
  readonly sessionOptions: Deno.PointerObject;
  /** OrtMemoryInfo of the host. */
  readonly hostMemory: Deno.PointerObject;
  /** OrtMemoryInfo of the device. */
  readonly memory: Deno.PointerObject;
  readonly log: DeviceLog;
  /** What there is room for. */
  readonly budget: MemoryBudget;
}

/** The device of the process; there is one. */
export class WebGpu implements TensorMemory, Disposable {
  readonly viewsAtOffset: boolean = false;
  readonly #api: OrtApi;
  readonly #env: Deno.PointerObject;
  readonly #hostMemory: Deno.PointerObject;
  readonly #memory: Deno.PointerObject;
  readonly #log: DeviceLog;
  /** What there is room for. */
  readonly budget: MemoryBudget;
  /** Bytes of each tensor. */
  readonly #sizes = new Map<bigint, number>();
  /** A session that lives as long as this: the allocator is its. */
  readonly #keeper: Deno.PointerObject;
  readonly #allocator: Deno.PointerObject;
  #disposed = false;
  /** The most zeros that were asked for so far. */
  #zeros: AllocatedTensor & { readonly bytes: number } | undefined;

  /**
   * Makes the session that keeps the device.
   *
   * @throws {Error} where ONNX Runtime was opened before in a way that hides the device's errors
   */
  constructor({ api, env, sessionOptions, hostMemory, memory, log, budget }: WebGpuOptions) {
    const what = "use device webgpu";
    this.#api = api;
    this.#env = env;
    this.#hostMemory = hostMemory;
    this.#memory = memory;
    this.#log = log;
    this.budget = budget;
    const model = Uint8Array.fromBase64(KEEPER_MODEL);
    if (!hearsErrors(api, { env, sessionOptions, log })) {
      throw new Error(
        `Cannot ${what}: ONNX Runtime was opened before in this process, and would not tell of the ` +
          "device's errors; open the runtime with device webgpu first: it runs graphs on the cpu too",
      );
    }
    const args = [env, model, model.length, sessionOptions];
    this.#keeper = api.create("CreateSessionFromArray", what, ...args);
    this.#allocator = api.create("CreateAllocator", what, this.#keeper, memory);
    log.take();
  }

  allocate(dtype: DType, shape: readonly number[], what: string): AllocatedTensor {
    const api = this.#api;
    const bytes = elementCount(shape) * byteWidth(dtype);
    this.budget.claim(bytes, what);
    let value: Deno.PointerObject;
    try {
      const dimensions = BigInt64Array.from(shape, BigInt);
      const args = [this.#allocator, dimensions, shape.length, onnxDataType(dtype)];
      value = api.create("CreateTensorAsOrtValue", what, ...args);
      this.throwErrors(what);
    } catch (cause) {
      this.budget.release(bytes);
      throw cause;
    }
    const handle = new OutParameter();
    api.call("GetTensorMutableData", what, value, handle.bytes);
    this.#sizes.set(handle.address, bytes);
    return { value, address: handle.address };
  }

  /** The memory goes with its OrtValue. */
  free(address: bigint): void {
    this.budget.release(this.#sizes.get(address) ?? 0);
    this.#sizes.delete(address);
  }

  upload(to: MemoryStart, bytes: Uint8Array): void {
    const host = Deno.UnsafePointer.value(
      Deno.UnsafePointer.of(bytes as Uint8Array<ArrayBuffer>),
    );
    this.#copy(bytes.byteLength, {
      from: { memory: this.#hostMemory, address: host },
      to: { memory: this.#memory, address: this.#writable(to, bytes.byteLength) },
    });
  }

  download(from: MemoryStart, into: Uint8Array): void {
    const host = Deno.UnsafePointer.value(
      Deno.UnsafePointer.of(into as Uint8Array<ArrayBuffer>),
    );
    this.#copy(into.byteLength, {
      from: { memory: this.#memory, address: this.#start(from) },
      to: { memory: this.#hostMemory, address: host },
    });
  }

  copy(to: MemoryStart, from: MemoryStart, bytes: number): void {
    this.#copy(bytes, {
      from: { memory: this.#memory, address: this.#start(from) },
      to: { memory: this.#memory, address: this.#writable(to, bytes) },
    });
  }

  zero(address: bigint, bytes: number): void {
    const all = (address: bigint): MemoryStart => ({ address, offset: 0, byteLength: bytes });
    if (bytes > MOST_ZEROS) return this.upload(all(address), new Uint8Array(bytes));
    if (bytes > (this.#zeros?.bytes ?? 0)) {
      this.#freeZeros();
      this.#zeros = { bytes, ...this.allocate("uint8", [bytes], `keep ${bytes} zeros`) };
      this.upload(all(this.#zeros.address), new Uint8Array(bytes));
    }
    if (bytes > 0) this.copy(all(address), all(this.#zeros!.address), bytes);
  }

  #freeZeros(): void {
    if (!this.#zeros) return;
    this.free(this.#zeros.address);
    this.#api.raw("ReleaseValue", this.#zeros.value);
    this.#zeros = undefined;
  }

  /** An error of the device is its last: what comes after one can end the process. */
  throwErrors(what: string, refusal?: Error): void {
    const told = this.#log.take().filter((message) => OF_THE_DEVICE.test(message));
    if (refusal && LOST.test(refusal.message)) told.push(refusal.message);
    if (told.length > 0 && this.#log.failure === undefined) {
      const reason = explainErrors(told);
      this.#log.failure = "the WebGPU device has failed and may not be used any more in this " +
        `process: ${reason}`;
      throw new Error(`Cannot ${what} on webgpu: ${reason}`, { cause: refusal });
    }
    if (refusal) throw refusal;
  }

  #writable(to: MemoryStart, bytes: number): bigint {
    if (bytes % GRAIN === 0 || bytes === to.byteLength) return this.#start(to);
    throw new RangeError(
      `Cannot write ${bytes} bytes into a tensor of ${to.byteLength} on webgpu: part of a tensor is ` +
        `written in groups of ${GRAIN} bytes there`,
    );
  }

  #start({ address, offset }: MemoryStart): bigint {
    if (offset === 0) return address;
    throw new RangeError(
      `Cannot reach byte ${offset} of a tensor on webgpu: a tensor there is one buffer, which ` +
        "copies and graphs use from its start; give each part a tensor of its own",
    );
  }

  #copy(bytes: number, { from, to }: {
    readonly from: { readonly memory: Deno.PointerObject; readonly address: bigint };
    readonly to: { readonly memory: Deno.PointerObject; readonly address: bigint };
  }): void {
    if (this.#disposed) throw new ReferenceError("Cannot use the runtime: it was disposed of");
    if (bytes === 0) return;
    const api = this.#api;
    const what = `copy ${bytes} bytes`;
    const values = [from, to].map(({ memory, address }) =>
      wrapMemory(api, { memory, address, dtype: "uint8", shape: [bytes] }, what)
    );
    const [source, target] = values.map((value) =>
      BigUint64Array.of(Deno.UnsafePointer.value(value))
    );
    let refusal: Error | undefined;
    try {
      api.call("CopyTensors", what, this.#env, source, target, null, 1);
    } catch (cause) {
      refusal = cause as Error;
    }
    try {
      this.throwErrors(what, refusal);
    } finally {
      for (const value of values) api.raw("ReleaseValue", value);
    }
  }

  [Symbol.dispose](): void {
    this.#freeZeros();
    this.#disposed = true;
    this.#api.raw("ReleaseAllocator", this.#allocator);
    this.#api.raw("ReleaseSession", this.#keeper);
  }
}

/**
 * Whether the log hears errors: the process's first runtime chose where they go. A graph that the
 * provider has no kernel for is refused with one. An allocation that fails would be one too, but
 * from then on Dawn validates dispatches, and refuses those that write in place.
 */
function hearsErrors(
  api: OrtApi,
  { env, sessionOptions, log }: Pick<WebGpuOptions, "env" | "sessionOptions" | "log">,
): boolean {
  const model = Uint8Array.fromBase64(KEEPER_MODEL);
  const name = new TextEncoder().encode("Sqrt");
  const at = model.findIndex((_, i) => name.every((byte, j) => model[i + j] === byte));
  model.set(new TextEncoder().encode("Sign"), at);
  log.take();
  try {
    const args = [env, model, model.length, sessionOptions];
    const session = api.create("CreateSessionFromArray", "try a graph", ...args);
    api.raw("ReleaseSession", session);
    return true; // a release that has the kernel: nothing is known
  } catch {
    return log.take().length > 0;
  }
}

/** The device's messages as one reason. */
function explainErrors(told: readonly string[]): string {
  const said = told.map((message) => message.replace(/\s+/g, " ").trim());
  const all = [...new Set(said)].join("; ");
  if (LOST.test(all)) {
    return `the GPU was lost, as when a driver restarts or a dispatch takes too long (${all}); ` +
      "start again from the last checkpoint";
  }
  if (/memory|exceeds|max\w*size/i.test(all)) {
    return `a tensor did not fit (${all}); ${WAYS_OUT}`;
  }
  return all;
}
