/** Damaged and hostile files: an exact error each, nothing allocated for what a file only claims to hold. */

import assert from "node:assert/strict";
import { tempFolder } from "../tests/support/temp_folder.ts";
import { openGguf } from "./read_gguf.ts";

type Bytes = readonly number[];

const little = (value: number | bigint, width: number): Bytes =>
  Array.from({ length: width }, (_, i) => Number((BigInt(value) >> BigInt(8 * i)) & 255n));
const u32 = (value: number): Bytes => little(value, 4);
const u64 = (value: number | bigint): Bytes => little(value, 8);
const raw = (text: string): Bytes => [...new TextEncoder().encode(text)];
const text = (value: string): Bytes => [...u64(raw(value).length), ...raw(value)];

const [UINT8, UINT32, BOOL, STRING, ARRAY] = [0, 4, 7, 8, 9];
const [F32, Q8_0, IQ3_XXS] = [0, 8, 18];
const HUGE = 2n ** 62n;

/** A good file in parts, in their order. */
const GOOD = {
  magic: raw("GGUF"),
  version: u32(3),
  tensorCount: u64(2),
  keyCount: u64(4),
  key: text("general.architecture"),
  keyType: u32(STRING),
  keyValue: text("llama"),
  alignment: [...text("general.alignment"), ...u32(UINT32), ...u32(32)],
  flag: [...text("flag"), ...u32(BOOL), 1],
  list: text("tokens"),
  listType: u32(ARRAY),
  listOf: u32(STRING),
  listCount: u64(2),
  list0: text("a"),
  list1: text("发"),
  name0: text("a.weight"),
  dimensions0: u32(2),
  columns0: u64(32),
  rows0: u64(2),
  type0: u32(Q8_0),
  offset0: u64(0),
  name1: text("b.weight"),
  dimensions1: u32(1),
  columns1: u64(4),
  type1: u32(F32),
  offset1: u64(96),
};
type Parts = { -readonly [Name in keyof typeof GOOD]: Bytes };
const DATA = 96 + 16;

/** The file, its numbers at the alignment. */
function join(parts: Parts, data = DATA): Uint8Array {
  const header = Object.values(parts).flat();
  const file = new Uint8Array(Math.ceil(header.length / 32) * 32 + data);
  file.set(header);
  return file;
}

/** A change of a few parts, and what is said of it. */
type Mutation = readonly [name: string, change: Partial<Parts>, message: RegExp];

const value = (type: number, ...bytes: Bytes): Partial<Parts> => ({
  keyType: u32(type),
  keyValue: bytes,
});
const list = (of: number, count: number | bigint, ...values: Bytes): Partial<Parts> => ({
  ...{ listOf: u32(of), listCount: u64(count) },
  ...{ list0: values, list1: [] },
});
const alignment = (bytes: Bytes): Partial<Parts> => ({
  alignment: [...text("general.alignment"), ...bytes],
});

const MUTATIONS: readonly Mutation[] = [
  ["another format", { magic: raw("GGML") }, /byte 0: it begins with the bytes 47474d4c, not with/],
  ["version 1", { version: u32(1) }, /byte 4: its version is 1, and versions 2 and 3 are read/],
  ["version 4", { version: u32(4) }, /its version is 4/],
  ["big-endian", { version: [0, 0, 0, 3] }, /its version reads backwards, .*gguf_convert_endian/],
  [
    "2^62 tensors",
    { tensorCount: u64(HUGE) },
    /byte 8: the number of tensors is 4611686018427387904/,
  ],
  [
    "more tensors than bytes",
    { tensorCount: u64(60_000) },
    /tensors is 60000, which takes .* bytes/,
  ],
  [
    "a tensor too many",
    { tensorCount: u64(3) },
    /tensor 2 is named "", which is empty/,
  ],
  ["2^62 keys", { keyCount: u64(HUGE) }, /byte 16: the number of keys is 46116.*, over the limit/],
  ["more keys than bytes", { keyCount: u64(5_000) }, /the number of keys is 5000, which takes/],
  ["a key fewer", { keyCount: u64(3) }, /"tokens" has 9 dimensions, and ggml has 1 to 4/],
  ["a key without a name", { key: u64(0) }, /byte 24: key 0 is "", empty/],
  [
    "a key of 2^62 bytes",
    { key: u64(HUGE) },
    /the text of key 0 has 4611686018427387904 bytes, but/,
  ],
  [
    "a key that is no UTF-8",
    { key: [...u64(2), 0xff, 0xfe] },
    /byte 32: the text of key 0 is not UTF-8/,
  ],
  ["a key twice", { key: text("flag") }, /key 2 is "flag", a key before it/],
  [
    "a type that is none",
    value(13),
    /the type of "general.architecture" is 13, and GGUF's types are/,
  ],
  [
    "a text past the end",
    value(STRING, ...u64(5_000)),
    /"general.architecture" has 5000 bytes, but/,
  ],
  ["half a character", value(STRING, ...u64(1), 0xe5), /"general.architecture" is not UTF-8/],
  ["a boolean of 2", value(BOOL, 2), /"general.architecture" is 2, and a boolean is 0 or 1/],
  [
    "an array of arrays",
    { listOf: u32(ARRAY) },
    /"tokens" is an array of arrays, which GGUF lacks/,
  ],
  ["values of no type", { listOf: u32(99) }, /the type of "tokens"'s values is 99/],
  [
    "2^62 texts",
    { listCount: u64(HUGE) },
    /the length of "tokens" is 46.*, over the limit of 4194304/,
  ],
  [
    "more texts than bytes",
    { listCount: u64(4_000_000) },
    /which takes 32000000 bytes or more, but/,
  ],
  [
    "a text too many",
    { listCount: u64(3) },
    /the text of the name of tensor 0 has 137438953474 by/,
  ],
  [
    "a text in a list past the end",
    { list1: u64(9_999) },
    /the text of "tokens"\[1\] has 9999 bytes/,
  ],
  ["a text in a list that is no UTF-8", { list0: [...u64(1), 0x80] }, /"tokens"\[0\] is not UTF-8/],
  ["numbers past the end", list(UINT8, 100_000), /the length of "tokens" is 100000, which takes/],
  ["a boolean of 3 in a list", list(BOOL, 2, 1, 3), /"tokens"\[1\] is 3, and a boolean is 0 or 1/],
  [
    "an alignment of 0",
    alignment([...u32(UINT32), ...u32(0)]),
    /"general.alignment" is 0 \(uint32\)/,
  ],
  [
    "an alignment of 24",
    alignment([...u32(UINT32), ...u32(24)]),
    /is 24 \(uint32\), .* power of two/,
  ],
  ["an alignment of 2^31", alignment([...u32(UINT32), ...u32(2 ** 31)]), /up to 65536 as uint32/],
  [
    "an alignment as text",
    alignment([...u32(STRING), ...text("32")]),
    /is 32 \(string\), expected/,
  ],
  ["a tensor without a name", { name0: u64(0) }, /tensor 0 is named "", which is empty/],
  ["a tensor twice", { name1: text("a.weight") }, /tensor 1 is named "a.weight", as one before it/],
  ["no dimensions", { dimensions1: u32(0) }, /"b.weight" has 0 dimensions, and ggml has 1 to 4/],
  ["2^31 dimensions", { dimensions0: u32(2 ** 31) }, /"a.weight" has 2147483648 dimensions/],
  ["a size of 0", { rows0: u64(0) }, /size 1 of "a.weight" is 0, which/],
  [
    "a size of 2^62",
    { rows0: u64(HUGE) },
    /size 1 of "a.weight" is 46.*, which the .* bytes of the file/,
  ],
  [
    "sizes whose product is past 2^64",
    { columns0: u64(2n ** 33n), rows0: u64(2n ** 33n) },
    /size 0 of/,
  ],
  [
    "half a block",
    { columns0: u64(48) },
    /"a.weight": .* rows of 48 numbers are no whole blocks of 32/,
  ],
  [
    "a type that is not read",
    { type0: u32(IQ3_XXS) },
    /"a.weight" is stored as type 18 \(iq3_xxs\)/,
  ],
  [
    "a type that is none",
    { type0: u32(4) },
    /type 4 \(unknown to ggml\), which is not read. Take a/,
  ],
  ["a type of 2^31", { type1: u32(2 ** 31) }, /type 2147483648 \(unknown to ggml\)/],
  [
    "an odd offset",
    { offset1: u64(100) },
    /the offset of "b.weight" is 100, expected a multiple of 32/,
  ],
  [
    "an offset past the end",
    { offset1: u64(HUGE) },
    /the offset of "b.weight" is 4611686018427387904/,
  ],
  [
    "numbers past the end",
    { offset1: u64(128) },
    /"b.weight" ends at byte \d+, but the file has \d+/,
  ],
  [
    "tensors that overlap",
    { offset1: u64(64) },
    /"b.weight" begins at byte \d+, inside "a.weight"/,
  ],
  ["tensors at one place", { offset1: u64(0) }, /begins at byte \d+, inside/],
  ["a larger tensor than there are bytes", { rows0: u64(40) }, /"a.weight" ends at byte 1648, but/],
];

Deno.test(`${MUTATIONS.length} damaged headers are refused with file, place and value`, async () => {
  await using folder = await tempFolder();
  const path = `${folder.path}/a.gguf`;
  await Deno.writeFile(path, join(GOOD));
  await (await openGguf(path))[Symbol.asyncDispose]();
  const before = Deno.memoryUsage().rss;
  for (const [name, change, message] of MUTATIONS) {
    await Deno.writeFile(path, join({ ...GOOD, ...change }));
    await assert.rejects(openGguf(path), (error: Error) => {
      assert.equal(error.constructor, RangeError, `${name}: ${error}`);
      assert.match(error.message, /^Cannot read GGUF ".*a\.gguf"/, name);
      assert.match(error.message, message, name);
      return true;
    }, name);
  }
  // Each file's buffer is 1 MiB; what the files claim is up to 2^62 bytes.
  assert.ok(Deno.memoryUsage().rss - before < 256 * 2 ** 20);
});

Deno.test("a file that is cut at any byte is refused", async () => {
  await using folder = await tempFolder();
  const path = `${folder.path}/a.gguf`;
  const whole = join(GOOD);
  for (let length = 0; length < whole.length; length += 3) {
    await Deno.writeFile(path, whole.subarray(0, length));
    await assert.rejects(openGguf(path), RangeError, `${length} bytes`);
  }
});

Deno.test("a file with any byte changed is read or refused, and nothing else", async () => {
  await using folder = await tempFolder();
  const path = `${folder.path}/a.gguf`;
  const whole = join(GOOD);
  let refused = 0;
  for (let at = 0; at < whole.length - DATA; at++) {
    const changed = whole.slice();
    changed[at] ^= at % 2 === 0 ? 0xff : 0x80;
    await Deno.writeFile(path, changed);
    try {
      await using file = await openGguf(path);
      assert.ok(file.tensors.size > 0);
    } catch (error) {
      assert.equal((error as Error).constructor, RangeError, `byte ${at}: ${error}`);
      refused++;
    }
  }
  assert.ok(refused > 200, `${refused}`);
});

Deno.test("what is no file is refused", async () => {
  await using folder = await tempFolder();
  await assert.rejects(openGguf(`${folder.path}/none.gguf`), /Cannot read GGUF .*no such file/);
  await assert.rejects(openGguf(folder.path), /it is not a regular file. Give a file/);
});
