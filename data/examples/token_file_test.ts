import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { readdir, readFile, truncate, writeFile } from "node:fs/promises";
import { EMPTY_REPORT } from "../../tests/support/empty_report.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import type { LocatedExample } from "./encode_rows.ts";
import { joinExample } from "./join_example.ts";
import type { ReadExamplesReport } from "./read_examples_report.ts";
import {
  openTokenFile,
  removeOtherTokenFiles,
  tokenFileName,
  TokenFileWriter,
} from "./token_file.ts";

/** An example of ids, of which the first `prompt` are not supervised. */
function located(
  ids: readonly number[] | Int32Array,
  { prompt, line, ...more }: { prompt: number; line: number } & Partial<LocatedExample>,
): LocatedExample {
  const all = Int32Array.from(ids);
  const options = { maxLength: 1 << 30, terminated: true };
  const joined = joinExample(all.subarray(0, prompt), all.subarray(prompt), options);
  return { ...joined, source: { file: "rows.jsonl", line }, ...more };
}

const EXAMPLES = [
  located([5, 6, 7], { prompt: 1, line: 2, truncatedTokens: 4 }),
  located([1, 0], { prompt: 2, line: 9, terminated: false }),
];
/** Ids end to end, then lengths, supervised tokens, endings and lines of both. */
const NUMBERS = [...[5, 6, 7, 1, 0], ...[3, 2], ...[2, 0], ...[9, 0], ...[2, 9]];
const REPORT: ReadExamplesReport = {
  ...EMPTY_REPORT,
  ...{ rows: 9, examples: 2, tokens: 5, supervisedTokens: 2 },
  ...{ truncated: [2], unlabelled: [9], refused: [{ line: 3, reason: "bad" }] },
};
const int32 = (numbers: readonly number[]): Uint8Array =>
  new Uint8Array(Int32Array.from(numbers).buffer);
const sha256 = (...parts: readonly Uint8Array[]) => {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash;
};
const FACTS = {
  format: 3,
  key: "k",
  examples: 2,
  tokens: 5,
  sha256: sha256(int32([...[5, 6, 7], ...[-100, 6, 7], ...[1, 0], ...[-100, -100]])).digest("hex"),
  report: REPORT,
};

/** A file by its layout; `end` is what it says of its JSON's length. */
function fileOf(
  numbers: readonly number[],
  facts: unknown,
  end: (json: number) => number = (json) => json,
): Uint8Array {
  const json = new TextEncoder().encode(typeof facts === "string" ? facts : JSON.stringify(facts));
  const content = Uint8Array.of(...int32(numbers), ...json, ...int32([end(json.length)]));
  return Uint8Array.of(...content, ...sha256(content).digest());
}

Deno.test("tokenFileName() names the file of a key, and refuses what is no name", () => {
  assert.equal(tokenFileName("aZ0_-9"), "aZ0_-9.tokens");
  for (const key of ["", "../k", "a.b", "a b", "a\n"]) {
    assert.throws(() => tokenFileName(key), {
      name: "RangeError",
      message: `Cannot name a token file after the key ${
        JSON.stringify(key)
      }: give a hash in hexadecimal`,
    });
  }
});

Deno.test("removeOtherTokenFiles() leaves the files in use, and what is no token file", async () => {
  await using folder = await tempFolder();
  for (const name of ["a.tokens", "b.tokens", ".staging-c.tokens", "notes.txt"]) {
    await folder.write(name, "");
  }
  await removeOtherTokenFiles(folder.path, new Set([`${folder.path}/b.tokens`]));
  assert.deepEqual((await readdir(folder.path)).sort(), ["b.tokens", "notes.txt"]);
});

Deno.test("TokenFileWriter writes ids, columns, facts and their hash under another name first", async () => {
  await using folder = await tempFolder();
  const path = `${folder.path}/k.tokens`;
  {
    using writer = new TokenFileWriter({ path, key: "k" });
    for (const example of EXAMPLES) writer.add(example);
    assert.deepEqual(await readdir(folder.path), [".staging-k.tokens"]);
    writer.finish(REPORT);
    assert.deepEqual(await readdir(folder.path), ["k.tokens"]);
  }
  assert.deepEqual(await readdir(folder.path), ["k.tokens"]);
  assert.deepEqual(new Uint8Array(await readFile(path)), fileOf(NUMBERS, FACTS));
  {
    using writer = new TokenFileWriter({ path: `${folder.path}/l.tokens`, key: "l" });
    writer.add(EXAMPLES[0]);
  }
  assert.deepEqual(await readdir(folder.path), ["k.tokens"]);
});

Deno.test("openTokenFile() gives the examples and the report back", async () => {
  await using folder = await tempFolder();
  const path = await folder.write("k.tokens", fileOf(NUMBERS, FACTS));
  for (const unit of [undefined, "line", "row"] as const) {
    // The largest id is 7.
    const opened = await openTokenFile({ path, key: "k", source: "s.json", unit, vocabSize: 8 });
    assert.ok(opened !== undefined);
    using examples = opened.examples;
    assert.deepEqual(opened.report, REPORT);
    assert.deepEqual([examples.length, examples.sha256], [2, FACTS.sha256]);
    assert.deepEqual([...examples.lengths, ...examples.supervised, ...examples.lines], [
      ...[3, 2],
      ...[2, 0],
      ...[2, 9],
    ]);
    for (const index of [1, 0]) {
      const { source: { line }, ...rest } = EXAMPLES[index];
      const source = { file: "s.json", line, ...unit === "row" ? { unit } : {} };
      assert.deepEqual(examples.at(index), { ...rest, source });
    }
  }
});

Deno.test("openTokenFile() opens files of no example, of one token, and of the least that columns may hold", async () => {
  await using folder = await tempFolder();
  const open = async (numbers: readonly number[], counts: { examples: number; tokens: number }) => {
    const facts = { ...FACTS, ...counts, report: { ...REPORT, ...counts } };
    const path = await folder.write("k.tokens", fileOf(numbers, facts));
    const opened = await openTokenFile({ path, key: "k", source: "s", vocabSize: 8 });
    if (opened === undefined) return undefined;
    using examples = opened.examples;
    return Array.from({ length: examples.length }, (_, i) => examples.at(i).inputIds.length);
  };
  assert.deepEqual(await open([], { examples: 0, tokens: 0 }), []);
  assert.deepEqual(await open([7, 1, 1, 0, 1], { examples: 1, tokens: 1 }), [1]);
  assert.equal(await open([8, 1, 1, 0, 1], { examples: 1, tokens: 1 }), undefined);
  assert.deepEqual(await open([0, 0, 0, 1], { examples: 1, tokens: 0 }), [0]);
});

/** Numbers with one changed. */
const at = (index: number, value: number): number[] => NUMBERS.with(index, value);
const report = (change: object): object => ({ ...FACTS, report: { ...REPORT, ...change } });
const REFUSED: Readonly<Record<string, Uint8Array>> = {
  "a first id below 0": fileOf(at(0, -1), FACTS),
  "a first id past the vocabulary": fileOf(at(0, 8), FACTS),
  "a last id below 0": fileOf(at(4, -1), FACTS),
  "a last id past the vocabulary": fileOf(at(4, 8), FACTS),
  "lengths that are not the tokens'": fileOf(at(6, 1), FACTS),
  "a first length below 0": fileOf(at(5, -1).with(6, 6), FACTS),
  "more supervised tokens than tokens": fileOf(at(7, 4), FACTS),
  "more supervised tokens than tokens at the end": fileOf(at(8, 3), FACTS),
  "supervised tokens below 0": fileOf(at(8, -1), FACTS),
  "an ending below 0": fileOf(at(10, -1), FACTS),
  "a line 0": fileOf(at(12, 0), FACTS),
  "a number too many": fileOf([...NUMBERS, 1], FACTS),
  "a number too few": fileOf(NUMBERS.slice(0, -1), FACTS),
  "another format": fileOf(NUMBERS, { ...FACTS, format: 2 }),
  "another key": fileOf(NUMBERS, { ...FACTS, key: "l" }),
  "a key of no text": fileOf(NUMBERS, { ...FACTS, key: 1 }),
  "another count of tokens in its report": fileOf(NUMBERS, report({ tokens: 6 })),
  "another count of examples in its report": fileOf(NUMBERS, report({ examples: 3 })),
  "a hash of 63 digits": fileOf(NUMBERS, { ...FACTS, sha256: FACTS.sha256.slice(1) }),
  "a hash of 65 digits": fileOf(NUMBERS, { ...FACTS, sha256: `${FACTS.sha256}0` }),
  "a hash of other letters": fileOf(NUMBERS, { ...FACTS, sha256: "g".repeat(64) }),
  "a hash of no text": fileOf(NUMBERS, { ...FACTS, sha256: [FACTS.sha256] }),
  "no report": fileOf(NUMBERS, { ...FACTS, report: null }),
  ...Object.fromEntries(
    [
      ...["rows", "examples", "tokens", "supervisedTokens"],
      ...["truncated", "unterminated", "unlabelled", "dropped"],
    ].map((name) => [`no ${name} in its report`, fileOf(NUMBERS, report({ [name]: undefined }))]),
  ),
  "rows that are a list": fileOf(NUMBERS, report({ rows: [] })),
  "truncated rows that are a count": fileOf(NUMBERS, report({ truncated: 1 })),
  "a text in its report": fileOf(NUMBERS, report({ pairs: "1" })),
  "a fraction in its report": fileOf(NUMBERS, report({ pairs: 0.5 })),
  "a list of a text after a line in its report": fileOf(NUMBERS, report({ tagged: [1, "2"] })),
  "a list of a number below 0 in its report": fileOf(NUMBERS, report({ tagged: [-1] })),
  "facts that are null": fileOf(NUMBERS, null),
  "facts that are no JSON": fileOf(NUMBERS, "{"),
  "facts of a byte less": fileOf(NUMBERS, FACTS, (json) => json - 1),
  "facts of more bytes than it has": fileOf([], FACTS, (json) => json + 1),
  "facts of -1 bytes": fileOf(NUMBERS, FACTS, () => -1),
  "facts of more bytes than any file": fileOf(NUMBERS, FACTS, () => 2 ** 31 - 1),
  "a changed bit": fileOf(NUMBERS, FACTS).with(4, 0),
  "a changed bit in its hash": fileOf(NUMBERS, FACTS).with(-1, fileOf(NUMBERS, FACTS).at(-1)! ^ 1),
  "a byte less": fileOf(NUMBERS, FACTS).subarray(0, -1),
  "a byte more": Uint8Array.of(...fileOf(NUMBERS, FACTS), 0),
  "nothing": new Uint8Array(0),
  "a hash alone": new Uint8Array(32),
  "a number less a byte and a hash": new Uint8Array(35),
  "a number and a hash": new Uint8Array(36),
};

Deno.test(`openTokenFile() opens no file with one of ${Object.keys(REFUSED).length} faults, and closes it`, async () => {
  await using folder = await tempFolder();
  for (const [fault, bytes] of Object.entries(REFUSED)) {
    const path = await folder.write("k.tokens", bytes);
    const opened = await openTokenFile({ path, key: "k", source: "s", vocabSize: 8 });
    assert.equal(opened, undefined, fault);
  }
});

Deno.test("openTokenFile() opens nothing where there is no file, and tells of other errors", async () => {
  await using folder = await tempFolder();
  const file = await folder.write("file", "");
  const open = (path: string) => openTokenFile({ path, key: "k", source: "s", vocabSize: 8 });
  for (const path of [`${folder.path}/none.tokens`, `${file}/k.tokens`, folder.path]) {
    assert.equal(await open(path), undefined, path);
  }
  await assert.rejects(open(`${folder.path}/${"k".repeat(300)}`), { code: "ENAMETOOLONG" });
});

Deno.test("openTokenFile() reads as asked, and says so where the file was cut meanwhile", async () => {
  await using folder = await tempFolder();
  const path = await folder.write("k.tokens", fileOf(NUMBERS, FACTS));
  const opened = await openTokenFile({ path, key: "k", source: "s", vocabSize: 8 });
  using examples = opened!.examples;
  await truncate(path, 16);
  assert.deepEqual([...examples.at(0).inputIds], [5, 6, 7]);
  assert.throws(() => examples.at(1), {
    name: "Error",
    message:
      `Cannot read ${path}: it was cut while it was in use; start again, and it is made anew`,
  });
});

Deno.test("a file of more tokens than are written or read in one piece is whole", async () => {
  await using folder = await tempFolder();
  const path = `${folder.path}/k.tokens`;
  const examples = [700_001, 500_002].map((length, k) =>
    // A line is not taken for an id.
    located(Int32Array.from({ length }, (_, i) => i % 89 + k), { prompt: 3, line: 1000 + k })
  );
  const tokens = 1_200_003;
  {
    using writer = new TokenFileWriter({ path, key: "k" });
    for (const example of examples) writer.add(example);
    writer.finish({ ...REPORT, tokens });
  }
  const options = { path, key: "k", source: "rows.jsonl", vocabSize: 90 };
  {
    const opened = await openTokenFile(options);
    using list = opened!.examples;
    for (const index of [0, 1]) {
      const { inputIds, labels, source } = list.at(index);
      assert.deepEqual(Buffer.from(inputIds.buffer), Buffer.from(examples[index].inputIds.buffer));
      assert.deepEqual(Buffer.from(labels.buffer), Buffer.from(examples[index].labels.buffer));
      assert.deepEqual(source, { file: "rows.jsonl", line: 1000 + index });
    }
  }
  // The ids are all looked at, to the last.
  assert.equal(await openTokenFile({ ...options, vocabSize: 89 }), undefined);
  const bytes = await readFile(path);
  for (const index of [700_001, 1_100_000, tokens - 1]) {
    const changed = Buffer.from(bytes);
    changed.writeInt32LE(90, 4 * index);
    sha256(changed.subarray(0, -32)).digest().copy(changed, changed.length - 32);
    await writeFile(path, changed);
    assert.equal(await openTokenFile(options), undefined, `${index}`);
  }
});
