/**
 * Finds the MPI library that belongs to the launcher.
 *
 * In: who started this process, and perhaps a path. Out: an open library with its family's handles, not
 * yet initialized.
 */

import { loadFault } from "../internal/load_fault.ts";
import {
  MPI_ABI,
  MPICH,
  type MpiFamily,
  type MpiHandles,
  OPEN_MPI_OBJECTS,
  openMpiHandles,
} from "./mpi_handles.ts";
import type { MpiLaunch } from "./mpi_launch.ts";
import { type MPI_SYMBOLS, mpiSymbols } from "./mpi_symbols.ts";

/**
 * Names that the loader finds libraries by: of Open MPI 3 and newer, of MPICH on Debian, of MPICH's ABI
 * elsewhere (MPICH, Intel MPI, MVAPICH), and of the standard ABI.
 */
const OPEN_MPI_NAME = "libmpi.so.40";
const OTHER_NAMES = ["libmpich.so.12", "libmpi.so.12", "libmpi_abi.so.1", "libmpi.so"];

/** MPI_MAX_LIBRARY_VERSION_STRING of MPICH, the longest. */
const VERSION_BYTES = 8192;

/** What tells libraries apart before any is initialized. */
const PROBE = {
  MPI_Get_library_version: { parameters: ["buffer", "buffer"], result: "i32" },
  MPI_Abi_get_version: { parameters: ["buffer", "buffer"], result: "i32", optional: true },
  ompi_mpi_comm_world: { type: "pointer", optional: true },
} as const;

const OBJECTS = Object.fromEntries(
  Object.values(OPEN_MPI_OBJECTS).map((name) => [name, { type: "pointer" }]),
) as Record<string, { readonly type: "pointer" }>;

/** Where libraries come from, for errors. */
const PACKAGES =
  "install it by `apt install openmpi-bin` or `apt install mpich` (`dnf install openmpi`, " +
  "`dnf install mpich` with its folder in LD_LIBRARY_PATH), or set ORTUNE_MPI_LIB to the path of libmpi";

/** An MPI library. */
export interface MpiLibrary {
  /** Name or path that it was opened by. */
  readonly path: string;
  /** Such as `Open MPI 4.1.4`. */
  readonly name: string;
  readonly family: MpiFamily;
  readonly handles: MpiHandles;
  readonly symbols: Deno.DynamicLibrary<typeof MPI_SYMBOLS>["symbols"];
}

/** What a library says of itself. */
interface Identity {
  readonly path: string;
  readonly name: string;
  readonly family: MpiFamily;
}

/** How the library is found. */
export interface OpenMpiLibraryOptions {
  /** A path or name that wins over the search (scripts pass ORTUNE_MPI_LIB). */
  readonly libraryPath?: string;
  /** Who started this process. @default nobody did, and any library will do */
  readonly launch?: MpiLaunch;
  /** Names that are tried in turn. @default the usual ones */
  readonly names?: readonly string[];
}

/**
 * Opens the library that belongs to the launcher.
 *
 * Under another library's launcher every process would think that it is the only one.
 *
 * @throws {Error} where there is none, or only another one's
 */
export function openMpiLibrary(
  { libraryPath, launch, names = usualNames(launch) }: OpenMpiLibraryOptions = {},
): MpiLibrary {
  const reasons: string[] = [];
  const others: Identity[] = [];
  for (const path of libraryPath === undefined ? names : [libraryPath]) {
    const identity = identify(path, reasons);
    if (identity === undefined) continue;
    if (belongs(identity, launch)) return open(identity);
    others.push(identity);
  }
  if (others.length > 0 && launch) {
    const found = others.map(({ name, path }) => `${name} (${path})`).join(" and ");
    throw new Error(
      `Cannot use MPI: ${launch.launcher} started this process, but the library is ${found}, in which ` +
        "each process would be alone; " + (libraryPath === undefined
          ? `install ${launch.library} or start with the other's mpirun (on Debian mpirun.openmpi and ` +
            "mpirun.mpich)"
          : `let ORTUNE_MPI_LIB name the library of ${launch.library}, or start with the other's mpirun`),
    );
  }
  if (libraryPath !== undefined) {
    throw new Error(`Cannot open the MPI library ${libraryPath}: ${reasons.join("; ")}`);
  }
  throw new Error(
    `Cannot find an MPI library (${names.join(", ")}): ` +
      (Deno.build.os === "linux"
        ? PACKAGES
        : `on ${Deno.build.os} set ORTUNE_MPI_LIB to the path of libmpi`),
  );
}

function usualNames(launch: MpiLaunch | undefined): readonly string[] {
  return launch?.prefers === "MPICH"
    ? [...OTHER_NAMES, OPEN_MPI_NAME]
    : [OPEN_MPI_NAME, ...OTHER_NAMES];
}

function belongs({ name }: Identity, launch: MpiLaunch | undefined): boolean {
  if (launch?.library === undefined) return true;
  return name.startsWith("Open MPI") === (launch.library === "Open MPI");
}

function identify(path: string, reasons: string[]): Identity | undefined {
  let library: Deno.DynamicLibrary<typeof PROBE>;
  try {
    // Never closed: threads and exit handlers of a library outlive it.
    library = Deno.dlopen(path, PROBE);
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    reasons.push(loadFault(error));
    return undefined;
  }
  const { MPI_Get_library_version, MPI_Abi_get_version, ompi_mpi_comm_world } = library.symbols;
  const text = new Uint8Array(VERSION_BYTES);
  const length = new Int32Array(1);
  MPI_Get_library_version(text, length);
  const [abi, minor] = [new Int32Array(1), new Int32Array(1)];
  // A library that is not of the standard ABI answers -1: MPI 5.0, section 20.2.
  MPI_Abi_get_version?.(abi, minor);
  return {
    path,
    name: libraryName(new TextDecoder().decode(text.subarray(0, length[0]))),
    family: abi[0] > 0 ? "mpi-abi" : ompi_mpi_comm_world ? "open-mpi" : "mpich",
  };
}

/** `Open MPI 4.1.4` of the text that a library gives as its version. */
export function libraryName(text: string): string {
  for (
    const [name, pattern] of [
      ["Open MPI", /^Open MPI v(\S+?),/],
      ["MPICH", /^MPICH Version:\s*(\S+)/],
      ["Intel MPI", /^Intel\(R\) MPI Library (\S+)/],
    ] as const
  ) {
    const [, version] = pattern.exec(text) ?? [];
    if (version !== undefined) return `${name} ${version}`;
  }
  return text.split(/[\n\0]/, 1)[0].replace(/\s+/g, " ").trim().slice(0, 60);
}

function open({ path, name, family }: Identity): MpiLibrary {
  const handles = handlesOf(path, family);
  const { symbols } = Deno.dlopen(path, mpiSymbols(handles.handle));
  return { path, name, family, handles, symbols };
}

function handlesOf(path: string, family: MpiFamily): MpiHandles {
  if (family === "mpich") return MPICH;
  if (family === "mpi-abi") return MPI_ABI;
  const { symbols } = Deno.dlopen(path, OBJECTS);
  return openMpiHandles((object) =>
    Deno.UnsafePointer.value(symbols[OPEN_MPI_OBJECTS[object]] as Deno.PointerValue)
  );
}
