/**
 * One ONNX Runtime environment: its thread pool, its shared arenas, its memory infos.
 *
 * In: a number of threads, a device, and perhaps a library path. Out: a `Runtime` that makes
 * tensors and sessions.
 *
 * @module
 */

import { cString, openApi, type OrtApi, StringArray } from "./api.ts";
import { Cuda } from "./cuda.ts";
import {
  appendCudaProvider,
  cudaMemory,
  cudaRunOptions,
  describeCudaMemory,
} from "./cuda_provider.ts";
import { cpu, type Device, deviceName, sameDevice } from "./device.ts";
import { deviceLog } from "./device_log.ts";
import { findLibrary } from "./library.ts";
import { MemoryBudget, type ToldMemory } from "./memory_budget.ts";
import type { TensorMemory } from "./tensor_memory.ts";
import { WebGpu } from "./webgpu.ts";
import { appendWebGpuProvider, describeWebGpuMemory, webGpuMemory } from "./webgpu_provider.ts";

// OrtLoggingLevel, OrtAllocatorType, OrtMemType of onnxruntime_c_api.h.
// Only what ends the process is logged: errors are thrown, and need not be printed too.
const LOG_FATAL = 4;
// A WebGPU device's errors are only logged; they are collected, and thrown.
const LOG_ERROR = 3;
const ARENA_ALLOCATOR = 1;
const MEMORY_DEFAULT = 0;
const EXTEND_SAME_AS_REQUESTED = 1n;

/** How to open ONNX Runtime. */
export interface RuntimeOptions {
  /** Threads of the shared pool, the calling one included. @default all cores */
  readonly threads?: number;
  /** The library to open instead of npm's (scripts pass ORTUNE_ORT_LIB). */
  readonly libraryPath?: string;
  /** Where tensors lie and graphs run unless they are told otherwise. @default the CPU */
  readonly device?: Device;
  /** Options of ONNX Runtime's WebGPU provider that win over ortune's. @default none */
  readonly webGpuSettings?: Readonly<Record<string, string>>;
}

/** What one place for tensors and graphs needs of ONNX Runtime. */
export interface Place {
  /** OrtMemoryInfo of memory there that the caller owns. */
  readonly memory: Deno.PointerObject;
  /** OrtSessionOptions that every session there is made with. */
  readonly sessionOptions: Deno.PointerObject;
  /** OrtRunOptions that every run there is made with; null for the defaults. */
  readonly runOptions: Deno.PointerValue;
  /** How tensors are made and copied there, where their memory is not the host's. */
  readonly tensors?: TensorMemory;
}

/**
 * An opened ONNX Runtime. The environment is one a process: the thread count of the first runtime
 * holds for all of them.
 *
 * Denormal numbers are flushed to zero in the pool's threads and in the thread that made the first
 * session (facts measured: one denormal input slows a Gemm more than a hundredfold). The flag lives
 * in a thread's floating-point control register, so use one runtime from one thread.
 *
 * @example
 * ```ts
 * import { Runtime } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 *
 * using runtime = new Runtime({ threads: 1 });
 * assert.match(runtime.api.version, /^1\.\d+/);
 * ```
 */
export class Runtime implements Disposable {
  /** The C API of the opened library. */
  readonly api: OrtApi;
  /** Threads asked for; those of the process's first runtime are what runs. */
  readonly threads: number;
  /** The OrtEnv, one a process. */
  readonly env: Deno.PointerObject;
  /** ONNX Runtime's own allocator for long-lived host tensors. */
  readonly cpuAllocator: Deno.PointerObject;
  /** Where tensors lie and graphs run unless they are told otherwise. */
  readonly device: Device;
  /** The opened GPU, where `device` is one. */
  readonly cuda: Cuda | undefined;
  /**
   * Whether a graph on the device may write an output in place of an input. Where not, as some
   * WebGPU drivers, graphs compiled from then on write elsewhere, and what they wrote is copied.
   */
  writesInPlace = true;
  /**
   * Whether graphs on the device can tell NaN and infinities. Where not, as with fast mathematics, which
   * lets x − x be 0 of any x, the host looks at an update's loss and norm before it is made.
   */
  tellsNonFinite = true;
  #webgpu: WebGpu | undefined;
  readonly #places = new Map<Device["kind"], Place>();
  #disposed = false;

  /**
   * Opens the library.
   *
   * Needs `--allow-ffi` without a path.
   *
   * @throws {RangeError} where `threads` is not a whole number from 1, or there is no such device
   * @throws {Error} where a library or a permission is missing, or a library is too old
   */
  constructor(
    { threads = navigator.hardwareConcurrency, libraryPath, device = cpu, webGpuSettings }:
      RuntimeOptions = {},
  ) {
    if (!Number.isSafeInteger(threads) || threads < 1) {
      throw new RangeError(`Cannot open ONNX Runtime with ${threads} threads: expected 1 or more`);
    }
    const api = openApi(findLibrary(libraryPath));
    this.api = api;
    if (device.kind === "webgpu") api.stopped = () => deviceLog().failure;
    this.threads = threads;
    this.device = device;
    // Before anything of ONNX Runtime's is made, since this is what may fail.
    this.cuda = device.kind === "cuda" ? Cuda.open(device.index) : undefined;
    const threading = api.create("CreateThreadingOptions", "set up the thread pool");
    api.call("SetGlobalIntraOpNumThreads", "set the thread count", threading, threads);
    api.call("SetGlobalDenormalAsZero", "flush denormals", threading);
    this.env = this.#openEnvironment(threading);
    api.raw("ReleaseThreadingOptions", threading);
    this.cpuAllocator = api.create("GetAllocatorWithDefaultOptions", "get the allocator");
    const memory = api.create(
      "CreateCpuMemoryInfo",
      "describe host memory",
      ARENA_ALLOCATOR,
      MEMORY_DEFAULT,
    );
    this.#shareArena(memory);
    const sessionOptions = this.#makeSessionOptions();
    this.#places.set("cpu", { memory, sessionOptions, runOptions: null });
    try {
      if (this.cuda) this.#openCuda(this.cuda);
      if (device.kind === "webgpu") this.#openWebGpu(memory, webGpuSettings);
    } catch (cause) {
      this[Symbol.dispose]();
      throw cause;
    }
  }

  #openEnvironment(threading: Deno.PointerObject): Deno.PointerObject {
    const [what, name] = ["open ONNX Runtime", cString("ortune")];
    if (this.device.kind !== "webgpu") {
      const args = [LOG_FATAL, name, threading];
      return this.api.create("CreateEnvWithGlobalThreadPools", what, ...args);
    }
    const args = [deviceLog().pointer, null, LOG_ERROR, name, threading];
    return this.api.create("CreateEnvWithCustomLoggerAndGlobalThreadPools", what, ...args);
  }

  /** What sessions and tensors on a device are made with. */
  place(device: Device): Place {
    if (this.#disposed) throw new ReferenceError("Cannot use the runtime: it was disposed of");
    const place = this.#places.get(device.kind);
    if (place && (device.kind === "cpu" || sameDevice(device, this.device))) return place;
    throw new RangeError(
      `Cannot use device ${deviceName(device)}: this runtime was opened for ` +
        `${deviceName(this.device)}; make one with new Runtime({ device })`,
    );
  }

  /** What the driver of a WebGPU device tells of its memory now; undefined where none does. */
  toldMemory(): ToldMemory | undefined {
    return this.#webgpu?.budget.tell();
  }

  /** One arena for all sessions, grown by just what is asked for: each keeps no peak of its own. */
  #shareArena(memory: Deno.PointerObject, provider?: Cuda): void {
    const keys = new StringArray(["arena_extend_strategy"]);
    const values = BigUint64Array.of(EXTEND_SAME_AS_REQUESTED);
    const what = "share an arena";
    const config = this.api.create("CreateArenaCfgV2", what, keys.bytes, values, values.length);
    try {
      if (provider) {
        const none = new BigUint64Array(1);
        const name = cString("CUDAExecutionProvider");
        const args = [this.env, name, memory, config, none, none, 0];
        this.api.call("CreateAndRegisterAllocatorV2", what, ...args);
      } else {
        this.api.call("CreateAndRegisterAllocator", what, this.env, memory, config);
      }
    } catch (cause) {
      // A second runtime in the process finds the arena of the first in place.
      if (!/already/.test((cause as Error).message)) throw cause;
    } finally {
      this.api.raw("ReleaseArenaCfg", config);
    }
  }

  #openCuda(cuda: Cuda): void {
    const sessionOptions = this.#makeSessionOptions();
    try {
      appendCudaProvider(this.api, sessionOptions, cuda);
    } catch (cause) {
      this.api.raw("ReleaseSessionOptions", sessionOptions);
      throw cause;
    }
    const memory = describeCudaMemory(this.api, cuda.index);
    this.#shareArena(memory, cuda);
    const tensors = cudaMemory(this.api, cuda, memory);
    const runOptions = cudaRunOptions(this.api);
    this.#places.set("cuda", { memory, sessionOptions, runOptions, tensors });
  }

  #openWebGpu(
    hostMemory: Deno.PointerObject,
    settings: RuntimeOptions["webGpuSettings"],
  ): void {
    const { api, env } = this;
    using failed = new DisposableStack();
    const sessionOptions = this.#makeSessionOptions();
    failed.defer(() => api.raw("ReleaseSessionOptions", sessionOptions));
    appendWebGpuProvider(api, sessionOptions, { settings });
    const memory = describeWebGpuMemory(api);
    failed.defer(() => api.raw("ReleaseMemoryInfo", memory));
    const log = deviceLog();
    const budget = new MemoryBudget(() => webGpuMemory(Deno.build));
    this.#webgpu = new WebGpu({ api, env, sessionOptions, hostMemory, memory, log, budget });
    failed.move();
    const tensors = this.#webgpu;
    this.#places.set("webgpu", { memory, sessionOptions, runOptions: null, tensors });
  }

  #makeSessionOptions(): Deno.PointerObject {
    const { api } = this;
    const what = "set session options";
    const options = api.create("CreateSessionOptions", what);
    api.call("DisablePerSessionThreads", what, options);
    api.call("DisableMemPattern", what, options);
    // Level 1 folds constants and drops no-ops; from level 2 on nodes that ortune wrote on purpose
    // are rewritten.
    api.call("SetSessionGraphOptimizationLevel", what, options, 1);
    for (
      const [key, value] of [
        ["session.use_env_allocators", "1"],
        ["session.set_denormal_as_zero", "1"],
      ]
    ) {
      api.call("AddSessionConfigEntry", what, options, cString(key), cString(value));
    }
    return options;
  }

  /** Whether this thread flushes denormals: a subnormal double times one is zero then. */
  get flushesDenormals(): boolean {
    const subnormal = new Float64Array(new BigUint64Array([1n << 40n]).buffer);
    subnormal[0] *= 1;
    return new BigUint64Array(subnormal.buffer)[0] === 0n;
  }

  /** Releases ONNX Runtime; dispose of its sessions and tensors first. */
  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#webgpu?.[Symbol.dispose]();
    for (const { memory, sessionOptions, runOptions } of this.#places.values()) {
      this.api.raw("ReleaseSessionOptions", sessionOptions);
      this.api.raw("ReleaseMemoryInfo", memory);
      if (runOptions) this.api.raw("ReleaseRunOptions", runOptions);
    }
    this.api.raw("ReleaseEnv", this.env);
    this.cuda?.[Symbol.dispose]();
  }
}
