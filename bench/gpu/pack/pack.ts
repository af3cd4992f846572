/**
 * Packs what tests and times ortune on a machine with a GPU, CUDA and Python, but without a network,
 * this repository, or Deno.
 *
 * In: the repository, ONNX Runtime, Deno. Out: a folder with `bin`, `lib`, `js` and `run.sh`, to be
 * carried there whole; README.md in the folder above says how.
 *
 *     deno task bench:gpu:pack --out DIR [--lib DIR] [--deno BINARY]
 */

import { parseArgs } from "node:util";
import { findLibrary } from "../../../ort/runtime/library.ts";
import { runMain } from "../../run_main.ts";
import { baseName, FILES, listBundles } from "./bundles.ts";
import { chooseLibraries, CORE, type LibraryFolder } from "./libraries.ts";

const USAGE = `usage: deno task bench:gpu:pack --out DIR [--lib DIR] [--deno BINARY]

  --out DIR      folder to write: new, empty, or of an earlier pack
  --lib DIR      folder of ONNX Runtime for the GPU's machine, with its CUDA provider beside it
                 (default: the one that ORTUNE_ORT_LIB or npm names)
  --deno BINARY  Deno for that machine (default: the one that runs this)`;
const ROOT = new URL("../../../", import.meta.url).pathname;
const PARTS = ["bin", "lib", "js", "run.sh"];

/** Empties the folder of an earlier pack, and of nothing else. */
async function prepareFolder(out: string): Promise<void> {
  await Deno.mkdir(out, { recursive: true });
  const names: string[] = [];
  for await (const { name } of Deno.readDir(out)) names.push(name);
  if (names.length > 0 && !names.includes("run.sh")) {
    throw new Error(
      `Cannot pack into ${out}: it holds ${
        names.slice(0, 3).join(", ")
      } and no earlier pack; give ` +
        "--out an empty folder",
    );
  }
  await removeParts(out);
  for (const name of ["bin", "lib", "js"]) await Deno.mkdir(`${out}/${name}`);
}

async function bundle(module: string, output: string): Promise<void> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["bundle", "--quiet", "--output", output, module],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
  }).output();
  if (success) return;
  throw new Error(`Cannot bundle ${module}: ${new TextDecoder().decode(stderr).trim()}`);
}

/** The folder that holds ONNX Runtime. */
function libraryFolder(lib: string | undefined): LibraryFolder {
  if (lib !== undefined) return { folder: lib, given: true };
  const path = findLibrary(Deno.env.get("ORTUNE_ORT_LIB") || undefined);
  return { folder: path.slice(0, path.lastIndexOf("/")), given: false };
}

async function removeParts(out: string): Promise<void> {
  for (const name of PARTS) {
    await Deno.remove(`${out}/${name}`, { recursive: true }).catch(() => {});
  }
}

/** Refuses what is not a file, before anything is written. */
async function checkFile(path: string): Promise<void> {
  const isFile = await Deno.stat(path).then((info) => info.isFile, () => false);
  if (!isFile) throw new Error(`Cannot pack Deno: ${path} is no file; give --deno a Deno binary`);
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { out: { type: "string" }, lib: { type: "string" }, deno: { type: "string" } },
  });
  const { out, lib, deno = Deno.execPath() } = values;
  if (out === undefined) throw new Error(`--out is missing\n\n${USAGE}`);
  await checkFile(deno);
  const { files, notes } = await chooseLibraries(libraryFolder(lib));
  const bundles = await listBundles(ROOT);
  await prepareFolder(out);
  try {
    await Deno.copyFile(deno, `${out}/bin/deno`);
    await Deno.chmod(`${out}/bin/deno`, 0o755);
    for (const [name, path] of files) await Deno.copyFile(path, `${out}/lib/${name}`);
    // The name that whatever links it asks for.
    await Deno.symlink(CORE, `${out}/lib/${CORE}.1`);
    for (const { name, module } of bundles) await bundle(module, `${out}/js/${name}`);
    for (const file of FILES) await Deno.copyFile(`${ROOT}${file}`, `${out}/js/${baseName(file)}`);
    // Last: a folder without it is no pack.
    await Deno.copyFile(`${ROOT}bench/gpu/pack/run.sh`, `${out}/run.sh`);
  } catch (error) {
    await removeParts(out);
    throw error;
  }
  for (const note of notes) console.error(`note: ${note}`);
  console.log(`${out}: Deno, ONNX Runtime and ${bundles.length} bundles; run.sh there runs them`);
}

if (import.meta.main) await runMain(main);
