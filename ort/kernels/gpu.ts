/**
 * A GPU that ortune's own kernels run on, or the reason why there is none.
 *
 * In: where the driver and NVRTC are. Out: modules, compiled once a process (and once a machine,
 * with a cache folder).
 *
 * @module
 */

import { cachedCompile } from "./cubin_cache.ts";
import { CudaDriver, type CudaModule } from "./driver.ts";
import { type Compile, type KernelSource, Nvrtc } from "./nvrtc.ts";

/** Where things are. */
export interface GpuOptions {
  /**
   * Number of the device.
   * @default 0
   */
  readonly device?: number;
  /** Path of libnvrtc, where the system's loader does not find it. */
  readonly nvrtcLibrary?: string;
  /**
   * Name or path of libcuda.
   * @default "libcuda.so.1"
   */
  readonly driverLibrary?: string;
  /** Folder to keep compiled kernels in; without it each process compiles them anew. */
  readonly cacheDir?: string;
  /**
   * Whether each launch waits until its kernel is done, so that a fault is told of with the kernel's name:
   * slow, for debugging.
   * @default false
   */
  readonly synchronous?: boolean;
}

/**
 * Whether own kernels can run, and if not, why: callers then use the stock operators.
 *
 * @example
 * ```ts
 * import { kernelsAvailable } from "@ortune/ortune/unstable-ort";
 * import assert from "node:assert/strict";
 *
 * const { available, reason } = kernelsAvailable({ driverLibrary: "/nowhere/libcuda.so.1" });
 * assert.equal(available, false);
 * assert.match(reason!, /Cannot open the CUDA driver: .*nowhere/);
 * ```
 */
export function kernelsAvailable(
  options: GpuOptions = {},
): { readonly available: boolean; readonly reason?: string } {
  try {
    openGpu(options)[Symbol.dispose]();
    return { available: true };
  } catch (error) {
    return { available: false, reason: error instanceof Error ? error.message : String(error) };
  }
}

/**
 * Opens driver and compiler.
 *
 * @example
 * ```ts
 * import { openGpu } from "@ortune/ortune/unstable-ort";
 * import assert from "node:assert/strict";
 *
 * assert.throws(
 *   () => openGpu({ driverLibrary: "/nowhere/libcuda.so.1" }),
 *   /Cannot open the CUDA driver: .*nowhere/,
 * );
 * ```
 *
 * @throws {Error} where either is missing, with what was tried
 */
export function openGpu(
  { device = 0, nvrtcLibrary, driverLibrary, cacheDir, synchronous }: GpuOptions = {},
): Gpu {
  const driver = new CudaDriver({ device, library: driverLibrary, synchronous });
  try {
    const nvrtc = new Nvrtc(nvrtcLibrary);
    const compile: Compile = (source, architecture) => nvrtc.compile(source, architecture);
    return new Gpu(
      driver,
      cacheDir ? cachedCompile(compile, nvrtc.version, cacheDir) : compile,
      nvrtc,
    );
  } catch (error) {
    driver[Symbol.dispose]();
    throw error;
  }
}

/**
 * A device with a compiler for it. Dispose of it after everything that was loaded is idle.
 *
 * @example
 * ```ts
 * import { kernelsAvailable, openGpu } from "@ortune/ortune/unstable-ort";
 * import assert from "node:assert/strict";
 *
 * if (kernelsAvailable().available) {
 *   using gpu = openGpu();
 *   assert.ok(gpu.multiprocessors > 0);
 * }
 * ```
 */
export class Gpu implements Disposable {
  readonly #driver: CudaDriver;
  readonly #compile: Compile;
  readonly #nvrtc: Disposable | undefined;
  readonly #modules = new Map<string, Promise<CudaModule>>();
  readonly #loaded: CudaModule[] = [];

  /** Takes over driver and compiler; {@linkcode openGpu} makes both. */
  constructor(driver: CudaDriver, compile: Compile, nvrtc?: Disposable) {
    this.#driver = driver;
    this.#compile = compile;
    this.#nvrtc = nvrtc;
  }

  /** Streaming multiprocessors of the device. */
  get multiprocessors(): number {
    return this.#driver.multiprocessors;
  }

  /** Compiles and loads a source; the same source is loaded once, unless that failed. */
  load(source: KernelSource): Promise<CudaModule> {
    const known = this.#modules.get(source.code);
    if (known) return known;
    const loading = this.#load(source);
    this.#modules.set(source.code, loading);
    // A failure is not kept: the caller hears of it, and may try again.
    loading.catch(() => this.#modules.delete(source.code));
    return loading;
  }

  async #load(source: KernelSource): Promise<CudaModule> {
    const image = await this.#compile(source, this.#driver.architecture);
    const module = this.#driver.load(new Uint8Array(image));
    this.#loaded.push(module);
    return module;
  }

  /** Unloads all and gives the device back. */
  [Symbol.dispose](): void {
    for (const module of this.#loaded) module[Symbol.dispose]();
    this.#driver[Symbol.dispose]();
    this.#nvrtc?.[Symbol.dispose]();
  }
}
