/**
 * What MPI's names stand for in each family of libraries. C programs get these values from the
 * library's mpi.h; they differ between Open MPI, MPICH and the standard ABI of MPI 5.0.
 *
 * In: an open library. Out: handles and constants to call it with.
 */

/** Families of MPI libraries whose handles are the same. */
export type MpiFamily = "open-mpi" | "mpich" | "mpi-abi";

/** A handle as it is passed: an int of MPICH, a pointer of the others. */
export type MpiHandle = number | bigint;

/** Handles and constants of a library. */
export interface MpiHandles {
  /** The C type of a handle. */
  readonly handle: "i32" | "usize";
  /** MPI_COMM_WORLD. */
  readonly world: MpiHandle;
  /** MPI_FLOAT. */
  readonly float: MpiHandle;
  /** MPI_DOUBLE. */
  readonly double: MpiHandle;
  /** MPI_BYTE. */
  readonly byte: MpiHandle;
  /** MPI_SUM. */
  readonly sum: MpiHandle;
  /** MPI_ERRORS_RETURN. */
  readonly errorsReturn: MpiHandle;
  /** MPI_IN_PLACE, an address. */
  readonly inPlace: bigint;
  /** MPI_STATUS_IGNORE, an address. */
  readonly statusIgnore: bigint;
  /** MPI_PROC_NULL. */
  readonly procNull: number;
  /** MPI_ANY_SOURCE. */
  readonly anySource: number;
  /** MPI_THREAD_MULTIPLE. */
  readonly threadMultiple: number;
}

/**
 * MPICH, and what keeps its ABI: Intel MPI, MVAPICH, Cray MPICH. From mpi.h of MPICH 4.0.2 and 5.0.2;
 * the ABI has been the same since MPICH 3.1, https://www.mpich.org/abi/
 */
export const MPICH: MpiHandles = {
  handle: "i32",
  world: 0x44000000,
  float: 0x4c00040a,
  double: 0x4c00080b,
  byte: 0x4c00010d,
  sum: 0x58000003,
  errorsReturn: 0x54000001,
  inPlace: 0xffff_ffff_ffff_ffffn,
  statusIgnore: 1n,
  procNull: -1,
  anySource: -2,
  threadMultiple: 3,
};

/** The standard ABI: MPI 5.0, chapter 20 and appendix A, and mpi_abi.h of MPICH 5.0.2. */
export const MPI_ABI: MpiHandles = {
  handle: "usize",
  world: 0x101,
  float: 0x210,
  double: 0x214,
  byte: 0x247,
  sum: 0x21,
  errorsReturn: 0x143,
  inPlace: 1n,
  statusIgnore: 0n,
  procNull: -3,
  anySource: -1,
  threadMultiple: 4096,
};

/** Objects of Open MPI whose addresses are its handles: ompi/include/mpi.h.in. */
export const OPEN_MPI_OBJECTS = {
  world: "ompi_mpi_comm_world",
  float: "ompi_mpi_float",
  double: "ompi_mpi_double",
  byte: "ompi_mpi_byte",
  sum: "ompi_mpi_op_sum",
  errorsReturn: "ompi_mpi_errors_return",
} as const;

/** Open MPI, from mpi.h of 4.1.4 and 5.0.11. */
export function openMpiHandles(
  addressOf: (object: keyof typeof OPEN_MPI_OBJECTS) => bigint,
): MpiHandles {
  return {
    handle: "usize",
    world: addressOf("world"),
    float: addressOf("float"),
    double: addressOf("double"),
    byte: addressOf("byte"),
    sum: addressOf("sum"),
    errorsReturn: addressOf("errorsReturn"),
    inPlace: 1n,
    statusIgnore: 0n,
    procNull: -2,
    anySource: -1,
    threadMultiple: 3,
  };
}
