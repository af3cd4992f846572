import assert from "node:assert/strict";
import { zstdCompressSync, zstdDecompressSync } from "node:zlib";
import { splitZstdFrames } from "./zstd_frames.ts";

/** Little-endian bytes of a number. */
const littleEndian = (value: number, bytes: number): number[] =>
  Array.from({ length: bytes }, (_, i) => Math.floor(value / 256 ** i) % 256);
const filled = (length: number): number[] => Array.from({ length }, (_, i) => (i * 7) % 251);

const RAW = 0, RLE = 1, COMPRESSED = 2;
/** A block of so many bytes, as RFC 8878, 3.1.1.2 lays it out; one of RLE has one. */
function block(type: number, size: number, last: boolean): number[] {
  return [
    ...littleEndian(size * 8 + type * 2 + Number(last), 3),
    ...filled(type === RLE ? 1 : size),
  ];
}

/** A frame with all that its header may hold, 3.1.1.1. */
function frame(
  { single, dictionary, size, checksum }: {
    readonly single: boolean;
    readonly dictionary: 0 | 1 | 2 | 3;
    readonly size: 0 | 1 | 2 | 3;
    readonly checksum: boolean;
  },
  blocks: readonly number[][],
): number[] {
  const descriptor = size * 64 + Number(single) * 32 + Number(checksum) * 4 + dictionary;
  const sizeBytes = size === 0 ? Number(single) : 2 ** size;
  return [
    ...littleEndian(0xfd2fb528, 4),
    descriptor,
    ...single ? [] : [0x58],
    ...filled([0, 1, 2, 4][dictionary]),
    ...filled(sizeBytes),
    ...blocks.flat(),
    ...checksum ? [9, 8, 7, 6] : [],
  ];
}

/** A frame that is passed over, 3.1.2. */
const skippable = (magic: number, size: number): number[] => [
  ...littleEndian(magic, 4),
  ...littleEndian(size, 4),
  ...filled(size),
];

/** The frames that bytes are split into, given in chunks of some size; the rest in the last. */
async function split(bytes: Uint8Array, size: number): Promise<number[][]> {
  async function* chunks(): AsyncGenerator<Uint8Array, void, undefined> {
    const buffer = new Uint8Array(size);
    for (let at = 0; at < bytes.length; at += size) {
      await Promise.resolve();
      const chunk = bytes.subarray(at, at + size);
      buffer.set(chunk);
      yield buffer.subarray(0, chunk.length);
      // A chunk is valid until the next is asked for.
      buffer.fill(0);
    }
  }
  const frames: number[][] = [[]];
  for await (const piece of splitZstdFrames(chunks())) {
    assert.ok(piece.bytes.length > 0 && piece.bytes.length <= size);
    frames.at(-1)!.push(...piece.bytes);
    if (piece.last) frames.push([]);
  }
  return frames;
}

const HEADERS = [true, false].flatMap((single) =>
  ([0, 1, 2, 3] as const).flatMap((dictionary) =>
    ([0, 1, 2, 3] as const).map((size) => ({ single, dictionary, size }))
  )
);

Deno.test("splitZstdFrames() ends pieces where frames of all headers end", async () => {
  const frames = HEADERS.map((header, i) =>
    frame({ ...header, checksum: i % 3 === 0 }, [
      block(RAW, i, false),
      block(RLE, 5000 + i, false),
      block(COMPRESSED, 3, i % 2 === 0),
      ...i % 2 === 0 ? [] : [block(i % 4 === 1 ? RLE : RAW, 2 + i, true)],
    ])
  );
  const bytes = Uint8Array.from(frames.flat());
  for (const size of [1, 2, 3, 14, 64, bytes.length]) {
    assert.deepEqual(await split(bytes, size), [...frames, []], `${size}`);
  }
});

Deno.test("splitZstdFrames() takes skippable frames, empty blocks, and blocks of many bytes", async () => {
  const header = { single: true, dictionary: 0, size: 0, checksum: false } as const;
  const frames = [
    skippable(0x184d2a50, 0),
    skippable(0x184d2a5f, 300),
    frame(header, [block(RAW, 0, true)]),
    frame({ ...header, checksum: true }, [block(RAW, 0, false), block(RAW, 0, true)]),
    // More bytes than two bytes of a header count.
    frame(header, [block(COMPRESSED, 70_000, false), block(RLE, 2 ** 20, true)]),
    skippable(0x184d2a57, 70_000),
    frame(header, [block(RAW, 1, true)]),
  ];
  const bytes = Uint8Array.from(frames.flat());
  for (const size of [5000, bytes.length]) {
    assert.deepEqual(await split(bytes, size), [...frames, []], `${size}`);
  }
  assert.deepEqual(await split(new Uint8Array(0), 1), [[]]);
});

Deno.test("splitZstdFrames() splits what zstd has packed", async () => {
  const texts = ["a", "b".repeat(300_000), JSON.stringify(filled(5000)), ""];
  const packed = texts.map((text) => [...zstdCompressSync(new TextEncoder().encode(text))]);
  const frames = await split(Uint8Array.from(packed.flat()), 700);
  assert.deepEqual(frames, [...packed, []]);
  assert.equal(`${zstdDecompressSync(Uint8Array.from(frames[1]))}`, texts[1]);
});

Deno.test("splitZstdFrames() refuses a frame that is cut, wherever it is", async () => {
  const whole = [
    ...frame({ single: false, dictionary: 1, size: 1, checksum: true }, [
      block(RAW, 2, false),
      block(RLE, 9, true),
    ]),
    ...skippable(0x184d2a51, 3),
  ];
  const ends = [whole.length - 11, whole.length];
  for (let length = 1; length <= whole.length; length++) {
    const cut = split(Uint8Array.from(whole.slice(0, length)), 4);
    if (ends.includes(length)) await cut;
    else {await assert.rejects(
        cut,
        { name: "Error", message: "unexpected end of file" },
        `${length}`,
      );}
  }
});
