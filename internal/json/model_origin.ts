/**
 * Where a model's folder comes from.
 *
 * In: a folder. Out: the id that it was fetched by, and of a merged model its base's. Both are kept in
 * `.ortune.json` beside the weights; a folder `models/OWNER/NAME` without that file is taken for OWNER/NAME.
 *
 * @module
 */

import { isRecord } from "./is_record.ts";
import { readCappedText } from "../regular_file.ts";

/** The file beside a model's weights; of a fetched model it lists the files too. */
export const ORIGIN_FILE = ".ortune.json";
/** Largest file read: 20,000 files of some 200 bytes each, twice over. */
export const MAX_ORIGIN_BYTES = 8 * 1024 * 1024;

/** An owner and a name, as hubs have them. */
const ID = /^\w[\w.-]{0,199}\/\w[\w.-]{0,199}$/;
/** Where `deno task fetch` puts a model. */
const FETCHED = /(?:^|[/\\])models[/\\](\w[\w.-]*)[/\\](\w[\w.-]*)[/\\]*$/;
/** Where Hugging Face's and ModelScope's own programs put one. */
const CACHED = /(?:^|[/\\])models--([\w.-]+?)--([\w.-]+?)(?:[/\\]|$)/;

/** What is known of a folder. */
export interface ModelOrigin {
  /** What it was fetched by, `owner/name`. */
  readonly id?: string;
  /** The id of the model that an adapter was merged into. */
  readonly baseModel?: string;
}

/** The id in a path of a hub's own cache, `…/models--OWNER--NAME/…`. */
export function cachedModelId(path: string): string | undefined {
  const found = CACHED.exec(path);
  return found ? `${found[1]}/${found[2]}` : undefined;
}

/** Reads what is known of a model's folder; a file that is damaged tells nothing. */
export async function readModelOrigin(directory: string): Promise<ModelOrigin> {
  const { id, baseModel } = await readFields(`${directory}/${ORIGIN_FILE}`);
  const kept = {
    ...typeof id === "string" && ID.test(id) ? { id } : {},
    ...typeof baseModel === "string" && ID.test(baseModel) ? { baseModel } : {},
  };
  if ("id" in kept || "baseModel" in kept) return kept;
  const byPath = modelIdOfPath(directory);
  return byPath === undefined ? {} : { id: byPath };
}

/** The id that a path tells: of a hub's cache, or of the folder that models are fetched into. */
export function modelIdOfPath(path: string): string | undefined {
  const found = FETCHED.exec(path);
  return cachedModelId(path) ?? (found ? `${found[1]}/${found[2]}` : undefined);
}

/** The file, by its name, for a model that is merged from that base; nothing where it is on no hub. */
export async function mergedOrigin(base: string): Promise<Readonly<Record<string, string>>> {
  const { id, baseModel = id } = await readModelOrigin(base);
  if (baseModel === undefined) return {};
  return { [ORIGIN_FILE]: JSON.stringify({ version: 1, baseModel }, null, 2) + "\n" };
}

async function readFields(path: string): Promise<Readonly<Record<string, unknown>>> {
  try {
    const options = { maxBytes: MAX_ORIGIN_BYTES, remedy: "remove it" };
    const fields: unknown = JSON.parse(await readCappedText(path, options));
    return isRecord(fields) ? fields : {};
  } catch {
    // There is none in most folders, and one that cannot be read tells nothing.
    return {};
  }
}
