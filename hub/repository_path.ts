/**
 * Names that come from users and from hosts, checked before they become paths or addresses.
 *
 * In: a repository's id, a revision, or the path of a file in a listing. Out: the same, or an error.
 */

import { HubError } from "./hub_error.ts";

/** Longest path within a repository: beyond it file systems refuse. */
const MAX_PATH = 1024;
/** Longest part of a path, in UTF-8 bytes: the limit of ext4, APFS and NTFS. */
const MAX_PART = 255;
const ID_PART = /^[A-Za-z0-9](?:[\w.-]{0,94}[\w-])?$/;
const REVISION = /^\w[\w./-]{0,199}$/;
/** Devices of Windows, which no file can be called there, whatever its ending. */
const WINDOWS_DEVICE = /^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)/i;

/** Checks an id of the form `owner/name`. */
export function checkRepositoryId(id: string, action = "fetch"): string {
  const parts = id.split("/");
  if (parts.length === 2 && parts.every((part) => ID_PART.test(part) && !part.includes(".."))) {
    return id;
  }
  throw new TypeError(
    `Cannot ${action} ${quote(id)}: it is not of the form owner/name, such as Qwen/Qwen3-0.6B`,
  );
}

/** Checks a branch, tag or commit. */
export function checkRevision(revision: string): string {
  if (REVISION.test(revision) && !revision.includes("..") && !revision.includes("//")) {
    return revision;
  }
  throw new TypeError(
    `Cannot fetch revision ${quote(revision)}: it is not a branch, tag or commit, such as main`,
  );
}

/** Checks a file's path in a repository: relative, with forward slashes, inside the repository. */
export function checkFilePath(path: string): string {
  const problem = pathProblem(path);
  if (problem === undefined) return path;
  throw new HubError(
    `Cannot fetch the file ${quote(path)}: its path ${problem}. Nothing of it was written; ` +
      "report the repository if it is not yours",
    { file: path },
  );
}

function pathProblem(path: string): string | undefined {
  if (path === "") return "is empty";
  if (path.length > MAX_PATH) return `is longer than ${MAX_PATH} characters`;
  if (!path.isWellFormed()) return "is not valid Unicode";
  // deno-lint-ignore no-control-regex -- control characters are what is looked for
  if (/[\x00-\x1f\x7f]/.test(path)) return "holds control characters";
  if (path.startsWith("/")) return "is absolute";
  if (/[\\:]/.test(path)) return "holds a backslash or a colon";
  for (const part of path.split("/")) {
    if (part === "" || part === "." || part === "..") return `holds the part ${quote(part)}`;
    if (/[. ]$/.test(part)) return "has a part that ends with a dot or a blank";
    if (WINDOWS_DEVICE.test(part)) return `holds ${quote(part)}, the name of a Windows device`;
    if (new TextEncoder().encode(part).length > MAX_PART) {
      return `has a part of more than ${MAX_PART} bytes`;
    }
    if (part.toLowerCase().startsWith(".ortune")) {
      return "holds a name that ortune keeps for itself";
    }
  }
  return undefined;
}

function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}
