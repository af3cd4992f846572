/**
 * MPI's functions as Deno calls them: MPI 4.1, appendix A.3, https://www.mpi-forum.org/docs/
 *
 * Addresses are pointers, MPI_IN_PLACE and MPI_STATUS_IGNORE too. Handles are "usize" here, as they are
 * pointers in most libraries; `mpiSymbols` makes ints of them for MPICH.
 */

import type { MpiHandles } from "./mpi_handles.ts";

/** Functions by name; the one in camelCase runs on a thread of Deno's pool and answers with a promise. */
export const MPI_SYMBOLS = {
  MPI_Init_thread: { parameters: ["pointer", "pointer", "i32", "buffer"], result: "i32" },
  MPI_Finalize: { parameters: [], result: "i32" },
  MPI_Abort: { parameters: ["usize", "i32"], result: "i32" },
  MPI_Error_string: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  MPI_Get_processor_name: { parameters: ["buffer", "buffer"], result: "i32" },
  MPI_Comm_rank: { parameters: ["usize", "buffer"], result: "i32" },
  MPI_Comm_size: { parameters: ["usize", "buffer"], result: "i32" },
  MPI_Comm_dup: { parameters: ["usize", "buffer"], result: "i32" },
  MPI_Comm_set_errhandler: { parameters: ["usize", "usize"], result: "i32" },
  MPI_Iprobe: { parameters: ["i32", "i32", "usize", "buffer", "pointer"], result: "i32" },
  MPI_Recv: {
    parameters: ["buffer", "i32", "usize", "i32", "i32", "usize", "pointer"],
    result: "i32",
  },
  MPI_Isend: {
    parameters: ["buffer", "i32", "usize", "i32", "i32", "usize", "buffer"],
    result: "i32",
  },
  MPI_Test: { parameters: ["buffer", "buffer", "pointer"], result: "i32" },
  MPI_Allreduce: {
    parameters: ["pointer", "pointer", "i32", "usize", "usize", "usize"],
    result: "i32",
  },
  MPI_Sendrecv: {
    parameters: [
      "pointer",
      "i32",
      "usize",
      "i32",
      "i32",
      "pointer",
      "i32",
      "usize",
      "i32",
      "i32",
      "usize",
      "pointer",
    ],
    result: "i32",
  },
  reduceLocal: {
    name: "MPI_Reduce_local",
    parameters: ["pointer", "pointer", "i32", "usize", "usize"],
    result: "i32",
    nonblocking: true,
  },
  MPI_Bcast: { parameters: ["pointer", "i32", "usize", "i32", "usize"], result: "i32" },
  MPI_Barrier: { parameters: ["usize"], result: "i32" },
} as const;

/** The table for a library with handles of that type. */
export function mpiSymbols(handle: MpiHandles["handle"]): typeof MPI_SYMBOLS {
  const table = Object.entries<Deno.ForeignFunction>(MPI_SYMBOLS).map(([name, symbol]) => [
    name,
    { ...symbol, parameters: symbol.parameters.map((type) => type === "usize" ? handle : type) },
  ]);
  return Object.fromEntries(table);
}
