/** A chat template that a flag or a folder names. In: the path of a Jinja file. Out: its text. */

import { type FindRegularFileOptions, isAbsent, readCapped } from "../../internal/regular_file.ts";

/** The largest in use have 20,000 bytes; what is longer is no template. */
const MAX_BYTES = 1024 * 1024;
const REMEDY = "give a Jinja file";

/**
 * Reads the file; nothing where none is named.
 *
 * @throws {Error} where there is none, it is too large or no text
 */
export async function readChatTemplate(
  path: string | undefined,
  { root }: FindRegularFileOptions = {},
): Promise<string | undefined> {
  if (path === undefined) return undefined;
  let text: string;
  try {
    const bytes = await readCapped(path, { maxBytes: MAX_BYTES, remedy: REMEDY, root });
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    if (isAbsent(cause)) {
      throw new Error(`Cannot read the chat template: there is no file ${path}`, { cause });
    }
    if (!(cause instanceof TypeError)) throw cause;
    throw new Error(`Cannot read the chat template: ${path} is not UTF-8 text; ${REMEDY}`, {
      cause,
    });
  }
  if (text.trim() === "") {
    throw new Error(`Cannot read the chat template: ${path} is empty; ${REMEDY}`);
  }
  return text;
}
