/**
 * Model folders as users name them. In: an id such as Qwen/Qwen3-0.6B, a model's folder, or the
 * output folder of a run. Out: the folder that holds the files.
 */

import { basename } from "node:path";
import { listCheckpoints } from "../train/checkpoint.ts";
import { isFile, isFolder } from "./path_kind.ts";
import { readManifest, RUN_MANIFEST } from "./run_manifest.ts";

/** Where `deno task fetch` puts models. */
const MODELS = "models";
// An owner and a name, as hubs have them; not a folder of the house.
const ID = /^(?!(?:models|data|output)\/)\w[\w.-]*\/\w[\w.-]*$/;

/**
 * The folder of a base model: as given, or below `models`.
 *
 * @throws {Error} where an id is neither; what else is missing is for who opens the folder to tell
 */
export async function findModel(model: string): Promise<string> {
  if (!ID.test(model)) return model;
  const fetched = `${MODELS}/${model}`;
  if (await isFolder(fetched)) return fetched;
  if (await isFolder(model)) return model;
  throw new Error(
    `Cannot find model ${model}: there is no folder ${fetched}; fetch it with deno task fetch ` +
      `--model ${model}, or give a model's folder with --model`,
  );
}

/**
 * The folder of trained weights: as given, or, of a run's output folder, the checkpoint that the run
 * ended with, or else the newest.
 *
 * @param holds a file that tells such a folder, such as `config.json`
 */
export async function findTrained(directory: string, holds: string): Promise<string> {
  if (await isFile(`${directory}/${holds}`)) return directory;
  const checkpoints = await listCheckpoints(directory);
  const chosen = await chosenCheckpoint(directory);
  return (checkpoints.find((each) => basename(each.directory) === chosen) ?? checkpoints.at(-1))
    ?.directory ?? directory;
}

/** The name of the checkpoint that the run's manifest ends with, if it has ended. */
async function chosenCheckpoint(directory: string): Promise<string | undefined> {
  const path = `${directory}/${RUN_MANIFEST}`;
  if (!await isFile(path)) return undefined;
  const { checkpoint } = await readManifest(path);
  return checkpoint === null ? undefined : basename(checkpoint);
}
