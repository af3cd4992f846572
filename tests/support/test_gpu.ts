/**
 * A GPU that is this machine's processor: own kernels compiled for the host, behind a stand-in for
 * libcuda, so that a test goes the whole way from a wrapper through cuLaunchKernel to the numbers.
 * With ORTUNE_TEST_GPU=1 it is CUDA device 0 instead, and the same tests check the real thing.
 *
 * In: nothing but gcc and g++, or a GPU and NVRTC. Out: a `Gpu`, memory that both sides reach, the
 * launches made.
 */

import { isDeepStrictEqual } from "node:util";
import { cachedCompile } from "../../ort/kernels/cubin_cache.ts";
import { CudaDriver } from "../../ort/kernels/driver.ts";
import type { ElementType } from "../../ort/kernels/element.ts";
import { Gpu } from "../../ort/kernels/gpu.ts";
import { type Compile, Nvrtc } from "../../ort/kernels/nvrtc.ts";
import { Out } from "../../ort/kernels/open_library.ts";
import { assertClose, type AssertCloseOptions } from "../../ort/tensor/assert_close.ts";
import { bfloat16ToFloat32, float32ToBfloat16 } from "../../ort/tensor/half.ts";
import { canRun } from "./can_run.ts";
import { repositoryPath } from "./run_script.ts";

/** One launch as the stand-in saw it. */
export interface LaunchRecord {
  readonly name: string;
  readonly stream: bigint;
  readonly grid: readonly number[];
  readonly block: readonly number[];
  readonly sharedBytes: number;
}

/** What kernels run on. */
export interface TestGpu extends Disposable {
  readonly gpu: Gpu;
  /** A stream that launches may name. */
  readonly stream: bigint;
  /** In which order the threads of a block run, as host_cuda.h says; nothing on a real GPU. */
  setOrder(order: number): void;
}

/** The stand-in and what it knows. */
export interface HostGpu extends TestGpu {
  /** Path of the stand-in for libcuda. */
  readonly driverLibrary: string;
  /** Turns kernels into shared objects. */
  readonly compile: Compile;
  /** The launches since the last call. */
  records(): LaunchRecord[];
  /** How many devices there are, of which compute capability (90 is 9.0). */
  setDevices(count: number, capability: number): void;
  /** Lets every launch of the kernel of that name fault, as whoever waits next is told; none, if empty. */
  setFault(name: string): void;
  /** How often somebody waited for a stream since the last call. */
  waits(): number;
  /** How often the primary context is held. */
  retained(): number;
}

const RECORD_BYTES = 8 + 7 * 4 + 64 + 4;

const REAL = Deno.env.get("ORTUNE_TEST_GPU") === "1";

/**
 * How many times as far off sums of exponentials may be as here: on a GPU tensor cores cut off what the last
 * place does not hold, and ex2.approx is 2 units in it off, of which the processor's stand-ins know nothing.
 */
export const HARDWARE_SLACK: number = REAL ? 4 : 1;

/** Whether {@linkcode hostGpu} can work here; a test that needs it is ignored where not. */
const hasCompilers: boolean = Deno.build.os === "linux" && await canRun("gcc", ["--version"]) &&
  await canRun("g++", ["--version"]);

/** A folder where processes of tests keep compiled kernels for each other; undefined where each compiles its own. */
const SHARED = Deno.env.get("ORTUNE_HOST_KERNELS");
const HEADER = repositoryPath("tests/support/host_cuda.h");

async function build(command: string, args: readonly string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(command, { args: [...args] }).output();
  if (!success) throw new Error(`${command} failed:\n${new TextDecoder().decode(stderr)}`);
}

const MEMORY = {
  cuDevicePrimaryCtxRetain: { parameters: ["buffer", "i32"], result: "i32" },
  cuDevicePrimaryCtxRelease_v2: { parameters: ["i32"], result: "i32" },
  cuCtxSetCurrent: { parameters: ["pointer"], result: "i32" },
  cuCtxSynchronize: { parameters: [], result: "i32" },
  cuMemHostAlloc: { parameters: ["buffer", "usize", "u32"], result: "i32" },
  cuMemFreeHost: { parameters: ["pointer"], result: "i32" },
} as const;

/** Host memory that the device reaches under the same address, for as long as tests run. */
class Memory {
  readonly #library: Deno.DynamicLibrary<typeof MEMORY>;
  readonly #held: Deno.PointerValue[] = [];

  constructor(driverLibrary: string) {
    this.#library = Deno.dlopen(driverLibrary, MEMORY);
    const context = new Out();
    this.#check(this.#library.symbols.cuDevicePrimaryCtxRetain(context.bytes, 0));
    this.#check(this.#library.symbols.cuCtxSetCurrent(context.pointer));
  }

  allocate(size: number): Uint8Array<ArrayBuffer> {
    const pointer = new Out();
    this.#check(this.#library.symbols.cuMemHostAlloc(pointer.bytes, BigInt(size), 0));
    this.#held.push(pointer.pointer);
    return new Uint8Array(Deno.UnsafePointerView.getArrayBuffer(pointer.pointer!, size));
  }

  /** Waits for all launches, and throws what went wrong in one. */
  synchronize(): void {
    this.#check(this.#library.symbols.cuCtxSynchronize());
  }

  free(): void {
    for (const pointer of this.#held) this.#library.symbols.cuMemFreeHost(pointer);
    this.#library.symbols.cuDevicePrimaryCtxRelease_v2(0);
    this.#library.close();
  }

  #check(status: number): void {
    if (status !== 0) throw new Error(`The test's memory failed with CUDA error ${status}`);
  }
}

let memory: Memory | undefined;

function atUnload(...steps: (() => void)[]): () => void {
  const dispose = (): void => {
    globalThis.removeEventListener("unload", dispose);
    for (const step of steps) step();
  };
  globalThis.addEventListener("unload", dispose);
  return dispose;
}

function realGpu(): TestGpu {
  const nvrtc = new Nvrtc(Deno.env.get("ORTUNE_NVRTC_LIB"));
  const gpu = new Gpu(
    new CudaDriver(),
    (source, architecture) => nvrtc.compile(source, architecture),
    nvrtc,
  );
  const own = memory = new Memory("libcuda.so.1");
  return {
    gpu,
    stream: 0n,
    setOrder: (): void => {},
    [Symbol.dispose]: atUnload(() => own.free(), () => gpu[Symbol.dispose]()),
  };
}

/** What kernels can run on here, if on anything; made once for a file of tests, as the stand-in. */
export async function testGpu(): Promise<TestGpu | undefined> {
  return REAL ? realGpu() : await hostGpu();
}

/**
 * Builds the stand-in and opens it, unless a real GPU is asked for or there is no compiler. Made
 * once for a file of tests, outside of them: it lasts until the file ends.
 */
export async function hostGpu(): Promise<HostGpu | undefined> {
  if (REAL || !hasCompilers) return undefined;
  const folder = await Deno.makeTempDir({ prefix: "ortune-" });
  const driverLibrary = `${folder}/libcuda.so`;
  const source = repositoryPath("tests/support/stand_in_libcuda.c");
  await build("gcc", ["-O1", "-shared", "-fPIC", "-o", driverLibrary, source]);
  const library = Deno.dlopen(driverLibrary, {
    standInDevices: { parameters: ["i32", "i32"], result: "void" },
    standInRetained: { parameters: [], result: "i32" },
    standInRecords: { parameters: ["buffer", "u32"], result: "u32" },
    standInFault: { parameters: ["buffer"], result: "void" },
    standInWaits: { parameters: [], result: "u32" },
    standInSetOrder: { parameters: ["u32"], result: "i32" },
  });
  let made = 0;
  const compileLibrary: Compile = async ({ name, code }) => {
    const kernels = code.matchAll(
      /extern "C" __global__ void (?:__launch_bounds__\([^)]*\)\s+)?(\w+)\(/g,
    );
    const path = `${folder}/${name}_${made++}`;
    await Deno.writeTextFile(
      `${path}.cpp`,
      [
        `#include "${HEADER}"`,
        code,
        ...Array.from(kernels, ([, kernel]) => `HOST_KERNEL(${kernel})`),
      ].join("\n"),
    );
    // Without contraction, so that processors with and without fused multiply-add agree.
    await build("g++", [
      "-std=c++17",
      "-O1",
      "-shared",
      "-fPIC",
      "-ffp-contract=off",
      "-fno-strict-aliasing",
      // C's own headers, without those of C++ behind them: a sixth of the compiler's time.
      "-D_GLIBCXX_INCLUDE_NEXT_C_HEADERS",
      "-U_FORTIFY_SOURCE",
      "-Wno-unknown-pragmas",
      "-o",
      `${path}.so`,
      `${path}.cpp`,
    ]);
    return await Deno.readFile(`${path}.so`);
  };
  const compiled = SHARED === undefined
    ? compileLibrary
    : cachedCompile(compileLibrary, await Deno.readTextFile(HEADER), SHARED);
  const compile: Compile = async (source, architecture) => {
    // A file of its own, so that the loader takes it for another library, with memory of its own.
    const path = `${folder}/${made++}.so`;
    await Deno.writeFile(path, await compiled(source, architecture));
    return new TextEncoder().encode(`${path}\0`);
  };
  const gpu = new Gpu(new CudaDriver({ library: driverLibrary }), compile);
  const own = memory = new Memory(driverLibrary);
  return {
    gpu,
    stream: 0x7f00_0000_1230n,
    driverLibrary,
    compile,
    records(): LaunchRecord[] {
      const bytes = new Uint8Array(4096 * RECORD_BYTES);
      const count = library.symbols.standInRecords(bytes, 4096);
      return Array.from({ length: count }, (_, i) => {
        const view = new DataView(bytes.buffer, i * RECORD_BYTES, RECORD_BYTES);
        const word = (at: number): number => view.getUint32(8 + 4 * at, true);
        const text = new TextDecoder().decode(
          new Uint8Array(bytes.buffer, i * RECORD_BYTES + 36, 64),
        );
        return {
          name: text.slice(0, text.indexOf("\0")),
          stream: view.getBigUint64(0, true),
          grid: [word(0), word(1), word(2)],
          block: [word(3), word(4), word(5)],
          sharedBytes: word(6),
        };
      });
    },
    setOrder: (order: number): void => void library.symbols.standInSetOrder(order),
    setDevices: (count: number, capability: number): void =>
      library.symbols.standInDevices(count, capability),
    setFault: (name: string): void =>
      library.symbols.standInFault(new TextEncoder().encode(`${name}\0`)),
    waits: (): number => library.symbols.standInWaits(),
    retained: (): number => library.symbols.standInRetained(),
    [Symbol.dispose]: atUnload(
      () => own.free(),
      () => gpu[Symbol.dispose](),
      () => library.close(),
      () => Deno.removeSync(folder, { recursive: true }),
    ),
  };
}

const GUARD = 256;
const CANARY = 0xa5;

/** Memory for kernels, aligned to 256 bytes, with bytes before and after that nobody may touch. */
export class DeviceArray<
  T extends Float32Array | Uint16Array | Uint8Array | Int32Array | Uint32Array | BigInt64Array,
> {
  readonly address: bigint;
  readonly #data: T;
  readonly #all: Uint8Array<ArrayBuffer>;

  /** A copy of `data` where kernels can reach it. */
  constructor(data: T) {
    this.#all = memory!.allocate(data.byteLength + 2 * GUARD).fill(CANARY);
    this.address = Deno.UnsafePointer.value(Deno.UnsafePointer.of(this.#all)) + BigInt(GUARD);
    const make = data.constructor as new (buffer: ArrayBuffer, offset: number, length: number) => T;
    this.#data = new make(this.#all.buffer, GUARD, data.length);
    this.#data.set(data as never);
  }

  /** The memory itself, after all launches so far. */
  get data(): T {
    memory!.synchronize();
    return this.#data;
  }

  /** Throws where a kernel wrote outside. */
  assertGuards(): void {
    const end = GUARD + this.data.byteLength;
    const touched = this.#all.findIndex((byte, i) => byte !== CANARY && (i < GUARD || i >= end));
    if (touched >= 0) {
      throw new Error(`A kernel wrote at byte ${touched - GUARD} of ${this.#data.byteLength}`);
    }
  }
}

/** bfloat16 bits of numbers, rounded to nearest even. */
export function toBfloat16(values: ArrayLike<number>): Uint16Array<ArrayBuffer> {
  const bits = new Uint16Array(values.length);
  float32ToBfloat16(Float32Array.from(values), bits);
  return bits;
}

/** The numbers that bfloat16 bits stand for; other arrays as they are. */
export function toNumbers<T extends ArrayLike<number>>(
  data: T | Uint16Array,
): T | Float32Array<ArrayBuffer> {
  if (!(data instanceof Uint16Array)) return data;
  const values = new Float32Array(data.length);
  bfloat16ToFloat32(data, values);
  return values;
}

/** assertClose() for kernels: with ORTUNE_REPORT=1 it prints the errors. */
export function assertKernel(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  options: AssertCloseOptions,
): void {
  const { maxAbsolute, maxRelative } = assertClose(actual, expected, options);
  if (!Deno.env.get("ORTUNE_REPORT")) return;
  const largest = Array.from(expected).reduce((max, each) => Math.max(max, Math.abs(each)), 0);
  console.log(
    `${options.label}: worst ${maxAbsolute.toExponential(1)} absolute, ` +
      `${maxRelative.toExponential(1)} relative, ${
        (maxAbsolute / largest).toExponential(1)
      } of the largest`,
  );
}

/** Each result is the first one's to the bit; without a difference of megabytes where it is not. */
export function assertSameBits(results: readonly unknown[]): void {
  const other = results.findIndex((each) => !isDeepStrictEqual(each, results[0]));
  if (other < 0) return;
  throw new Error(`Another order of threads, number ${other}, gives other numbers: a race`);
}

/** Memory of one of the kernels' types with these numbers in it, rounded where it must be. */
export function elements(
  type: ElementType,
  values: ArrayLike<number>,
): DeviceArray<Float32Array | Uint16Array> {
  return new DeviceArray(type === "float32" ? Float32Array.from(values) : toBfloat16(values));
}
