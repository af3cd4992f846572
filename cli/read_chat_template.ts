/** A chat template that a flag names. In: the path of a Jinja file. Out: its text. */

import { openFile } from "./open_file.ts";

/** The largest in use have 20,000 bytes; what is longer is no template. */
const MAX_BYTES = 1024 * 1024;

/**
 * Reads the file; nothing where none is named.
 *
 * @throws {Error} where there is none, it is too large or no text
 */
export async function readChatTemplate(path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined;
  using file = await openFile(path, "the chat template");
  const { size } = await file.stat();
  if (size > MAX_BYTES) {
    throw new Error(
      `Cannot read the chat template: ${path} has ${size} bytes, more than ${MAX_BYTES}; give a Jinja file`,
    );
  }
  const bytes = new Uint8Array(size);
  let filled = 0;
  for (let count; filled < size; filled += count) {
    count = await file.read(bytes.subarray(filled));
    if (count === null) break;
  }
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(0, filled));
  } catch (cause) {
    throw new Error(
      `Cannot read the chat template: ${path} is not UTF-8 text; give a Jinja file`,
      { cause },
    );
  }
  if (text.trim() === "") {
    throw new Error(`Cannot read the chat template: ${path} is empty; give a Jinja file`);
  }
  return text;
}
