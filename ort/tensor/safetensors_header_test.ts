import assert from "node:assert/strict";
import { MersenneTwister } from "./mersenne_twister.ts";
import {
  maxSafetensorsTensors,
  parseSafetensorsHeader,
  type SafetensorsHeader,
} from "./safetensors_header.ts";

const a = '"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}';

/** A file's first bytes with the length in front. */
function withLength(json: string | Uint8Array, length?: bigint): Uint8Array {
  const text = typeof json === "string" ? new TextEncoder().encode(json) : json;
  const bytes = new Uint8Array(8 + text.length);
  new DataView(bytes.buffer).setBigUint64(0, length ?? BigInt(text.length), true);
  bytes.set(text, 8);
  return bytes;
}

function parse(bytes: Uint8Array, dataBytes: number): SafetensorsHeader {
  return parseSafetensorsHeader(bytes, { fileLength: bytes.length + dataBytes, path: "m" });
}

Deno.test("a header from Python parses", () => {
  // >>> safetensors.torch.save({"w": torch.tensor([1., 2.])}, {"format": "pt"})  # safetensors 0.8.0
  const json = '{"__metadata__":{"format":"pt"},"w":{"dtype":"F32","shape":[2],' +
    '"data_offsets":[0,8]}}   ';
  const header = parse(withLength(json), 8);
  assert.deepEqual(header.metadata, new Map([["format", "pt"]]));
  assert.deepEqual(
    header.tensors,
    new Map([["w", { dtype: "float32", shape: [2], begin: 0, end: 8 }]]),
  );
  assert.equal(header.dataOffset, 8 + 88);
});

Deno.test("tensors come in the order of their bytes, whatever the order of the header", () => {
  const json = '{"b":{"dtype":"U8","shape":[1],"data_offsets":[8,9]},' +
    '"empty":{"dtype":"U8","shape":[0],"data_offsets":[8,8]},' + a + "}";
  assert.deepEqual([...parse(withLength(json), 9).tensors.keys()], ["a", "empty", "b"]);
});

Deno.test("an empty header, scalars and inner whitespace are fine", () => {
  assert.equal(parse(withLength("{}"), 0).tensors.size, 0);
  const json = '{ "s" :\n{"shape":[], "dtype":"I64",\t"data_offsets":[0, 8]} }   ';
  assert.deepEqual(parse(withLength(json), 8).tensors.get("s")?.shape, []);
});

Deno.test("names such as __proto__ are names and touch no prototype", () => {
  const json = '{"__proto__":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},' +
    '"constructor":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}';
  const { tensors } = parse(withLength(json), 2);
  assert.deepEqual([...tensors.keys()], ["__proto__", "constructor"]);
  assert.equal(({} as Record<string, unknown>).dtype, undefined);
});

Deno.test("a header at an odd place of a larger buffer parses", () => {
  const bytes = withLength(`{${a}}`);
  const shifted = new Uint8Array(bytes.length + 3);
  shifted.set(bytes, 3);
  assert.equal(parse(shifted.subarray(3), 8).tensors.size, 1);
});

/** The tensor `a` with some of its fields replaced; undefined drops one. */
function tensor(fields: Record<string, string | undefined>): string {
  const all: Record<string, string | undefined> = {
    dtype: '"F32"',
    shape: "[2]",
    data_offsets: "[0,8]",
    ...fields,
  };
  const kept = Object.entries(all).filter(([, value]) => value !== undefined);
  return `{"a":{${kept.map(([key, value]) => `"${key}":${value}`).join(",")}}}`;
}

const notJson = "its header is not the JSON of a safetensors file: at character ";

/** [header JSON or first bytes, bytes of data after it, the problem in the message]. */
const malformed: [header: string | Uint8Array, dataBytes: number, problem: string][] = [
  // The length in front.
  [new Uint8Array(0), 0, "it has 0 bytes, under the 8 of a header length"],
  [new Uint8Array(7), 0, "it has 7 bytes, under the 8 of a header length"],
  [new Uint8Array(8), 0, 'its header does not begin with "{"'],
  [withLength("{}", 3n), 0, "its header says 3 bytes, but only 2 follow"],
  [withLength("{}", 2n ** 63n), 0, "its header says 9223372036854775808 bytes, but only 2 follow"],
  [
    withLength("{}", 2n ** 64n - 1n),
    0,
    "its header says 18446744073709551615 bytes, but only 2 follow",
  ],
  [
    withLength("{}", 2n ** 53n + 1n),
    0,
    "its header says 9007199254740993 bytes, but only 2 follow",
  ],
  [withLength("{}", 1n), 0, `${notJson}1: expected "\\"", the text ends`],
  [withLength("{}", 5n), 3, "10 bytes were given of a header that ends at 13"],
  // Encoding and syntax.
  [withLength(Uint8Array.of(0x7b, 0xff, 0x7d)), 0, "its header is not UTF-8"],
  [withLength(Uint8Array.of(0x7b, 0x22, 0xed, 0xa0, 0x80, 0x22)), 0, "its header is not UTF-8"],
  [withLength(Uint8Array.of(0x7b, 0x22, 0xc0, 0xaf, 0x22)), 0, "its header is not UTF-8"],
  ["\ufeff{}", 0, 'its header does not begin with "{"'],
  [" {}", 0, 'its header does not begin with "{"'],
  ["[]", 0, 'its header does not begin with "{"'],
  ["null", 0, 'its header does not begin with "{"'],
  ["PK\u0003\u0004", 0, 'its header does not begin with "{"'],
  ["{", 0, `${notJson}1: expected "\\"", the text ends`],
  ["{}{}", 0, `${notJson}2: expected the end, found "{"`],
  ["{}x", 0, `${notJson}2: expected the end, found "x"`],
  ["{}\0\0", 0, `${notJson}2: expected the end, found "\\u0000"`],
  ["{}\n", 0, "its header is padded with something other than spaces"],
  ["{} \t ", 0, "its header is padded with something other than spaces"],
  [`{${a},}`, 8, `${notJson}54: expected "\\"", found "}"`],
  [`{${a},${a}}`, 8, `${notJson}54: duplicate key "a"`],
  [`{"\\u0061":{},${a}}`, 8, `${notJson}13: duplicate key "a"`],
  ['{"__metadata__":{},"__metadata__":{}}', 0, `${notJson}19: duplicate key "__metadata__"`],
  ['{"\\ud800":{}}', 0, `${notJson}1: the string holds a lone surrogate`],
  ['{"a\u0001":{}}', 0, `${notJson}3: a control character in a string must be escaped`],
  ["{'a':{}}", 0, `${notJson}1: expected "\\"", found "'"`],
  ["{/**/}", 0, `${notJson}1: expected "\\"", found "/"`],
  // Metadata.
  ['{"__metadata__":[]}', 0, "its __metadata__ is not an object"],
  ['{"__metadata__":null}', 0, "its __metadata__ is not an object"],
  ['{"__metadata__":"pt"}', 0, "its __metadata__ is not an object"],
  ['{"__metadata__":{"n":1}}', 0, 'its __metadata__ entry "n" is not a string'],
  ['{"__metadata__":{"n":null}}', 0, 'its __metadata__ entry "n" is not a string'],
  ['{"__metadata__":{"n":{"m":"o"}}}', 0, 'its __metadata__ entry "n" is not a string'],
  ['{"__metadata__":{"n":"1","n":"2"}}', 0, `${notJson}25: duplicate key "n"`],
  // A tensor's fields.
  ['{"a":1}', 0, 'tensor "a" is not an object'],
  ['{"a":[]}', 0, 'tensor "a" is not an object'],
  ['{"a":{}}', 0, 'tensor "a" lacks dtype'],
  [tensor({ dtype: undefined }), 8, 'tensor "a" lacks dtype'],
  [tensor({ shape: undefined }), 8, 'tensor "a" lacks shape'],
  [tensor({ data_offsets: undefined }), 8, 'tensor "a" lacks data_offsets'],
  [tensor({ extra: "1" }), 8, 'tensor "a" has an unknown field "extra"'],
  [tensor({ dtype: "1" }), 8, 'tensor "a" has a dtype that is not a string'],
  [tensor({ dtype: "null" }), 8, 'tensor "a" has a dtype that is not a string'],
  [tensor({ dtype: '"f32"' }), 8, 'tensor "a" has dtype "f32", which ortune does not read'],
  [tensor({ dtype: '"C64"' }), 8, 'tensor "a" has dtype "C64", which ortune does not read'],
  [
    tensor({ dtype: '"__proto__"' }),
    8,
    'tensor "a" has dtype "__proto__", which ortune does not read',
  ],
  [tensor({ shape: "2" }), 8, 'tensor "a" has something other than an array as shape'],
  [tensor({ shape: '"2"' }), 8, 'tensor "a" has something other than an array as shape'],
  [tensor({ shape: '["2"]' }), 8, 'tensor "a" has an entry in shape that is not an integer'],
  [tensor({ shape: "[[2]]" }), 8, 'tensor "a" has an entry in shape that is not an integer'],
  [tensor({ shape: "[null]" }), 8, 'tensor "a" has an entry in shape that is not an integer'],
  [tensor({ shape: "[true,2]" }), 8, 'tensor "a" has an entry in shape that is not an integer'],
  [tensor({ shape: "[[[2]]]" }), 8, `${notJson}30: nesting is deeper than 4`],
  // Numbers.
  [tensor({ shape: "[-2]" }), 8, `${notJson}29: expected a value, found "-"`],
  [tensor({ shape: "[-0]" }), 8, `${notJson}29: expected a value, found "-"`],
  [
    tensor({ shape: "[2.0]" }),
    8,
    `${notJson}29: only plain non-negative integers are accepted as numbers`,
  ],
  [
    tensor({ shape: "[2e0]" }),
    8,
    `${notJson}29: only plain non-negative integers are accepted as numbers`,
  ],
  [
    tensor({ shape: "[02]" }),
    8,
    `${notJson}29: only plain non-negative integers are accepted as numbers`,
  ],
  [tensor({ shape: "[NaN]" }), 8, `${notJson}29: expected a value, found "N"`],
  [tensor({ shape: "[9007199254740993]" }), 8, `${notJson}29: the integer exceeds 2^53 − 1`],
  [
    tensor({ data_offsets: "[0,8.0]" }),
    8,
    `${notJson}50: only plain non-negative integers are accepted as numbers`,
  ],
  // Sizes and offsets.
  [
    tensor({ shape: "[9007199254740991]" }),
    8,
    'tensor "a" has a shape whose size exceeds 2^53 − 1 bytes',
  ],
  [
    tensor({ shape: "[4294967296,4294967296]" }),
    8,
    'tensor "a" has a shape whose size exceeds 2^53 − 1 bytes',
  ],
  [
    tensor({ shape: "[3]" }),
    8,
    'tensor "a" has data_offsets of 8 bytes, but its dtype and shape take 12',
  ],
  [
    tensor({ shape: "[]" }),
    8,
    'tensor "a" has data_offsets of 8 bytes, but its dtype and shape take 4',
  ],
  [
    tensor({ dtype: '"F64"' }),
    8,
    'tensor "a" has data_offsets of 8 bytes, but its dtype and shape take 16',
  ],
  [
    tensor({ data_offsets: "8" }),
    8,
    'tensor "a" has something other than an array as data_offsets',
  ],
  [tensor({ data_offsets: "[8]" }), 8, 'tensor "a" has 1 data_offsets instead of 2'],
  [tensor({ data_offsets: "[0,4,8]" }), 8, 'tensor "a" has 3 data_offsets instead of 2'],
  [tensor({ data_offsets: "[8,0]" }), 8, 'tensor "a" ends at byte 0, before its beginning 8'],
  [
    tensor({ data_offsets: "[4,12]" }),
    12,
    'tensor "a" begins at byte 4 of the data, but the one before it ends at 0',
  ],
  [
    `{${a},"b":{"dtype":"U8","shape":[1],"data_offsets":[9,10]}}`,
    10,
    'tensor "b" begins at byte 9 of the data, but the one before it ends at 8',
  ],
  [
    `{${a},"b":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}`,
    8,
    'tensor "b" begins at byte 4 of the data, but the one before it ends at 8',
  ],
  [
    `{${a},"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`,
    8,
    'tensor "b" begins at byte 0 of the data, but the one before it ends at 8',
  ],
  [`{${a}}`, 7, "its header describes 70 bytes, but the file has 69"],
  [`{${a}}`, 9, "its header describes 70 bytes, but the file has 71"],
  [`{${a}}`, 0, "its header describes 70 bytes, but the file has 62"],
  ["{}", 1, "its header describes 10 bytes, but the file has 11"],
];

Deno.test(`${malformed.length} malformed headers are refused with the file, the tensor and a way out`, () => {
  assert.ok(malformed.length >= 60);
  for (const [header, dataBytes, problem] of malformed) {
    const bytes = typeof header === "string" ? withLength(header) : header;
    assert.throws(
      () => parse(bytes, dataBytes),
      (error: unknown) => {
        assert.ok(error instanceof RangeError || error instanceof SyntaxError, String(error));
        assert.equal(
          error.message,
          `Cannot read safetensors "m": ${problem}. The file is damaged or not safetensors: ` +
            "download or write it again",
        );
        return true;
      },
    );
  }
});

Deno.test("a header over the limit is refused before it is read, and the limit can be raised", () => {
  const length = 8 * 1024 * 1024 + 1;
  const options = { fileLength: 8 + length, path: "m" };
  const bytes = withLength("{}".padEnd(length));
  assert.throws(() => parseSafetensorsHeader(bytes.subarray(0, 8), options), {
    name: "RangeError",
    message:
      'Cannot read safetensors "m": its header of 8388609 bytes exceeds the limit of 8388608. ' +
      "If you trust the file, raise maxHeaderBytes",
  });
  const raised = { ...options, maxHeaderBytes: length };
  assert.equal(parseSafetensorsHeader(bytes, raised).tensors.size, 0);
});

Deno.test("more than 65536 tensors are refused", () => {
  const many = (count: number): string => {
    const names = Array.from(
      { length: count },
      (_, i) => `"${i}":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`,
    );
    return `{${names.join(",")}}`;
  };
  assert.equal(parse(withLength(many(maxSafetensorsTensors)), 0).tensors.size, 65_536);
  assert.throws(
    () => parse(withLength(many(maxSafetensorsTensors + 1)), 0),
    /lists 65537 tensors, more than 65536/,
  );
  assert.throws(
    () => parse(withLength(many(maxSafetensorsTensors + 2)), 0),
    /more than 65537 entries/,
  );
});

Deno.test("a name of megabytes is cut in the message", () => {
  const json = `{"${"x".repeat(1e6)}":1}`;
  assert.throws(() => parse(withLength(json), 0), (error: Error) => error.message.length < 400);
});

Deno.test("2000 mutated headers parse or are refused with our errors, each fast", () => {
  const random = MersenneTwister.fromSeed(20250);
  const below = (n: number): number => random.nextUint32() % n;
  const seed = withLength(
    `{"__metadata__":{"format":"pt"},${a},` +
      '"b.\\u00e9":{"dtype":"BF16","shape":[2,3],"data_offsets":[8,20]}}   ',
  );
  const pieces = [
    '"',
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "0",
    "-",
    "1e9",
    "\\u",
    "null",
    "9".repeat(20),
    "\0",
  ]
    .map((piece) => new TextEncoder().encode(piece));
  let accepted = 0;
  for (let i = 0; i < 2000; i++) {
    let bytes = [...seed];
    for (let edits = 1 + below(4); edits > 0; edits--) {
      // Most mutations leave the length alone, or nothing behind it would be tried.
      const at = below(10) === 0 ? below(8) : 8 + below(bytes.length - 8);
      const kind = below(4);
      if (kind === 0) bytes[at] = below(256);
      else if (kind === 1) bytes[at] ^= 1 << below(8);
      else if (kind === 2) bytes.splice(at, 1 + below(8));
      else bytes.splice(at, 0, ...pieces[below(pieces.length)]);
      if (bytes.length < 9) bytes = [...seed];
    }
    const mutated = Uint8Array.from(bytes);
    if (below(2) === 0) {
      new DataView(mutated.buffer).setBigUint64(0, BigInt(bytes.length - 8), true);
    }
    const start = performance.now();
    try {
      parse(mutated, 20);
      accepted++;
    } catch (error) {
      const ours = (error instanceof RangeError || error instanceof SyntaxError) &&
        error.message.startsWith('Cannot read safetensors "m": ');
      assert.ok(ours, `mutation ${i}: ${error}`);
    }
    assert.ok(performance.now() - start < 1000, `mutation ${i} took over a second`);
  }
  // Some change only a name: a fuzz that is never accepted tests too little.
  assert.ok(accepted > 20, `${accepted} were accepted`);
});

Deno.test("dtypes of quantized models are named as such", () => {
  for (const dtype of ["F8_E4M3", "F8_E5M2", "F8_E8M0", "F6_E2M3", "F4"]) {
    const json = `{"a":{"dtype":"${dtype}","shape":[8],"data_offsets":[0,8]}}`;
    assert.throws(() => parse(withLength(json), 8), {
      name: "RangeError",
      message: `Cannot read safetensors "m": tensor "a" has dtype "${dtype}", which ortune does ` +
        "not read. It is a quantized model's: take the unquantized one",
    });
  }
});
