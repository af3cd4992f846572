/**
 * NVIDIA's collective library by FFI: https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/api.html
 *
 * In: perhaps a path. Out: its functions, or what to install.
 */

import { loadFault } from "../../internal/load_fault.ts";

/** Bytes of ncclUniqueId, which ncclCommInitRank takes by value. */
export const UNIQUE_ID_BYTES = 128;

// ncclDataType_t, ncclRedOp_t and ncclResult_t of nccl.h.
/** ncclUint8. */
export const NCCL_UINT8 = 1;
/** ncclFloat32. */
export const NCCL_FLOAT32 = 7;
/** ncclSum. */
export const NCCL_SUM = 0;
/** ncclInProgress: no error. */
export const NCCL_IN_PROGRESS = 7;

const SYMBOLS = {
  ncclGetVersion: { parameters: ["buffer"], result: "i32" },
  ncclGetErrorString: { parameters: ["i32"], result: "pointer" },
  // Since NCCL 2.13.
  ncclGetLastError: { parameters: ["usize"], result: "pointer", optional: true },
  ncclGetUniqueId: { parameters: ["buffer"], result: "i32" },
  ncclCommInitRank: {
    parameters: ["buffer", "i32", {
      // 16 numbers: a structure of this size is passed in memory, whatever is in it.
      struct: [
        "u64",
        "u64",
        "u64",
        "u64",
        "u64",
        "u64",
        "u64",
        "u64",
        "u64",
        "u64",
        "u64",
        "u64",
        "u64",
        "u64",
        "u64",
        "u64",
      ],
    }, "i32"],
    result: "i32",
  },
  ncclCommDestroy: { parameters: ["usize"], result: "i32" },
  ncclCommAbort: { parameters: ["usize"], result: "i32" },
  ncclCommGetAsyncError: { parameters: ["usize", "buffer"], result: "i32" },
  ncclGroupStart: { parameters: [], result: "i32" },
  ncclGroupEnd: { parameters: [], result: "i32" },
  ncclAllReduce: {
    parameters: ["usize", "usize", "usize", "i32", "i32", "usize", "usize"],
    result: "i32",
  },
  ncclReduce: {
    parameters: ["usize", "usize", "usize", "i32", "i32", "i32", "usize", "usize"],
    result: "i32",
  },
  ncclReduceScatter: {
    parameters: ["usize", "usize", "usize", "i32", "i32", "usize", "usize"],
    result: "i32",
  },
  ncclAllGather: {
    parameters: ["usize", "usize", "usize", "i32", "usize", "usize"],
    result: "i32",
  },
  ncclBroadcast: {
    parameters: ["usize", "usize", "usize", "i32", "i32", "usize", "usize"],
    result: "i32",
  },
} as const;

/** NCCL's functions. */
export type NcclSymbols = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

/** The library. */
export interface NcclLibrary {
  /** Such as `NCCL 2.27.3`. */
  readonly name: string;
  readonly symbols: NcclSymbols;
}

/**
 * Opens NCCL. It is never closed, as it has threads of its own.
 *
 * @throws {Error} where it is missing, with the package to install
 */
export function openNcclLibrary(path = "libnccl.so.2"): NcclLibrary {
  let library: Deno.DynamicLibrary<typeof SYMBOLS>;
  try {
    library = Deno.dlopen(path, SYMBOLS);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotCapable) throw cause;
    throw new Error(
      `Cannot use NCCL: ${path} is missing (${
        loadFault(cause)
      }); install \`apt install libnccl2\` from NVIDIA's ` +
        "repository, or `pip install nvidia-nccl-cu13` (for CUDA 12 nvidia-nccl-cu12) with its lib folder " +
        "in LD_LIBRARY_PATH",
      { cause },
    );
  }
  const version = new Int32Array(1);
  library.symbols.ncclGetVersion(version);
  // NCCL_VERSION of nccl.h, since 2.9.
  const [major, minor, patch] = [10_000, 100, 1].map((unit, i) =>
    Math.floor(version[0] / unit) % (i === 0 ? Infinity : 100)
  );
  return { name: `NCCL ${major}.${minor}.${patch}`, symbols: library.symbols };
}
