/**
 * What of the repository runs on a machine without it. In: the repository's folder. Out: modules to
 * bundle and files to carry as they are, each under its name in the pack's `js` folder.
 */

/** A module and the name of its bundle. */
export interface Bundle {
  readonly name: string;
  readonly module: string;
}

const MODULES = [
  "tests/cuda_device_test.ts",
  "bench/gpu/first_contact.ts",
  "bench/gpu/compare.ts",
  "bench/webgpu.ts",
  "bench/kernels.ts",
  "bench/gpu/pack/run.ts",
];
/** Files beside the bundles. */
export const FILES: readonly string[] = [
  "bench/gpu/torch_side.py",
  "bench/gpu/pack/machine.sh",
  "bench/gpu/pack/cuda_folders.py",
];
const KERNELS = "ort/kernels";
// The mark of a unit test that runs on a GPU where there is one.
const ON_GPU = /\btestGpu\(\)/;

/** The name of a file or folder without what stands before it. */
export function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** Kernels' unit tests that a GPU changes: those that run on the GPU of `testGpu()`. */
async function kernelTests(root: string): Promise<string[]> {
  const paths: string[] = [];
  for await (const { name } of Deno.readDir(`${root}/${KERNELS}`)) {
    if (!name.endsWith("_test.ts")) continue;
    const text = await Deno.readTextFile(`${root}/${KERNELS}/${name}`);
    if (ON_GPU.test(text)) paths.push(`${KERNELS}/${name}`);
  }
  return paths.sort();
}

/** All that is bundled. */
export async function listBundles(root: string): Promise<Bundle[]> {
  const modules = [...await kernelTests(root), ...MODULES];
  const bundles = modules.map((module) => ({
    name: baseName(module).replace(/\.ts$/, ".js"),
    module,
  }));
  const names = bundles.map(({ name }) => name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice) throw new Error(`Cannot pack ${twice}: two modules have that name; rename one`);
  return bundles;
}
