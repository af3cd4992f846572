/** Where compiled kernels are kept. In: a run's output folder. Out: a folder that the command may write. */

import { dirname } from "node:path";

const NAME = ".kernels";

/**
 * A hidden folder beside a run's output, so that the next run finds the kernels of this one; inside it where
 * the command may not write there.
 */
export function kernelCacheDir(outputDir: string): string {
  const parent = dirname(outputDir);
  // The working folder and the root are nobody's output.
  if (parent === "." || parent === "/") return `${outputDir}/${NAME}`;
  const { state } = Deno.permissions.querySync({ name: "write", path: parent });
  return `${state === "granted" ? parent : outputDir}/${NAME}`;
}
