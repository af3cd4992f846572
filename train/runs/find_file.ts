/** Files and folders of a run as users name them. In: a path, or a name below a folder. Out: a path. */

import { isFile } from "../../internal/path_kind.ts";
import { DATA, describePlaces, firstFolder, firstPlace, isBare, OUTPUT } from "./named_folders.ts";

/** Where {@linkcode findFile} looks, and what its error tells. */
export interface FindFileOptions {
  /** The flag that named the file. */
  readonly flag: string;
  /** The folders that it is looked for in. @default {["data", "output"]} */
  readonly folders?: readonly string[];
  /** What else the flag takes. @default {nothing} */
  readonly others?: readonly string[];
}

/**
 * The file of a name: as given, or below one of the folders.
 *
 * @throws {Error} where there is none of a bare name; what else is missing is for who reads it to tell
 */
export async function findFile(
  name: string,
  { flag, folders = [DATA, OUTPUT], others = [] }: FindFileOptions,
): Promise<string> {
  if (!isBare(name)) return name;
  const places = [name, ...folders.map((folder) => `${folder}/${name}`)];
  const { found, seen } = await firstPlace(places, isFile);
  if (found !== undefined) return found;
  throw new Error(
    `Cannot find ${name}: ${describePlaces(seen, "file")}; give ` +
      `${others.length > 0 ? `${others.join(", ")} or ` : ""}a file's path with ${flag}`,
  );
}

/**
 * The folder that a run writes into: as given, or below `output` where this process may write only there.
 */
export async function findOutput(name: string): Promise<string> {
  if (!isBare(name)) return name;
  const { state } = await Deno.permissions.query({ name: "write", path: name });
  return state === "granted" ? name : `${OUTPUT}/${name}`;
}

/** The folder of a checkpoint: as given, or below the run's output folder, or another one's. */
export async function findCheckpoint(name: string, outputDir: string): Promise<string> {
  if (!isBare(name)) return name;
  const places = [name, `${outputDir}/${name}`, `${OUTPUT}/${name}`];
  const { found, seen } = await firstFolder(places);
  if (found !== undefined) return found;
  throw new Error(
    `Cannot find checkpoint ${name}: ${describePlaces(seen)}; give its folder with ` +
      "--resume-from-checkpoint, or leave its name out for the newest",
  );
}
