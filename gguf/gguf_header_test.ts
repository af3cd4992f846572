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

/** Where a part of a file begins. */
function placeOf(parts: Parts, part: keyof Parts): number {
  let at = 0;
  for (const [name, bytes] of Object.entries(parts)) {
    if (name === part) return at;
    at += bytes.length;
  }
  throw new Error(part);
}

const DAMAGED = "The file is damaged or no GGUF: download or write it again";

Deno.test("a fault is told whole, with the byte at which it begins", async () => {
  await using folder = await tempFolder();
  const path = `${folder.path}/a.gguf`;
  const told = async (file: Uint8Array): Promise<string> => {
    await Deno.writeFile(path, file);
    const error = await openGguf(path).then(() => new Error("read"), (error: Error) => error);
    return error.message.replace(JSON.stringify(path), "FILE");
  };
  for (
    const [change, part, further, problem, remedy = DAMAGED] of [
      [
        { magic: raw("GGML") },
        "magic",
        0,
        "it begins with the bytes 47474d4c, not with 47475546 (GGUF)",
      ],
      [
        { version: u32(1) },
        "version",
        0,
        "its version is 1, and versions 2 and 3 are read",
        "Convert the model with a new llama.cpp",
      ],
      [
        { version: [0, 0, 0, 3] },
        "version",
        0,
        "its version reads backwards, as in a file for big-endian machines",
        "Convert it with gguf_convert_endian.py",
      ],
      [
        { tensorCount: u64(65_537) },
        "tensorCount",
        0,
        "the number of tensors is 65537, over the limit of 65536",
      ],
      [
        { keyCount: u64(65_537) },
        "keyCount",
        0,
        "the number of keys is 65537, over the limit of 65536",
      ],
      [{ key: text("flag") }, "flag", 0, 'key 2 is "flag", a key before it'],
      [{ key: u64(0) }, "key", 0, 'key 0 is "", empty'],
      [{ key: [...u64(2), 0xff, 0xfe] }, "key", 8, "the text of key 0 is not UTF-8"],
      [
        value(13),
        "keyType",
        0,
        'the type of "general.architecture" is 13, and GGUF\'s types are 0 to 12',
      ],
      [value(BOOL, 2), "keyValue", 0, '"general.architecture" is 2, and a boolean is 0 or 1'],
      [{ listOf: u32(ARRAY) }, "listOf", 0, '"tokens" is an array of arrays, which GGUF lacks'],
      [
        { listOf: u32(99) },
        "listOf",
        0,
        "the type of \"tokens\"'s values is 99, and GGUF's types are 0 to 12",
      ],
      [
        { listCount: u64(4_194_305) },
        "listCount",
        0,
        'the length of "tokens" is 4194305, over the limit of 4194304',
      ],
      [list(BOOL, 3, 1, 0, 3), "list0", 2, '"tokens"[2] is 3, and a boolean is 0 or 1'],
      [{ list0: [...u64(1), 0x80] }, "list0", 8, 'the text of "tokens"[0] is not UTF-8'],
      [{ name0: u64(0) }, "name0", 0, 'tensor 0 is named "", which is empty'],
      [{ name1: text("a.weight") }, "name1", 0, 'tensor 1 is named "a.weight", as one before it'],
      [
        { dimensions1: u32(0) },
        "dimensions1",
        0,
        '"b.weight" has 0 dimensions, and ggml has 1 to 4',
      ],
      [
        { dimensions0: u32(5) },
        "dimensions0",
        0,
        '"a.weight" has 5 dimensions, and ggml has 1 to 4',
      ],
      [
        { columns0: u64(48) },
        "type0",
        0,
        '"a.weight": Cannot lay out a tensor [2, 48] as q8_0: rows of 48 numbers are no whole blocks of 32',
      ],
      [
        { type0: u32(IQ3_XXS) },
        "type0",
        0,
        '"a.weight" is stored as type 18 (iq3_xxs), which is not read',
        "Take a file with f32, f16, q4_0, q4_1, q5_0, q5_1, q8_0, q2_k, q3_k, q4_k, q5_k, q6_k, bf16",
      ],
      [
        { offset1: u64(100) },
        "offset1",
        0,
        'the offset of "b.weight" is 100, expected a multiple of 32 inside the file',
      ],
    ] as readonly (readonly [Partial<Parts>, keyof Parts, number, string, string?])[]
  ) {
    const parts = { ...GOOD, ...change };
    assert.equal(
      await told(join(parts)),
      `Cannot read GGUF FILE at byte ${placeOf(parts, part) + further}: ${problem}. ${remedy}`,
    );
  }
  // Those that depend on how long the file is.
  const { length } = join(GOOD);
  const at = (part: keyof Parts) => `Cannot read GGUF FILE at byte ${placeOf(GOOD, part)}: `;
  const left = (part: keyof Parts) => length - placeOf(GOOD, part) - 8;
  for (
    const [change, part, problem] of [
      [
        { tensorCount: u64(100) },
        "tensorCount",
        `the number of tensors is 100, which takes 3300 bytes or more, but ${
          left("tensorCount")
        } follow`,
      ],
      [
        { keyCount: u64(100) },
        "keyCount",
        `the number of keys is 100, which takes 1400 bytes or more, but ${left("keyCount")} follow`,
      ],
      [
        { listCount: u64(4_194_304) },
        "listCount",
        `the length of "tokens" is 4194304, which takes 33554432 bytes or more, but ${
          left("listCount")
        } follow`,
      ],
      [
        { list1: u64(9_999) },
        "list1",
        `the text of "tokens"[1] has 9999 bytes, but ${left("list1") + 32 - 32} follow`,
      ],
      [
        { rows0: u64(0) },
        "rows0",
        `size 1 of "a.weight" is 0, which the ${length} bytes of the file cannot hold`,
      ],
      [
        { columns0: u64(HUGE) },
        "columns0",
        `size 0 of "a.weight" is ${HUGE}, which the ${length} bytes of the file cannot hold`,
      ],
    ] as readonly (readonly [Partial<Parts>, keyof Parts, string])[]
  ) {
    const file = join({ ...GOOD, ...change });
    const message = await told(file);
    if (file.length === length) assert.equal(message, `${at(part)}${problem}. ${DAMAGED}`);
    else assert.ok(message.startsWith(at(part)), message);
  }
  const start = Math.ceil(Object.values(GOOD).flat().length / 32) * 32;
  for (
    const [change, problem] of [
      [
        { offset1: u64(128) },
        `tensor "b.weight" ends at byte ${start + 144}, but the file has ${length}`,
      ],
      [
        { offset1: u64(64) },
        `tensor "b.weight" begins at byte ${start + 64}, inside "a.weight", which ends at ${
          start + 68
        }`,
      ],
      [
        alignment([...u32(UINT32), ...u32(24)]),
        '"general.alignment" is 24 (uint32), expected a power of two up to 65536 as uint32',
      ],
    ] as const
  ) {
    assert.equal(
      await told(join({ ...GOOD, ...change })),
      `Cannot read GGUF FILE: ${problem}. ${DAMAGED}`,
    );
  }
  assert.equal(
    await told(join(GOOD).subarray(0, 30)),
    "Cannot read GGUF FILE at byte 8: the number of tensors is 2, which takes 66 bytes or more, but 14 follow. " +
      DAMAGED,
  );
  assert.equal(
    await told(join(GOOD).subarray(0, 3)),
    `Cannot read GGUF FILE at byte 0: the magic number ends at byte 4, but the file has 3. ${DAMAGED}`,
  );
});

Deno.test("tensors lie behind the header at the file's alignment, their sizes the other way round", async () => {
  await using folder = await tempFolder();
  const path = `${folder.path}/a.gguf`;
  await Deno.writeFile(path, join(GOOD));
  const start = Math.ceil(Object.values(GOOD).flat().length / 32) * 32;
  {
    await using file = await openGguf(path);
    assert.equal(file.version, 3);
    assert.deepEqual([...file.tensors], [
      ["a.weight", { type: "q8_0", shape: [2, 32], bytes: 68, start }],
      ["b.weight", { type: "f32", shape: [4], bytes: 16, start: start + 96 }],
    ]);
    assert.deepEqual([...file.metadata], [
      ["general.architecture", { type: "string", value: "llama" }],
      ["general.alignment", { type: "uint32", value: 32 }],
      ["flag", { type: "bool", value: true }],
      ["tokens", { type: "array", of: "string", values: ["a", "发"] }],
    ]);
  }
  for (const [size, version] of [[1, 2], [8, 3], [65_536, 3]] as const) {
    const parts = {
      ...GOOD,
      version: u32(version),
      ...alignment([...u32(UINT32), ...u32(size)]),
      offset1: u64(Math.max(size, 68)),
    };
    const header = Object.values(parts).flat();
    const data = Math.ceil(header.length / size) * size;
    const second = data + (size === 8 ? 72 : Math.max(size, 68));
    if (size === 8) parts.offset1 = u64(72);
    const bytes = new Uint8Array(second + 16);
    bytes.set(Object.values(parts).flat());
    await Deno.writeFile(path, bytes);
    await using file = await openGguf(path);
    assert.equal(file.version, version);
    assert.deepEqual([...file.tensors.values()].map(({ start }) => start), [data, second]);
  }
});

Deno.test("a text of 16 MiB is read, and no longer one", async () => {
  await using folder = await tempFolder();
  const path = `${folder.path}/a.gguf`;
  const limit = 16 * 1024 * 1024;
  for (const length of [limit, limit + 1]) {
    const head = [
      ...GOOD.magic,
      ...GOOD.version,
      ...u64(0),
      ...u64(1),
      ...text("k"),
      ...u32(STRING),
      ...u64(length),
    ];
    await Deno.writeFile(path, Uint8Array.from(head));
    await Deno.truncate(path, head.length + length);
    if (length === limit) {
      await using file = await openGguf(path);
      const { value } = file.metadata.get("k") as { value: string };
      assert.equal(value.length, limit);
    } else {
      await assert.rejects(openGguf(path), {
        message:
          `Cannot read GGUF ${JSON.stringify(path)} at byte ${
            head.length - 8
          }: the text of "k" has ${length} bytes, over ` +
          `the limit of ${limit}. ${DAMAGED}`,
      });
    }
  }
});
