/**
 * The rows of a JSON array.
 *
 * In: bytes. Out: the text of each item, with its number. Only quotes and brackets are looked at;
 * what stands between them is for the parser of the item. Memory is bounded by the longest item.
 */

import { describeJsonFault } from "../../internal/json/describe_json_fault.ts";
import { JsonlError, type RowLocation } from "./jsonl_error.ts";
import { concatBytes, MAX_ROW_BYTES, type RawRow, tooLong } from "./raw_row.ts";

const [TAB, NEWLINE, RETURN, SPACE] = [0x09, 0x0a, 0x0d, 0x20];
const [QUOTE, COMMA, BACKSLASH] = [0x22, 0x2c, 0x5c];
const [OPEN, CLOSE, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];

/**
 * Splits an array into its items.
 *
 * @param path the file, for the items' places
 * @throws {JsonlError} if the array is cut, goes on after its end, or an item is longer than 4 MiB
 */
export async function* readJsonArray(
  chunks: AsyncIterable<Uint8Array>,
  path: string,
): AsyncGenerator<RawRow, void, undefined> {
  const place = (): RowLocation => ({ file: path, line: row, unit: "row" });
  let row = 1;
  let depth = 0;
  let [inString, escaped, ended, afterComma] = [false, false, false, false];
  let carried: Uint8Array[] = [];
  let carriedLength = 0;
  const take = (tail: Uint8Array): RawRow => {
    if (carriedLength + tail.length > MAX_ROW_BYTES) throw tooLong(place());
    const json = carriedLength === 0 ? tail : concatBytes([...carried, tail]);
    carried = [];
    carriedLength = 0;
    return { json, where: place() };
  };
  for await (const chunk of chunks) {
    let start = 0;
    for (let i = 0; i < chunk.length; i++) {
      const byte = chunk[i];
      if (inString) {
        if (escaped) escaped = false;
        else if (byte === BACKSLASH) escaped = true;
        else if (byte === QUOTE) inString = false;
        continue;
      }
      if (byte === QUOTE && depth > 0) {
        inString = true;
      } else if (byte === OPEN || byte === OPEN_OBJECT) {
        if (ended) throw goesOn(path);
        if (depth++ === 0) start = i + 1;
      } else if (byte === COMMA && depth === 1 || byte === CLOSE && depth === 1) {
        const item = take(chunk.subarray(start, i));
        start = i + 1;
        const isBlank = "json" in item && item.json.every(isBlankByte);
        if (byte === CLOSE) [depth, ended] = [0, true];
        if (isBlank && (byte === COMMA || afterComma)) throw commaTooMany(place());
        afterComma = byte === COMMA;
        if (isBlank) continue;
        yield item;
        row++;
      } else if (byte === CLOSE || byte === CLOSE_OBJECT) {
        if (depth === 0) throw ended ? goesOn(path) : unopened(place(), chunk.subarray(0, i + 1));
        if (depth === 1) {
          throw unopened(place(), concatBytes([...carried, chunk.subarray(start, i + 1)]));
        }
        depth--;
      } else if (ended && !isBlankByte(byte)) {
        // What stands before the array is a byte order mark: the file is told by its first bracket.
        throw goesOn(path);
      }
    }
    if (depth === 0) continue;
    carried.push(chunk.slice(start));
    carriedLength += chunk.length - start;
    if (carriedLength > MAX_ROW_BYTES) throw tooLong(place());
  }
  if (!ended) {
    throw new JsonlError(
      place(),
      `expected ] at the end of the array, got the end of the file${
        inString ? " inside a string" : ""
      }; it was cut: write or fetch it again`,
    );
  }
}

function isBlankByte(byte: number): boolean {
  return byte === SPACE || byte === NEWLINE || byte === RETURN || byte === TAB;
}

function commaTooMany(where: RowLocation): JsonlError {
  return new JsonlError(where, "expected a JSON object, got nothing; remove one comma");
}

/** The error of a bracket that nothing opens, from the item up to it: the parser knows why. */
function unopened(where: RowLocation, item: Uint8Array): JsonlError {
  const text = new TextDecoder().decode(item).trim();
  return new JsonlError(where, `expected a JSON object, got ${describeJsonFault(text)}`);
}

function goesOn(file: string): JsonlError {
  return new JsonlError(
    { file },
    "expected the end of the file after the array, got more; write all rows into one array, or one " +
      "object a line",
  );
}
