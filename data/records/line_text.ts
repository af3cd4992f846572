/** A line of a JSON Lines file as text. In: its bytes. Out: text, or an error that names the line. */

import { JsonlError, type RowLocation } from "./jsonl_error.ts";

/**
 * Decodes one line.
 *
 * @param decoder a fatal one, so that other bytes are not replaced
 * @throws {JsonlError} if the bytes are not UTF-8
 */
export function lineText(decoder: TextDecoder, bytes: Uint8Array, where: RowLocation): string {
  try {
    return decoder.decode(bytes);
  } catch (cause) {
    throw notUtf8(bytes, where, cause);
  }
}

/** The error of a line that is no UTF-8, from the bytes that it begins with. */
export function notUtf8(bytes: Uint8Array, where: RowLocation, cause: unknown): JsonlError {
  const utf16 = where.line === 1 && (bytes[0] === 0xff || bytes[0] === 0xfe);
  return new JsonlError(
    where,
    `expected UTF-8 text, got ${
      utf16 ? "what looks like UTF-16" : "other bytes"
    }; save the file as UTF-8`,
    { cause },
  );
}
