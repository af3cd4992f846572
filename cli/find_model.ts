/**
 * Model folders as users name them. In: an id such as Qwen/Qwen3-0.6B, a model's folder, or the
 * output folder of a run. Out: the folder that holds the files.
 */

import { basename } from "node:path";
import { ADAPTER_CONFIG, readBaseModel } from "../lora/adapter_config.ts";
import { readConfig } from "../model/open_model.ts";
import { listCheckpoints } from "../train/checkpoint.ts";
import { isFile, isFolder } from "./path_kind.ts";
import { readManifest, RUN_MANIFEST } from "./run_manifest.ts";

/** The file that tells a model's folder. */
export const MODEL_CONFIG = "config.json";
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

/** Where a model lies, and the adapter on it where one is asked for. */
export interface ModelFolders {
  readonly model: string;
  readonly adapter?: string;
}

const USE_ADAPTER = "give it with --adapter (to ask it, use deno task inference:lora)";

/**
 * The folders of a model, of an adapter on its base, or of both.
 *
 * @param named as the flags name them, at least one; the base of an adapter is the one that it names
 * @param useAdapter what to do with an adapter that was named as a model, for the error
 * @throws {Error} where there is no model in the folder
 */
export async function findFolders(
  named: Partial<ModelFolders>,
  useAdapter: string = USE_ADAPTER,
): Promise<ModelFolders> {
  const adapter = named.adapter && await findTrained(named.adapter, ADAPTER_CONFIG);
  const model = named.model === undefined
    ? await findModel(await readBaseModel(adapter!))
    : await findTrained(await findModel(named.model), MODEL_CONFIG);
  if (await isFile(`${model}/${ADAPTER_CONFIG}`) && !await isFile(`${model}/${MODEL_CONFIG}`)) {
    throw new Error(`Cannot open model ${model}: it holds an adapter; ${useAdapter}`);
  }
  // What is no model is said first: what else its folder lacks matters less.
  await readConfig(model);
  return { model, adapter };
}

/** The name of the checkpoint that the run's manifest ends with, if it has ended. */
async function chosenCheckpoint(directory: string): Promise<string | undefined> {
  const path = `${directory}/${RUN_MANIFEST}`;
  if (!await isFile(path)) return undefined;
  const { checkpoint } = await readManifest(path);
  return checkpoint === null ? undefined : basename(checkpoint);
}
