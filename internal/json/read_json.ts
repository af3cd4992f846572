/** A small JSON file of a folder that others made. In: its path. Out: the parsed value, still unchecked. */

import { readCappedText } from "../regular_file.ts";

/** How a file is read. */
export interface ReadJsonOptions {
  /**
   * Most bytes: the largest settings in use have some ten thousand.
   * @default {1 MiB}
   */
  readonly maxBytes?: number;
}

/**
 * Reads and parses the file.
 *
 * @param remedy what to do about a file that is no JSON
 * @returns undefined where there is no such file
 * @throws {RangeError | SyntaxError} on a file over `maxBytes`, that is no regular file of its folder, or that is no
 *   JSON, naming its path
 */
export async function readJson(
  path: string,
  remedy: string,
  { maxBytes = 1024 * 1024 }: ReadJsonOptions = {},
): Promise<unknown | undefined> {
  let text: string;
  try {
    text = await readCappedText(path, { maxBytes, remedy });
  } catch (cause) {
    const { code } = cause as { readonly code?: string };
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw cause;
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new SyntaxError(
      `Cannot read ${path}: it is not valid JSON (${(cause as Error).message}); ${remedy}`,
      { cause },
    );
  }
}
