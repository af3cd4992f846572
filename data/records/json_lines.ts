/**
 * The rows of a JSON Lines file.
 *
 * In: bytes. Out: lines, with their numbers. Lines end at \n or \r\n only: U+2028 inside a string
 * does not split a row. Memory is bounded by the longest line.
 */

import { concatBytes, MAX_ROW_BYTES, type RawRow, tooLong } from "./raw_row.ts";

const NEWLINE = 0x0a;
const CARRIAGE_RETURN = 0x0d;

/**
 * Splits bytes into lines.
 *
 * @param path the file, for the lines' places
 * @throws {JsonlError} if a line is longer than 4 MiB
 */
export async function* readJsonLines(
  chunks: AsyncIterable<Uint8Array>,
  path: string,
): AsyncGenerator<RawRow, void, undefined> {
  let carried: Uint8Array[] = [];
  let carriedLength = 0;
  let line = 1;
  const take = (tail: Uint8Array): RawRow => {
    const where = { file: path, line };
    if (carriedLength + tail.length > MAX_ROW_BYTES) throw tooLong(where);
    const bytes = carriedLength === 0 ? tail : concatBytes([...carried, tail]);
    carried = [];
    carriedLength = 0;
    return { json: trimLine(bytes, line++), where };
  };
  for await (const chunk of chunks) {
    let start = 0;
    for (
      let end = chunk.indexOf(NEWLINE);
      end !== -1;
      end = chunk.indexOf(NEWLINE, start)
    ) {
      yield take(chunk.subarray(start, end));
      start = end + 1;
    }
    carried.push(chunk.slice(start));
    carriedLength += chunk.length - start;
    if (carriedLength > MAX_ROW_BYTES) take(new Uint8Array(0));
  }
  if (carriedLength > 0) yield take(new Uint8Array(0));
}

/** Drops the `\r` of `\r\n`, and the byte order mark of line 1. */
function trimLine(bytes: Uint8Array, line: number): Uint8Array {
  const bom = line === 1 && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
  return bytes.subarray(bom ? 3 : 0, bytes.at(-1) === CARRIAGE_RETURN ? -1 : undefined);
}
