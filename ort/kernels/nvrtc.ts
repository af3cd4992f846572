/**
 * NVRTC, NVIDIA's run-time compiler of CUDA C++, by Deno FFI. It needs no GPU and no header.
 *
 * In: source and an architecture. Out: a cubin, machine code for that architecture.
 *
 * The library comes with the CUDA toolkit, or with pip's `nvidia-cuda-nvrtc` in the folder
 * `nvidia/cu13/lib` (CUDA 13) or `nvidia/cuda_nvrtc/lib` (CUDA 12).
 * https://docs.nvidia.com/cuda/nvrtc/
 */

import { cString, openLibrary, Out, pin } from "./open_library.ts";

const SYMBOLS = {
  nvrtcVersion: { parameters: ["buffer", "buffer"], result: "i32" },
  nvrtcGetErrorString: { parameters: ["i32"], result: "pointer" },
  nvrtcCreateProgram: {
    parameters: ["buffer", "buffer", "buffer", "i32", "pointer", "pointer"],
    result: "i32",
  },
  nvrtcDestroyProgram: { parameters: ["buffer"], result: "i32" },
  nvrtcCompileProgram: {
    parameters: ["pointer", "i32", "buffer"],
    result: "i32",
    nonblocking: true,
  },
  nvrtcGetProgramLogSize: { parameters: ["pointer", "buffer"], result: "i32" },
  nvrtcGetProgramLog: { parameters: ["pointer", "buffer"], result: "i32" },
  nvrtcGetCUBINSize: { parameters: ["pointer", "buffer"], result: "i32" },
  nvrtcGetCUBIN: { parameters: ["pointer", "buffer"], result: "i32" },
} as const;

/** Names that the system's loader may know, newest first. */
const LIBRARIES: readonly string[] = ["libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"];

/** CUDA C++ that stands alone. */
export interface KernelSource {
  /** Names it in errors and in the cache. */
  readonly name: string;
  /** The whole text, the prelude included. */
  readonly code: string;
}

/** Turns source into what a driver loads: for `sm_90` and the like. */
export type Compile = (source: KernelSource, architecture: string) => Promise<Uint8Array>;

/** The compiler. Close it by `using`; what it compiled stays valid. */
export class Nvrtc implements Disposable {
  /** `13.0` and the like. */
  readonly version: string;
  readonly #library: Deno.DynamicLibrary<typeof SYMBOLS>;
  #builtins: Deno.DynamicLibrary<Record<never, never>> | undefined;

  /**
   * Opens the library.
   *
   * @param path of libnvrtc, where the system's loader does not find it
   * @throws {Error} where it does not open
   */
  constructor(path?: string) {
    const opened = openLibrary("NVRTC", path ? [path] : LIBRARIES, SYMBOLS);
    this.#library = opened.library;
    const [major, minor] = [new Out(), new Out()];
    this.#check(
      this.#library.symbols.nvrtcVersion(major.bytes, minor.bytes),
      "ask for its version",
    );
    this.version = `${major.int}.${minor.int}`;
    this.#openBuiltins(opened.path);
  }

  /**
   * Compiles to a cubin, on a thread of its own.
   *
   * @throws {Error} with the compiler's log where the source is wrong
   */
  async compile(
    { name, code }: KernelSource,
    architecture: string,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const native = this.#library.symbols;
    const program = new Out();
    this.#check(
      native.nvrtcCreateProgram(program.bytes, cString(code), cString(`${name}.cu`), 0, null, null),
      `take the source of ${name}`,
    );
    try {
      const options = [`--gpu-architecture=${architecture}`, "--std=c++17"].map(cString);
      const pointers = BigUint64Array.from(
        options,
        (option) => Deno.UnsafePointer.value(Deno.UnsafePointer.of(option)),
      );
      const status = await native.nvrtcCompileProgram(program.pointer, options.length, pointers);
      // Named once more, so that both outlive the call, which knows only their addresses.
      options.length = 0;
      pointers.fill(0n);
      if (status !== 0) {
        throw new Error(
          `Cannot compile ${name} for ${architecture} with NVRTC ${this.version}: ` +
            `${this.#message(status)}\n${this.#log(program)}`,
        );
      }
      const size = new Out();
      this.#check(native.nvrtcGetCUBINSize(program.pointer, size.bytes), `measure ${name}`);
      const cubin = new Uint8Array(size.number);
      this.#check(native.nvrtcGetCUBIN(program.pointer, cubin), `give ${name}`);
      return cubin;
    } finally {
      native.nvrtcDestroyProgram(program.bytes);
    }
  }

  #log(program: Out): string {
    const native = this.#library.symbols;
    const size = new Out();
    if (native.nvrtcGetProgramLogSize(program.pointer, size.bytes) !== 0) return "";
    const log = new Uint8Array(size.number);
    native.nvrtcGetProgramLog(program.pointer, log);
    return new TextDecoder().decode(log).replaceAll("\0", "").trim();
  }

  #message(status: number): string {
    const text = this.#library.symbols.nvrtcGetErrorString(status);
    return text ? Deno.UnsafePointerView.getCString(text) : `error ${status}`;
  }

  #check(status: number, what: string): void {
    if (status !== 0) throw new Error(`NVRTC cannot ${what}: ${this.#message(status)}`);
  }

  /**
   * At the first compilation NVRTC opens a library of its own by bare name, which the loader misses
   * where the folder is on no search path. Opened by its path here, it is found by that name.
   */
  #openBuiltins(path: string): void {
    const slash = path.lastIndexOf("/");
    if (slash < 0) return;
    const builtins = `${path.slice(0, slash)}/libnvrtc-builtins.so.${this.version}`;
    try {
      this.#builtins = Deno.dlopen(builtins, {});
      pin(builtins);
    } catch {
      // Then the loader may still find it; if not, compile() tells so.
    }
  }

  /** Closes the library, which stays mapped. */
  [Symbol.dispose](): void {
    this.#library.close();
    this.#builtins?.close();
  }
}
