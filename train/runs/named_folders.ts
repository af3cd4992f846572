/**
 * Folders that are named in short. In: paths where one may lie. Out: the first that is there, and what
 * was seen of the others: what a task may not read is told from what is not there.
 */

import { isAbsolute } from "node:path";
import { isFolder } from "../../internal/path_kind.ts";

/** Where `deno task fetch` puts models. */
export const MODELS = "models";
/** Where runs put what they train. */
export const OUTPUT = "output";
/** Where data lie. */
export const DATA = "data";

/** An owner and a name, as hubs have them; not a folder of the house. */
export const ID = /^(?!(?:models|data|output)\/)\w[\w.-]*\/\w[\w.-]*$/;
/** A name alone. */
export const LONE_NAME = /^(?!(?:models|data|output)$)\w[\w.-]*$/;

/** Whether a path begins with no folder that says where it is: it may be meant below one of the house's. */
export function isBare(path: string): boolean {
  return path !== "" && !isAbsolute(path) && !/^(?:\.\.?|models|data|output)(?:[/\\]|$)/.test(path);
}

/** What there is at a path. */
export interface SeenPlace {
  readonly path: string;
  /** Whether it may be looked at. */
  readonly allowed: boolean;
}

/** The first of the paths that is a folder, and what was seen before it. */
export function firstFolder(paths: readonly string[]): ReturnType<typeof firstPlace> {
  return firstPlace(paths, isFolder);
}

/** The first of the paths that is what is looked for, and what was seen before it. */
export async function firstPlace(
  paths: readonly string[],
  is: (path: string) => Promise<boolean>,
): Promise<{ readonly found?: string; readonly seen: readonly SeenPlace[] }> {
  const seen: SeenPlace[] = [];
  for (const path of paths) {
    if (await is(path)) return { found: path, seen };
    const { state } = await Deno.permissions.query({ name: "read", path });
    seen.push({ path, allowed: state === "granted" });
  }
  return { seen };
}

/** Where nothing was found, as the end of a sentence. */
export function describePlaces(
  seen: readonly SeenPlace[],
  what: "folder" | "file" = "folder",
): string {
  const list = (allowed: boolean): string =>
    seen.filter((each) => each.allowed === allowed).map(({ path }) => path).join(" or ");
  const [absent, denied] = [list(true), list(false)];
  return [
    ...absent === "" ? [] : [`there is no ${what} ${absent}`],
    ...denied === "" ? [] : [`${denied} may not be read (tasks read models, data and output only)`],
  ].join("; ");
}

/** Folders of a name in a folder and in each of its folders, in order. */
export async function foldersBelow(directory: string, name: string): Promise<string[]> {
  if (name === "" || !await isFolder(directory)) return [];
  const owners = await Array.fromAsync(Deno.readDir(directory));
  const paths = owners.map((owner) => `${directory}/${owner.name}/${name}`).sort();
  const found = [];
  for (const path of [`${directory}/${name}`, ...paths]) if (await isFolder(path)) found.push(path);
  return found;
}
