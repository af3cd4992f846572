/**
 * Files of rows as users name them: a file, a folder or a pattern. In: a name. Out: where it lies, and
 * the files that it stands for.
 */

import { compileGlob, isGlob } from "../../internal/glob_pattern.ts";
import { inferSplits, type SplitFiles } from "../../internal/dataset_splits.ts";
import { isFile, isFolder } from "../../internal/path_kind.ts";
import { findRegularFile } from "../../internal/regular_file.ts";
import { findFile, type FindFileOptions } from "./find_file.ts";
import { DATA, firstPlace, isBare, OUTPUT } from "./named_folders.ts";

/** One name or several. */
export type RowPaths = string | readonly string[];

/** A name and its files. */
export interface RowSource {
  readonly path: string;
  readonly files: readonly string[];
}

/** Files that a line names. */
const SHOWN = 5;
/** Most entries of a folder that are looked at, and files of rows that are opened at once. */
const MAX_ENTRIES = 20_000;
const MAX_FILES = 256;

/**
 * The place of a name: as given, or below one of the folders.
 *
 * @throws {Error} where nothing of a bare name is there
 */
export async function findRows(name: string, options: FindFileOptions): Promise<string> {
  if (!isBare(name)) return name;
  const { folders = [DATA, OUTPUT] } = options;
  const places = [name, ...folders.map((folder) => `${folder}/${name}`)];
  const is = async (path: string): Promise<boolean> =>
    isGlob(path) ? (await matching(path)).length > 0 : await isFile(path) || await isFolder(path);
  return (await firstPlace(places, is)).found ?? await findFile(name, options);
}

/** The names as a list. */
export function listPaths(paths: RowPaths | undefined): readonly string[] {
  return paths === undefined ? [] : typeof paths === "string" ? [paths] : paths;
}

/**
 * The files of each name, in order: of a folder those of its split `train`, where its names tell
 * splits apart.
 *
 * @throws {Error} where a folder or pattern has no files of rows
 */
export function expandRows(paths: RowPaths | undefined): Promise<RowSource[]> {
  return Promise.all(
    listPaths(paths).map(async (path) => ({ path, files: await filesOf(path) })),
  );
}

/** Which files a folder or a pattern stands for, as a line; nothing of a file's own name. */
export function describeSource({ path, files }: RowSource): string | undefined {
  if (files.length === 1 && files[0] === path) return undefined;
  const shown = files.slice(0, SHOWN).join(", ");
  const more = files.length > SHOWN ? ` and ${files.length - SHOWN} more` : "";
  return `${path}: ${files.length === 1 ? "one file" : `${files.length} files`}, ${shown}${more}`;
}

async function filesOf(path: string): Promise<readonly string[]> {
  if (await isFolder(path)) return limited(path, await filesOfFolder(path));
  if (!isGlob(path) || await isFile(path)) return [path];
  const files = await matching(path);
  if (files.length > 0) return limited(path, files);
  throw new Error(
    `Cannot find ${path}: no file matches it; give a pattern of files, or a file's path`,
  );
}

/** The splits that names in a folder tell apart, with the paths of their files. */
export async function splitsOfFolder(path: string): Promise<readonly SplitFiles[]> {
  const splits = inferSplits(await Array.fromAsync(walk(path, "")));
  return splits.map(({ name, files }) => ({ name, files: files.map((each) => `${path}/${each}`) }));
}

async function filesOfFolder(path: string): Promise<readonly string[]> {
  const splits = await splitsOfFolder(path);
  const split = splits.find(({ name }) => name === "train") ??
    (splits.length === 1 ? splits[0] : undefined);
  if (split !== undefined) return split.files;
  const state = splits.length === 0
    ? "it has no files of rows (JSON Lines, JSON, CSV, TSV, Parquet)"
    : `its names tell the splits ${
      splits.map(({ name }) => name).join(", ")
    } apart, and none is train`;
  throw new Error(`Cannot read ${path}: ${state}; name files of it`);
}

/** Files that match a pattern, below the folder that it begins with. */
async function matching(pattern: string): Promise<readonly string[]> {
  const parts = pattern.split("/");
  const fixed = parts.slice(0, parts.findIndex(isGlob));
  const folder = fixed.length === 0 ? "." : fixed.join("/") || "/";
  if (!await isFolder(folder)) return [];
  const matches = compileGlob(parts.slice(fixed.length).join("/"));
  const names = (await Array.fromAsync(walk(folder, ""))).filter(matches).sort();
  return names.map((name) => fixed.length === 0 ? name : `${fixed.join("/")}/${name}`);
}

/** All files below a folder that are not hidden, and lie in it though they may be links. */
async function* walk(folder: string, below: string): AsyncGenerator<string, void, undefined> {
  let entries = 0;
  const pending = [below];
  for (const place of pending) {
    for await (const { name, isDirectory, isSymlink } of Deno.readDir(`${folder}/${place}`)) {
      if (++entries > MAX_ENTRIES) {
        throw new Error(
          `Cannot read ${folder}: it has over ${MAX_ENTRIES} entries; name a folder or files in it`,
        );
      }
      if (name.startsWith(".")) continue;
      const path = `${place}${name}`;
      if (isDirectory) {
        pending.push(`${path}/`);
        continue;
      }
      const { problem } = await findRegularFile(`${folder}/${path}`, { root: folder });
      if (problem === undefined) yield path;
      else if (isSymlink && !await isFolder(`${folder}/${path}`)) {
        throw new Error(
          `Cannot read ${folder}/${path}: it ${problem}; copy the file, or remove it`,
        );
      }
    }
  }
}

function limited(path: string, files: readonly string[]): readonly string[] {
  if (files.length <= MAX_FILES) return files;
  throw new Error(
    `Cannot read ${path}: it stands for ${files.length} files, more than ${MAX_FILES}, which are open at ` +
      "once; join them with deno task data",
  );
}
