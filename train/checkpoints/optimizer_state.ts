/**
 * The file of the optimizer's state in a checkpoint, in safetensors format.
 *
 * Its name has no ending that a loader of weights takes: vLLM, SGLang and Text Generation Inference
 * read every `*.safetensors` of a folder, and `*.bin` or `*.pt` where there is none.
 *
 * In: a checkpoint. Out: the file's path.
 */

import { isFile } from "../../internal/path_kind.ts";

/** The file that checkpoints are written with. */
export const OPTIMIZER_STATE = "optimizer.state";

/** Its name in earlier checkpoints. */
export const OLD_OPTIMIZER_STATE = "optimizer.safetensors";

/** Path of a checkpoint's file, under its old name where only that is there. */
export async function optimizerStatePath(directory: string): Promise<string> {
  const [path, old] = [OPTIMIZER_STATE, OLD_OPTIMIZER_STATE].map((name) => `${directory}/${name}`);
  return await isFile(path) || !await isFile(old) ? path : old;
}
