/**
 * The framing of SwanLab's run files: version 2, of SwanLab 0.8 and later.
 *
 * In: records as bytes. Out: a file's bytes, and the records read back from them.
 *
 * A header of 7 bytes, then a log in LevelDB's format
 * (https://github.com/google/leveldb/blob/main/doc/log_format.md) in blocks of 32 KiB that count
 * from the file's first byte; the checksum is zlib's CRC-32 of a fragment's type and data.
 */

import { Buffer } from "node:buffer";
import { crc32 } from "node:zlib";

const BLOCK = 32768;
/** u32le checksum, u16le length, u8 type. */
const FRAGMENT_HEADER = 7;
const FULL = 1;
const FIRST = 2;
const MIDDLE = 3;
const LAST = 4;

/** What a file begins with: ":SWL", u16le 0xE1D6, version. */
export const SWANLAB_HEADER: Uint8Array = Uint8Array.of(0x3a, 0x53, 0x57, 0x4c, 0xd6, 0xe1, 2);

/** The bytes that add `record` to a file of `size` bytes. */
export function frameRecord(record: Uint8Array, size: number): Uint8Array {
  const parts: Uint8Array[] = [];
  let at = size;
  let rest = record;
  let first = true;
  do {
    let space = BLOCK - at % BLOCK;
    if (space < FRAGMENT_HEADER) {
      parts.push(new Uint8Array(space));
      at += space;
      space = BLOCK;
    }
    const data = rest.subarray(0, space - FRAGMENT_HEADER);
    rest = rest.subarray(data.length);
    const type = rest.length === 0 ? first ? FULL : LAST : first ? FIRST : MIDDLE;
    const header = new DataView(new ArrayBuffer(FRAGMENT_HEADER));
    header.setUint32(0, checksum(type, data), true);
    header.setUint16(4, data.length, true);
    header.setUint8(6, type);
    parts.push(new Uint8Array(header.buffer), data);
    at += FRAGMENT_HEADER + data.length;
    first = false;
  } while (rest.length > 0);
  const bytes = new Uint8Array(at - size);
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return bytes;
}

/** The whole records of a file, up to the first that is cut short or damaged. */
export function* readFrames(file: Uint8Array): Generator<Uint8Array> {
  if (!SWANLAB_HEADER.every((byte, index) => file[index] === byte)) return;
  const view = new DataView(file.buffer, file.byteOffset, file.length);
  let parts: Uint8Array[] = [];
  for (let at = SWANLAB_HEADER.length; at + FRAGMENT_HEADER <= file.length;) {
    const space = BLOCK - at % BLOCK;
    if (space < FRAGMENT_HEADER) {
      at += space;
      continue;
    }
    const length = view.getUint16(at + 4, true);
    const type = view.getUint8(at + 6);
    const data = file.subarray(at + FRAGMENT_HEADER, at + FRAGMENT_HEADER + length);
    if (data.length < length || checksum(type, data) !== view.getUint32(at, true)) return;
    if ((type === FULL || type === FIRST) !== (parts.length === 0)) return;
    parts.push(data);
    at += FRAGMENT_HEADER + length;
    if (type !== FULL && type !== LAST) continue;
    yield parts.length === 1 ? data : new Uint8Array(Buffer.concat(parts));
    parts = [];
  }
}

function checksum(type: number, data: Uint8Array): number {
  return crc32(data, crc32(Uint8Array.of(type)));
}
