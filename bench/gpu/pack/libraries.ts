/**
 * ONNX Runtime's libraries for a pack. In: a folder. Out: which of its files go into the pack, under
 * which names, and what is to be said of it.
 */

/** A folder of libraries. */
export interface LibraryFolder {
  readonly folder: string;
  /** Whether it was given for this purpose: then all of its libraries are wanted. */
  readonly given: boolean;
}

/** What of a folder goes into a pack. */
export interface PackedLibraries {
  /** Paths by their names in the pack. */
  readonly files: ReadonlyMap<string, string>;
  /** Sentences for who packs. */
  readonly notes: readonly string[];
}

/** The core's name in a pack. */
export const CORE = "libonnxruntime.so";
const PROVIDER = "libonnxruntime_providers_cuda.so";
const LIBRARY = /^lib.*\.so(\.\d+)*$/;
const OWN = /^libonnxruntime/;
// libonnxruntime.so.1, libonnxruntime.so.1.29.0: one library under several names.
const ANY_CORE = /^libonnxruntime\.so(\.\d+)*$/;
const DRIVER = /^libcuda\.so/;

/** Names of a folder's libraries; none where there is no such folder. */
async function libraryNames(folder: string): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const { name, isDirectory } of Deno.readDir(folder)) {
      if (!isDirectory && LIBRARY.test(name)) names.push(name);
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return names.sort();
}

/**
 * Chooses them.
 *
 * @throws {Error} where ONNX Runtime is not there
 */
export async function chooseLibraries({ folder, given }: LibraryFolder): Promise<PackedLibraries> {
  const names = await libraryNames(folder);
  const core = names.find((name) => ANY_CORE.test(name));
  if (!core) {
    throw new Error(
      `Cannot pack ONNX Runtime: ${folder} holds no ${CORE}; give --lib a folder that has it, with ` +
        `${PROVIDER} of the same release beside it`,
    );
  }
  const notes: string[] = [];
  const driver = names.find((name) => DRIVER.test(name));
  if (given && driver) {
    notes.push(
      `${folder} holds ${driver}, which belongs to the GPU's machine or is a stand-in for it: only ` +
        "ONNX Runtime's own libraries are taken from there",
    );
  }
  const taken = names.filter((name) => OWN.test(name) || given && !driver);
  if (!taken.includes(PROVIDER)) {
    notes.push(
      `${folder} has no ${PROVIDER}: on a GPU the pack can test and time kernels, but not train; give ` +
        "--lib a folder with ONNX Runtime and its CUDA provider, such as " +
        "`deno run -A tests/placement/build_folder.ts DIR` makes",
    );
  }
  const files = new Map([[CORE, await Deno.realPath(`${folder}/${core}`)]]);
  for (const name of taken.filter((name) => !ANY_CORE.test(name))) {
    files.set(name, await Deno.realPath(`${folder}/${name}`));
  }
  return { files, notes };
}
