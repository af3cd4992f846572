/**
 * A stream beside the one that computes, and events that put both in order: the CUDA driver by FFI.
 *
 * In: a device and the stream that computes. Out: waits of one stream for the other.
 * https://docs.nvidia.com/cuda/cuda-driver-api/
 */

// CU_STREAM_NON_BLOCKING, CU_EVENT_DISABLE_TIMING and CUDA_ERROR_NOT_READY of cuda.h.
const NON_BLOCKING = 1;
const DISABLE_TIMING = 2;
const NOT_READY = 600;

const SYMBOLS = {
  cuInit: { parameters: ["u32"], result: "i32" },
  cuGetErrorName: { parameters: ["i32", "buffer"], result: "i32" },
  cuDeviceGet: { parameters: ["buffer", "i32"], result: "i32" },
  cuDevicePrimaryCtxRetain: { parameters: ["buffer", "i32"], result: "i32" },
  cuDevicePrimaryCtxRelease_v2: { parameters: ["i32"], result: "i32" },
  cuCtxSetCurrent: { parameters: ["usize"], result: "i32" },
  cuStreamCreate: { parameters: ["buffer", "u32"], result: "i32" },
  cuStreamDestroy_v2: { parameters: ["usize"], result: "i32" },
  cuStreamWaitEvent: { parameters: ["usize", "usize", "u32"], result: "i32" },
  cuEventCreate: { parameters: ["buffer", "u32"], result: "i32" },
  cuEventDestroy_v2: { parameters: ["usize"], result: "i32" },
  cuEventRecord: { parameters: ["usize", "usize"], result: "i32" },
  cuEventQuery: { parameters: ["usize"], result: "i32" },
} as const;

type CudaCall = Exclude<keyof typeof SYMBOLS, "cuGetErrorName">;

/** The device whose streams are put in order. */
export interface CudaStreamsOptions {
  /** Index of the device. */
  readonly device: number;
  /** Address of the stream that computes, of the device's primary context (cudaStream_t or CUstream). */
  readonly computeStream: bigint;
  /** Name or path of the driver's library. @default libcuda.so.1 */
  readonly driver?: string;
}

/** A stream for collectives. */
export class CudaStreams implements Disposable {
  /** Address of the stream for collectives. */
  readonly stream: bigint;
  readonly #symbols: Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];
  readonly #device: number;
  readonly #context: bigint;
  readonly #computeStream: bigint;
  /** Recorded where the compute stream is, and where the collectives are. */
  readonly #computed: bigint;
  readonly #communicated: bigint;

  /** @throws {Error} where the driver is missing or refuses */
  constructor({ device, computeStream, driver = "libcuda.so.1" }: CudaStreamsOptions) {
    this.#computeStream = computeStream;
    try {
      this.#symbols = Deno.dlopen(driver, SYMBOLS).symbols;
    } catch (cause) {
      if (cause instanceof Deno.errors.NotCapable) throw cause;
      throw new Error(
        `Cannot use NCCL: NVIDIA's driver library ${driver} is missing; install the driver of your GPU`,
        { cause },
      );
    }
    this.#call("cuInit", 0);
    this.#device = Number(this.#out("cuDeviceGet", device));
    this.#context = this.#out("cuDevicePrimaryCtxRetain", this.#device);
    this.use();
    this.stream = this.#out("cuStreamCreate", NON_BLOCKING);
    this.#computed = this.#out("cuEventCreate", DISABLE_TIMING);
    this.#communicated = this.#out("cuEventCreate", DISABLE_TIMING);
  }

  /** Makes the device the current one of this thread, as NCCL's calls need it. */
  use(): void {
    this.#call("cuCtxSetCurrent", this.#context);
  }

  /** Lets the next collectives wait for what the compute stream has queued. */
  afterCompute(): void {
    this.#call("cuEventRecord", this.#computed, this.#computeStream);
    this.#call("cuStreamWaitEvent", this.stream, this.#computed, 0);
  }

  /** Lets the compute stream wait for the collectives so far. */
  beforeCompute(): void {
    this.#call("cuEventRecord", this.#communicated, this.stream);
    this.#call("cuStreamWaitEvent", this.#computeStream, this.#communicated, 0);
  }

  /** Marks the collectives so far; {@linkcode CudaStreams.isDone} then tells of them. */
  mark(): void {
    this.#call("cuEventRecord", this.#communicated, this.stream);
  }

  /** Whether all that was marked last is done. */
  isDone(): boolean {
    const code = this.#symbols.cuEventQuery(this.#communicated);
    if (code !== NOT_READY) this.#check("cuEventQuery", code);
    return code === 0;
  }

  /** Frees stream and events, after what they were used for is done. */
  [Symbol.dispose](): void {
    this.use();
    this.#symbols.cuEventDestroy_v2(this.#computed);
    this.#symbols.cuEventDestroy_v2(this.#communicated);
    this.#symbols.cuStreamDestroy_v2(this.stream);
    this.#symbols.cuDevicePrimaryCtxRelease_v2(this.#device);
  }

  /** A call whose first argument takes its result. */
  #out(name: CudaCall, ...args: readonly (number | bigint)[]): bigint {
    const out = new BigUint64Array(1);
    this.#call(name, out, ...args);
    return out[0];
  }

  #call(name: CudaCall, ...args: readonly unknown[]): void {
    this.#check(name, (this.#symbols[name] as (...args: readonly unknown[]) => number)(...args));
  }

  #check(name: CudaCall, code: number): void {
    if (code === 0) return;
    const text = new BigUint64Array(1);
    this.#symbols.cuGetErrorName(code, text);
    const pointer = Deno.UnsafePointer.create(text[0]);
    const says = pointer ? Deno.UnsafePointerView.getCString(pointer) : "unknown";
    throw new Error(`Cannot put streams in order: CUDA's ${name} says: ${says} (error ${code})`);
  }
}
