import assert from "node:assert/strict";
import { crc32 } from "node:zlib";
import { frameRecord, readFrames, SWANLAB_HEADER } from "./swanlab_frames.ts";

/** A record of `length` bytes, unlike its neighbours. */
function record(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 31 + seed * 17) % 251);
}

function fileOf(records: readonly Uint8Array[]): Uint8Array {
  let file = SWANLAB_HEADER;
  for (const each of records) file = Uint8Array.of(...file, ...frameRecord(each, file.length));
  return file;
}

Deno.test("frameRecord() writes the bytes of SwanLab's DataStoreWriter", () => {
  // zlib.crc32(b"abc", zlib.crc32(b"\x01")) in Python is 0x539d20a9.
  assert.deepEqual(
    fileOf([new TextEncoder().encode("abc")]).toHex(),
    "3a53574cd6e102" + "a9209d53" + "0300" + "01" + "616263",
  );
});

Deno.test("readFrames() gives back records of any length at any place in a block", () => {
  for (const before of [0, 100, 32740, 32743, 32744, 32745, 32746, 32747, 32748, 32750, 32761]) {
    const records = [
      record(before, 1),
      record(3, 2),
      record(70_000, 3),
      record(0, 4),
      record(9, 5),
    ];
    const read = [...readFrames(fileOf(records))];
    assert.deepEqual(read.map((each) => each.length), records.map((each) => each.length));
    for (const [index, each] of read.entries()) assert.deepEqual(each, records[index]);
  }
});

Deno.test("readFrames() stops at a record cut short or damaged", () => {
  const file = fileOf([record(5, 1), record(40_000, 2), record(6, 3)]);
  for (const length of [0, 3, 7, 10, 20, 100, 32_768, 40_000, file.length - 1]) {
    const whole = [...readFrames(file.subarray(0, length))].length;
    assert.equal(whole, length < 19 ? 0 : length === file.length - 1 ? 2 : 1, `at ${length}`);
  }
  const damaged = file.slice();
  damaged[30] ^= 1;
  assert.equal([...readFrames(damaged)].length, 1);
  assert.equal([...readFrames(new Uint8Array(100))].length, 0);
});

/** A fragment of one type alone, as a damaged or a hostile file has it: 2 FIRST, 3 MIDDLE, 4 LAST. */
function fragment(type: number, data: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(7 + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, crc32(Uint8Array.of(type, ...data)), true);
  view.setUint16(4, data.length, true);
  view.setUint8(6, type);
  bytes.set(data, 7);
  return bytes;
}

Deno.test("readFrames() stops at a fragment that begins nothing, and at one that begins amid another", () => {
  const [whole, part] = [record(5, 1), record(6, 2)];
  const FULL = 1;
  for (
    const [types, records] of [
      [[FULL, 2, 4], 2],
      [[FULL, 2, 3, 4], 2],
      [[FULL, 4], 1],
      [[FULL, 3, 4], 1],
      [[FULL, 2, FULL], 1],
      [[FULL, 2, 2, 4], 1],
    ] as const
  ) {
    const file = types.map((type) => fragment(type, type === FULL ? whole : part))
      .reduce((sum, each) => Uint8Array.of(...sum, ...each), SWANLAB_HEADER);
    assert.equal([...readFrames(file)].length, records, types.join());
  }
});
