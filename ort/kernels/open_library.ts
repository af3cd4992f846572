/**
 * Opens a native library that may not be there.
 *
 * In: names or paths to try in turn. Out: the library, or one Error that lists every attempt.
 */

/** A C string, NUL included. */
export function cString(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text + "\0");
}

/** Eight zeroed bytes for a C out parameter. */
export class Out {
  readonly bytes: BigUint64Array<ArrayBuffer> = new BigUint64Array(1);
  /** The bytes read as an unsigned number. */
  get number(): number {
    return Number(this.bytes[0]);
  }
  /** The first four bytes read as a C int. */
  get int(): number {
    return new Int32Array(this.bytes.buffer)[0];
  }
  /** The bytes read as a pointer. */
  get pointer(): Deno.PointerValue {
    return Deno.UnsafePointer.create(this.bytes[0]);
  }
}

/** A library that is open, and the path or name that it was found under. */
export interface OpenLibrary<S extends Deno.ForeignLibraryInterface> {
  readonly path: string;
  readonly library: Deno.DynamicLibrary<S>;
}

/** RTLD_LAZY | RTLD_NODELETE of dlfcn.h. */
const FOR_GOOD = 0x1001;

/**
 * Keeps a library mapped when it is closed. CUDA's have threads and handlers of their own that may run at the
 * process's exit: code that is no longer there would end it with a fault after all is done.
 */
export function pin(path: string): void {
  for (const name of ["libc.so.6", "libdl.so.2"]) {
    try {
      const libc = Deno.dlopen(name, {
        dlopen: { parameters: ["buffer", "i32"], result: "pointer" },
      });
      libc.symbols.dlopen(cString(path), FOR_GOOD);
      libc.close();
      return;
    } catch {
      // Before glibc 2.34 it is in the other one; without either the library is closed as ever.
    }
  }
}

/**
 * Opens the first of `paths` that the system's loader finds.
 *
 * @param what the library in words, for the message
 * @throws {Error} where none opens, or one lacks a symbol
 */
export function openLibrary<const S extends Deno.ForeignLibraryInterface>(
  what: string,
  paths: readonly string[],
  symbols: S,
): OpenLibrary<S> {
  const attempts: string[] = [];
  for (const path of paths) {
    try {
      const library = Deno.dlopen(path, symbols);
      pin(path);
      return { path, library };
    } catch (error) {
      attempts.push(error instanceof Error ? error.message : String(error));
    }
  }
  throw new Error(`Cannot open ${what}: ${attempts.join("; ")}`);
}
