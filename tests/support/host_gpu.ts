/**
 * A GPU that is this machine's processor: own kernels compiled for the host, behind a stand-in for
 * libcuda, so that a test goes the whole way from a wrapper through cuLaunchKernel to the numbers.
 *
 * In: nothing but gcc and g++. Out: a `Gpu`, typed arrays as device memory, the launches made.
 */

import { CudaDriver } from "../../kernels/driver.ts";
import type { ElementType } from "../../kernels/element.ts";
import { Gpu } from "../../kernels/gpu.ts";
import type { Compile } from "../../kernels/nvrtc.ts";
import { assertClose, type AssertCloseOptions } from "../../tensor/assert_close.ts";
import { bfloat16ToFloat32, float32ToBfloat16 } from "../../tensor/half.ts";
import { repositoryPath } from "./run_script.ts";

/** One launch as the stand-in saw it. */
export interface LaunchRecord {
  readonly name: string;
  readonly stream: bigint;
  readonly grid: readonly number[];
  readonly block: readonly number[];
  readonly sharedBytes: number;
}

/** The stand-in and what it knows. */
export interface HostGpu extends Disposable {
  readonly gpu: Gpu;
  /** Path of the stand-in for libcuda. */
  readonly driverLibrary: string;
  /** Turns kernels into shared objects. */
  readonly compile: Compile;
  /** The launches since the last call. */
  records(): LaunchRecord[];
  /** Runs the threads of a block forwards (0), backwards (1) or shuffled (any other number). */
  setOrder(order: number): void;
  /** How many devices there are, of which compute capability (90 is 9.0). */
  setDevices(count: number, capability: number): void;
  /** How often the primary context is held. */
  retained(): number;
}

const RECORD_BYTES = 8 + 7 * 4 + 64 + 4;

async function runs(command: string): Promise<boolean> {
  try {
    return (await new Deno.Command(command, { args: ["--version"], stdout: "null" }).output())
      .success;
  } catch {
    return false;
  }
}

/** Whether {@linkcode hostGpu} can work here; a test that needs it is ignored where not. */
export const hasCompilers: boolean = Deno.build.os === "linux" && await runs("gcc") &&
  await runs("g++");

async function build(command: string, args: readonly string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(command, { args: [...args] }).output();
  if (!success) throw new Error(`${command} failed:\n${new TextDecoder().decode(stderr)}`);
}

/**
 * Builds the stand-in and opens it. Made once for a file of tests, outside of them: it lasts until
 * the file ends, unless it is disposed of earlier.
 */
export async function hostGpu(): Promise<HostGpu> {
  const folder = await Deno.makeTempDir({ prefix: "ortune-" });
  const driverLibrary = `${folder}/libcuda.so`;
  const source = repositoryPath("tests/support/stand_in_libcuda.c");
  await build("gcc", ["-O1", "-shared", "-fPIC", "-o", driverLibrary, source]);
  const library = Deno.dlopen(driverLibrary, {
    standInDevices: { parameters: ["i32", "i32"], result: "void" },
    standInRetained: { parameters: [], result: "i32" },
    standInRecords: { parameters: ["buffer", "u32"], result: "u32" },
    standInSetOrder: { parameters: ["u32"], result: "i32" },
  });
  let made = 0;
  const compile: Compile = async ({ name, code }) => {
    const kernels = code.matchAll(
      /extern "C" __global__ void (?:__launch_bounds__\([^)]*\)\s+)?(\w+)\(/g,
    );
    const path = `${folder}/${name}_${made++}`;
    await Deno.writeTextFile(
      `${path}.cpp`,
      [
        `#include "${repositoryPath("tests/support/host_cuda.h")}"`,
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
      "-U_FORTIFY_SOURCE",
      "-Wno-unknown-pragmas",
      "-o",
      `${path}.so`,
      `${path}.cpp`,
    ]);
    return new TextEncoder().encode(`${path}.so\0`);
  };
  const gpu = new Gpu(new CudaDriver({ library: driverLibrary }), compile);
  const dispose = (): void => {
    globalThis.removeEventListener("unload", dispose);
    gpu[Symbol.dispose]();
    library.close();
    Deno.removeSync(folder, { recursive: true });
  };
  globalThis.addEventListener("unload", dispose);
  return {
    gpu,
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
    retained: (): number => library.symbols.standInRetained(),
    [Symbol.dispose]: dispose,
  };
}

const GUARD = 64;
const CANARY = 0xa5;

/** Memory for kernels, aligned to 64 bytes, with bytes before and after that nobody may touch. */
export class DeviceArray<
  T extends Float32Array | Uint16Array | Uint8Array | Int32Array | Uint32Array | BigInt64Array,
> {
  readonly data: T;
  readonly address: bigint;
  readonly #all: Uint8Array<ArrayBuffer>;
  readonly #start: number;

  /** A copy of `data` where kernels can reach it. */
  constructor(data: T) {
    this.#all = new Uint8Array(data.byteLength + 3 * GUARD).fill(CANARY);
    const base = Deno.UnsafePointer.value(Deno.UnsafePointer.of(this.#all));
    this.#start = GUARD + Number((BigInt(GUARD) - base % BigInt(GUARD)) % BigInt(GUARD));
    this.address = base + BigInt(this.#start);
    const make = data.constructor as new (buffer: ArrayBuffer, offset: number, length: number) => T;
    this.data = new make(this.#all.buffer, this.#start, data.length);
    this.data.set(data as never);
  }

  /** Throws where a kernel wrote outside. */
  assertGuards(): void {
    const end = this.#start + this.data.byteLength;
    const touched = this.#all.findIndex((byte, i) =>
      byte !== CANARY && (i < this.#start || i >= end)
    );
    if (touched >= 0) {
      throw new Error(`A kernel wrote at byte ${touched - this.#start} of ${this.data.byteLength}`);
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

/** Memory of one of the kernels' types with these numbers in it, rounded where it must be. */
export function elements(
  type: ElementType,
  values: ArrayLike<number>,
): DeviceArray<Float32Array | Uint16Array> {
  return new DeviceArray(type === "float32" ? Float32Array.from(values) : toBfloat16(values));
}
