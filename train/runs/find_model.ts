/**
 * Model folders as users name them. In: an id such as Qwen/Qwen3-0.6B, a model's folder, or the
 * output folder of a run. Out: the folder that holds the files.
 */

import { basename, dirname } from "node:path";
import { ADAPTER_CONFIG, readBaseModel } from "../../lora/adapter_config.ts";
import { openAdapter } from "../../lora/open_adapter.ts";
import { trainedBase } from "../../lora/trained_base.ts";
import type { ModelConfig } from "../../model/config.ts";
import { readConfig } from "../../model/weights/open_model.ts";
import { listCheckpoints } from "../checkpoints/checkpoint.ts";
import { cachedModelId } from "../../internal/json/model_origin.ts";
import {
  describePlaces,
  firstFolder,
  foldersBelow,
  ID,
  LONE_NAME,
  MODELS,
  OUTPUT,
} from "./named_folders.ts";
import { isFile, isFolder } from "../../internal/path_kind.ts";
import { RUN_MANIFEST } from "../track/find_runs.ts";
import { readManifest } from "./run_manifest.ts";

/** Where `deno task fetch` puts a model of a hub. */
const FETCHED = /^models\/(\w[\w.-]*\/\w[\w.-]*)\/?$/;
/** The file that tells a model's folder. */
export const MODEL_CONFIG = "config.json";

/**
 * The folder of a base model: as given, or below `models` by its id, or by the last part of one, or
 * below `output` by its run.
 *
 * @throws {Error} where a name is neither, or is that of several models; what else is missing is for who
 *   opens the folder to tell
 */
export async function findModel(model: string): Promise<string> {
  const [, fetched] = FETCHED.exec(model) ?? [];
  if (fetched !== undefined && !await isFolder(model)) {
    throw new Error(
      `Cannot find model ${model}: there is no such folder; fetch it with deno task fetch --model ` +
        `${fetched}, or give a model's folder with --model`,
    );
  }
  if (!ID.test(model) && !LONE_NAME.test(model)) return model;
  const places = modelPlaces(model);
  const { found, seen } = await firstFolder([...places, `${OUTPUT}/${model}`]);
  if (found !== undefined) return found;
  const below = LONE_NAME.test(model) ? await onlyModel(model) : undefined;
  if (below !== undefined) return below;
  // Of a hub's id nobody thinks that it lies here.
  const denied = seen.filter(({ allowed }) => LONE_NAME.test(model) && !allowed);
  throw new Error(
    `Cannot find model ${model}: there is no folder ${places[0]}${
      LONE_NAME.test(model) ? ` or ${MODELS}/*/${model}` : ""
    }${
      denied.length > 0 ? `; ${describePlaces(denied)}` : ""
    }; fetch it with deno task fetch --model ${
      LONE_NAME.test(model) ? `OWNER/${model}` : model
    }, or give a model's folder with --model`,
  );
}

/** Where a model of that name may lie, the likeliest first. */
function modelPlaces(name: string): string[] {
  const id = idOf(name);
  if (id === undefined) return LONE_NAME.test(name) ? [`${MODELS}/${name}`, name] : [name];
  const places = [`${MODELS}/${id}`, `${MODELS}/${id.split("/")[1]}`];
  // A path of a hub's cache is a folder by itself, and an id where that is not here.
  return id === name ? [places[0], name] : [name, ...places];
}

/** The id in a name: the name itself, or what a hub's cache makes of it. */
function idOf(name: string): string | undefined {
  if (ID.test(name)) return name;
  return cachedModelId(name);
}

/** The one model of that name, whoever its owner is. */
async function onlyModel(name: string): Promise<string | undefined> {
  const [found, ...more] = await foldersBelow(MODELS, name);
  if (more.length === 0) return found;
  throw new Error(
    `Cannot tell which model ${name} is: there are ${
      [found, ...more].join(" and ")
    }; give one of ` +
      "these with --model",
  );
}

/**
 * The folder of an adapter, or of the run that made it: as given, or below `output` or `models`.
 *
 * @param flag what named it, for the error
 * @throws {Error} where a name is none of these; what else is missing is for who opens it to tell
 */
export async function findAdapter(adapter: string, flag = "--adapter"): Promise<string> {
  if (!ID.test(adapter) && !LONE_NAME.test(adapter)) return adapter;
  const places = [`${OUTPUT}/${adapter}`, `${MODELS}/${adapter}`, adapter];
  const { found, seen } = await firstFolder(places);
  if (found !== undefined) return found;
  throw new Error(
    `Cannot find adapter ${adapter}: ${describePlaces(seen)}; give an adapter's folder, or the ` +
      `output folder of a run, with ${flag}`,
  );
}

/**
 * The folder of the base model that an adapter was trained on.
 *
 * @throws {Error} saying where it was looked for
 */
async function findBase(adapter: string): Promise<string> {
  const base = await readBaseModel(adapter);
  const name = base.replace(/(?<=[^/])\/+$/, "");
  // The very folder that the run was started on comes before any that an id may mean.
  const trainedOn = ID.test(name) ? await modelOfRun(dirname(adapter)) : undefined;
  const places = [...trainedOn === undefined ? [] : [trainedOn], ...modelPlaces(name)];
  const { found, seen } = await firstFolder([...new Set(places)]);
  if (found !== undefined) return found;
  const below = LONE_NAME.test(name) ? await onlyModel(name) : undefined;
  if (below !== undefined) return below;
  const id = idOf(name);
  const alike = id === undefined ? await foldersBelow(MODELS, basename(name)) : [];
  const ways = [
    ...id === undefined ? [] : [`fetch it with deno task fetch --model ${id}`],
    ...alike.length === 0 ? [] : [`if it is ${alike[0]}, give --model ${alike[0]}`],
    ...alike.length === 0 ? ["give its folder with --model"] : [],
  ];
  throw new Error(
    `Cannot find the base model of ${adapter}: its ${ADAPTER_CONFIG} names ` +
      `${JSON.stringify(base)}, and ${describePlaces(seen)}; ${ways.join(", or ")}`,
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

/** Folders that were found, with what the model's config.json says. */
export interface FoundFolders extends ModelFolders {
  readonly config: ModelConfig;
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
): Promise<FoundFolders> {
  const adapter = named.adapter &&
    await findTrained(await findAdapter(named.adapter), ADAPTER_CONFIG);
  const model = named.model === undefined
    ? await findBase(adapter!)
    : await findTrained(await findModel(named.model), MODEL_CONFIG);
  if (await isFile(`${model}/${ADAPTER_CONFIG}`) && !await isFile(`${model}/${MODEL_CONFIG}`)) {
    throw new Error(`Cannot open model ${model}: it holds an adapter; ${useAdapter}`);
  }
  // What is no model is said first: what else its folder lacks matters less.
  const config = await readConfig(model);
  return { model, adapter, config };
}

/**
 * Opens an adapter for a model's config, so that what does not fit is told before any weight is read.
 *
 * @returns what of the adapter's settings is not honoured, a sentence each
 * @throws {Error} naming the settings that cannot be used, or the tensors that do not fit
 */
export async function checkAdapter(
  adapter: string,
  config: ModelConfig,
): Promise<readonly string[]> {
  await using files = await openAdapter(adapter, config);
  const base = await trainedBase(adapter);
  return [
    ...files.lora.notes,
    ...base
      ? [
        `${adapter} was trained on a base in ${base.name}: the base's weights are rounded as they were then`,
      ]
      : [],
  ];
}

/** The model that the run of an output folder was started on, where its manifest says. */
async function modelOfRun(directory: string): Promise<string | undefined> {
  const path = `${directory}/${RUN_MANIFEST}`;
  if (!await isFile(path)) return undefined;
  const { arguments: { model } } = await readManifest(path);
  return typeof model === "string" && model !== "" ? model : undefined;
}

/** The name of the checkpoint that the run's manifest ends with, if it has ended. */
async function chosenCheckpoint(directory: string): Promise<string | undefined> {
  const path = `${directory}/${RUN_MANIFEST}`;
  if (!await isFile(path)) return undefined;
  const { checkpoint } = await readManifest(path);
  // Of a run that has not ended there is none; manifests of an older ortune lack it.
  return checkpoint ? basename(checkpoint) : undefined;
}
