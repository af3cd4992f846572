/**
 * The CUDA driver by Deno FFI: loads machine code into a device's primary context, which is the one
 * that ONNX Runtime uses, and launches it on a stream of the caller's.
 *
 * In: images, device pointers, sizes. Out: launches, in the stream's order.
 * https://docs.nvidia.com/cuda/cuda-driver-api/
 */

import { cString, openLibrary, Out } from "./open_library.ts";

const SYMBOLS = {
  cuInit: { parameters: ["u32"], result: "i32" },
  cuGetErrorName: { parameters: ["i32", "buffer"], result: "i32" },
  cuDeviceGet: { parameters: ["buffer", "i32"], result: "i32" },
  cuDeviceGetAttribute: { parameters: ["buffer", "i32", "i32"], result: "i32" },
  cuDevicePrimaryCtxRetain: { parameters: ["buffer", "i32"], result: "i32" },
  cuDevicePrimaryCtxRelease_v2: { parameters: ["i32"], result: "i32" },
  cuCtxSetCurrent: { parameters: ["pointer"], result: "i32" },
  cuModuleLoadData: { parameters: ["buffer", "buffer"], result: "i32" },
  cuModuleUnload: { parameters: ["pointer"], result: "i32" },
  cuModuleGetFunction: { parameters: ["buffer", "pointer", "buffer"], result: "i32" },
  cuFuncSetAttribute: { parameters: ["pointer", "i32", "i32"], result: "i32" },
  cuStreamSynchronize: { parameters: ["pointer"], result: "i32" },
  cuLaunchKernel: {
    parameters: [
      "pointer",
      "u32",
      "u32",
      "u32",
      "u32",
      "u32",
      "u32",
      "u32",
      "pointer",
      "buffer",
      "pointer",
    ],
    result: "i32",
  },
} as const;

type Native = Deno.DynamicLibrary<typeof SYMBOLS>;

// CUdevice_attribute and CUfunction_attribute, cuda.h.
const MULTIPROCESSORS = 16;
const CAPABILITY_MAJOR = 75;
const CAPABILITY_MINOR = 76;
const MAX_DYNAMIC_SHARED = 8;
// More than this a kernel must ask for.
const SHARED_BY_DEFAULT = 48 << 10;
// The kernels use bfloat16 tensor cores and asynchronous copies.
const OLDEST_CAPABILITY = 80;

/** What a kernel takes, as it stands in its signature. */
export type ParameterType = "pointer" | "i64" | "i32" | "u32" | "f32" | "f64";

/** A launch's place and size. */
export interface LaunchOptions {
  /** The stream's address (CUstream); 0n is the default stream. */
  readonly stream: bigint;
  /** Blocks: x, then y and z. */
  readonly grid: readonly [number, number?, number?];
  /** Threads a block. */
  readonly block: number;
  /**
   * Bytes of dynamic shared memory a block.
   * @default 0
   */
  readonly sharedBytes?: number;
}

/** A device of this machine, ready for kernels. */
export class CudaDriver implements Disposable {
  /** As NVRTC names it: `sm_90`. */
  readonly architecture: string;
  /** Streaming multiprocessors of the device. */
  readonly multiprocessors: number;
  readonly #library: Native;
  readonly #device: number;
  readonly #context: Deno.PointerValue;
  readonly #synchronous: boolean;

  /**
   * Opens libcuda and retains the device's primary context.
   *
   * @param library name or path of libcuda
   * @param synchronous whether each launch waits, so that a fault names its kernel; for debugging
   * @throws {Error} without driver or device, or on one older than Ampere
   */
  constructor(
    { device = 0, library = "libcuda.so.1", synchronous = false }: {
      device?: number;
      library?: string;
      synchronous?: boolean;
    } = {},
  ) {
    this.#synchronous = synchronous;
    this.#library = openLibrary("the CUDA driver", [library], SYMBOLS).library;
    const native = this.#library.symbols;
    try {
      check(this.#library, native.cuInit(0), "start the CUDA driver");
      const handle = new Out();
      check(this.#library, native.cuDeviceGet(handle.bytes, device), `use CUDA device ${device}`);
      this.#device = handle.int;
      const capability = 10 * this.#attribute(CAPABILITY_MAJOR) + this.#attribute(CAPABILITY_MINOR);
      if (capability < OLDEST_CAPABILITY) {
        throw new Error(
          `Cannot run kernels on CUDA device ${device}: its compute capability is ` +
            `${capability / 10}, and they need 8.0 (Ampere) or newer`,
        );
      }
      this.architecture = `sm_${capability}`;
      this.multiprocessors = this.#attribute(MULTIPROCESSORS);
      const context = new Out();
      check(
        this.#library,
        native.cuDevicePrimaryCtxRetain(context.bytes, this.#device),
        `retain the context of CUDA device ${device}`,
      );
      this.#context = context.pointer;
    } catch (error) {
      this.#library.close();
      throw error;
    }
  }

  #attribute(attribute: number): number {
    const value = new Out();
    check(
      this.#library,
      this.#library.symbols.cuDeviceGetAttribute(value.bytes, attribute, this.#device),
      "ask for a device attribute",
    );
    return value.int;
  }

  /** Loads a cubin. */
  load(image: Uint8Array<ArrayBuffer>): CudaModule {
    const native = this.#library.symbols;
    const use = (): void =>
      check(this.#library, native.cuCtxSetCurrent(this.#context), "use the device's context");
    use();
    const module = new Out();
    check(this.#library, native.cuModuleLoadData(module.bytes, image), "load a compiled kernel");
    return new CudaModule(this.#library, module.pointer, { use, synchronous: this.#synchronous });
  }

  /** Gives the context back; modules must be unloaded before. The library stays mapped. */
  [Symbol.dispose](): void {
    this.#library.symbols.cuDevicePrimaryCtxRelease_v2(this.#device);
    this.#library.close();
  }
}

/** Machine code in a device's memory. */
export class CudaModule implements Disposable {
  readonly #library: Native;
  readonly #module: Deno.PointerValue;
  readonly #how: LaunchContext;

  /** Made by {@linkcode CudaDriver.load}. */
  constructor(library: Native, module: Deno.PointerValue, how: LaunchContext) {
    this.#library = library;
    this.#module = module;
    this.#how = how;
  }

  /** The kernel of that name, which takes `parameters`. */
  kernel(name: string, parameters: readonly ParameterType[]): CudaKernel {
    const found = new Out();
    check(
      this.#library,
      this.#library.symbols.cuModuleGetFunction(found.bytes, this.#module, cString(name)),
      `find kernel ${name}`,
    );
    return new CudaKernel(this.#library, { name, pointer: found.pointer, parameters }, this.#how);
  }

  /** Unloads the code; its kernels must not be launched any more. */
  [Symbol.dispose](): void {
    this.#how.use();
    this.#library.symbols.cuModuleUnload(this.#module);
  }
}

/** How kernels are launched on a device. */
interface LaunchContext {
  /** Makes the device's context the current one. */
  readonly use: () => void;
  /** Whether each launch waits. */
  readonly synchronous: boolean;
}

/** A kernel that can be launched. */
export class CudaKernel {
  readonly #library: Native;
  readonly #kernel: {
    readonly name: string;
    readonly pointer: Deno.PointerValue;
    readonly parameters: readonly ParameterType[];
  };
  readonly #how: LaunchContext;
  // The driver copies the values at the launch: one place for them serves every launch.
  readonly #values: DataView<ArrayBuffer>;
  readonly #pointers: BigUint64Array<ArrayBuffer>;
  #sharedBytes = SHARED_BY_DEFAULT;

  /** The kernel's own name. */
  get name(): string {
    return this.#kernel.name;
  }

  /** Made by {@linkcode CudaModule.kernel}. */
  constructor(
    library: Native,
    kernel: { name: string; pointer: Deno.PointerValue; parameters: readonly ParameterType[] },
    how: LaunchContext,
  ) {
    this.#library = library;
    this.#kernel = kernel;
    this.#how = how;
    this.#values = new DataView(new ArrayBuffer(8 * kernel.parameters.length));
    const base = Deno.UnsafePointer.value(Deno.UnsafePointer.of(this.#values));
    this.#pointers = BigUint64Array.from(kernel.parameters, (_, i) => base + BigInt(8 * i));
  }

  /**
   * Puts the kernel on the stream and returns at once; on a synchronous device, when it is done.
   *
   * @param values one a parameter: addresses as bigint, numbers as number
   * @throws {Error} where the driver refuses
   */
  launch(
    { stream, grid: [x, y = 1, z = 1], block, sharedBytes = 0 }: LaunchOptions,
    values: readonly (bigint | number)[],
  ): void {
    const { name, pointer, parameters } = this.#kernel;
    if (values.length !== parameters.length) {
      throw new RangeError(
        `Cannot launch ${name}: it takes ${parameters.length} values, got ${values.length}`,
      );
    }
    if (x === 0 || y === 0 || z === 0) return;
    parameters.forEach((type, i) => SET[type](this.#values, 8 * i, values[i]));
    const native = this.#library.symbols;
    this.#how.use();
    const queue = Deno.UnsafePointer.create(stream);
    if (this.#how.synchronous) this.#wait(queue, `run what was queued before ${name}`);
    if (sharedBytes > this.#sharedBytes) {
      check(
        this.#library,
        native.cuFuncSetAttribute(pointer, MAX_DYNAMIC_SHARED, sharedBytes),
        `give ${name} ${sharedBytes} bytes of shared memory a block`,
      );
      this.#sharedBytes = sharedBytes;
    }
    const status = native.cuLaunchKernel(
      pointer,
      x,
      y,
      z,
      block,
      1,
      1,
      sharedBytes,
      queue,
      this.#pointers,
      null,
    );
    check(this.#library, status, `launch ${name} on a grid of ${x}×${y}×${z} blocks`);
    if (this.#how.synchronous) this.#wait(queue, `run ${name} on a grid of ${x}×${y}×${z} blocks`);
  }

  /** Waits for the stream: a kernel's fault is told by what is called after it. */
  #wait(stream: Deno.PointerValue, what: string): void {
    check(this.#library, this.#library.symbols.cuStreamSynchronize(stream), what);
  }
}

const SET: Readonly<
  Record<ParameterType, (to: DataView, offset: number, value: bigint | number) => void>
> = {
  pointer: (to, offset, value) => to.setBigUint64(offset, BigInt(value), true),
  i64: (to, offset, value) => to.setBigInt64(offset, BigInt(value), true),
  i32: (to, offset, value) => to.setInt32(offset, Number(value), true),
  u32: (to, offset, value) => to.setUint32(offset, Number(value), true),
  f32: (to, offset, value) => to.setFloat32(offset, Number(value), true),
  f64: (to, offset, value) => to.setFloat64(offset, Number(value), true),
};

function check(library: Native, status: number, what: string): void {
  if (status === 0) return;
  const name = new Out();
  library.symbols.cuGetErrorName(status, name.bytes);
  const text = name.pointer ? Deno.UnsafePointerView.getCString(name.pointer) : "unknown";
  throw new Error(`Cannot ${what}: ${text} (CUDA error ${status})`);
}
