import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { type TempFolder, tempFolder } from "../../tests/support/temp_folder.ts";
import { makeBatches } from "../batches/batches.ts";
import { byteTokenizerFiles } from "../text/byte_tokenizer.ts";
import { type ExampleList, toExampleList } from "./example_list.ts";
import type { Example } from "./example.ts";
import { prepareExamples, type PrepareExamplesOptions } from "./prepare_examples.ts";
import { readExamples } from "./read_examples.ts";
import { createTokenizer } from "../text/tokenizer.ts";

const tokenizer = createTokenizer(byteTokenizerFiles());
const options = { tokenizer, maxLength: 128, system: "s" };

const key = (text: string) => () => Promise.resolve(text);

/** Rows of all kinds: whole, cut, without an answer left, blank, and a chat of two replies. */
const ROWS = [
  JSON.stringify({ question: "q", think: "t", answer: "a" }),
  JSON.stringify({ question: "q", answer: "é".repeat(200) }),
  "",
  JSON.stringify({ question: "q".repeat(200), answer: "a" }),
  JSON.stringify({
    messages: [
      { role: "user", content: "1" },
      { role: "assistant", content: "2" },
      { role: "user", content: "3" },
      { role: "assistant", content: "4" },
    ],
  }),
].join("\n");

const examplesOf = (list: ExampleList): Example[] =>
  Array.from({ length: list.length }, (_, index) => list.at(index));

async function dataFolder(): Promise<{ folder: TempFolder; path: string; directory: string }> {
  const folder = await tempFolder();
  const path = await folder.write("train.jsonl", ROWS);
  return { folder, path, directory: `${folder.path}/tokens` };
}

Deno.test("prepareExamples() gives readExamples()'s examples and report: from memory, a new file and an old one", async () => {
  const { folder, path, directory } = await dataFolder();
  await using _folder = folder;
  const { examples, report } = await readExamples(path, options);
  assert.deepEqual([report.truncated, report.unlabelled, examples.length], [[2, 4], [4], 4]);
  const hash = createHash("sha256");
  for (const { inputIds, labels } of examples) {
    hash.update(new Uint8Array(inputIds.buffer)).update(new Uint8Array(labels.buffer));
  }
  const sha256 = hash.digest("hex");
  const store = { directory, key: key("k") };
  for (const [given, cached] of [[{}, false], [{ store }, false], [{ store }, true]] as const) {
    using prepared = await prepareExamples(path, { ...options, ...given });
    assert.deepEqual(examplesOf(prepared.examples), examples);
    assert.deepEqual(prepared.report, report);
    assert.deepEqual([prepared.sha256, prepared.cached], [sha256, cached]);
    assert.equal(prepared.file, "store" in given ? `${directory}/k.tokens` : undefined);
    assert.deepEqual(
      [...prepared.examples.lengths],
      examples.map(({ inputIds }) => inputIds.length),
    );
    assert.deepEqual([...prepared.examples.supervised], examples.map((each) => each.supervised));
    assert.throws(() => prepared.examples.at(4), {
      name: "RangeError",
      message: "Cannot read example 4: there are 4, counted from 0",
    });
  }
  assert.deepEqual(await readdir(directory), ["k.tokens"]);
});

Deno.test("makeBatches() makes the same batches of prepared examples and of an array", async () => {
  const { folder, path, directory } = await dataFolder();
  await using _folder = folder;
  const { examples } = await readExamples(path, options);
  using prepared = await prepareExamples(path, { ...options, store: { directory, key: key("k") } });
  for (const packing of [undefined, { maxLength: 128 }]) {
    const plan = { batchSize: 2, padId: 256, seed: 42, epoch: 1, packing };
    const batches = [...makeBatches(prepared.examples, plan)];
    assert.equal(batches.length, 2);
    assert.deepEqual(batches, [...makeBatches(examples, plan)]);
  }
});

Deno.test("toExampleList() refuses an index that an array does not have", () => {
  assert.throws(() => toExampleList([]).at(0), {
    name: "RangeError",
    message: "Cannot read example 0: there are 0, counted from 0",
  });
});

Deno.test("prepareExamples() reads no row where a file of the same key is there", async () => {
  const { folder, path, directory } = await dataFolder();
  await using _folder = folder;
  const store = { directory, key: key("k") };
  using _first = await prepareExamples(path, { ...options, store });
  const encode = (): never => assert.fail("a row was encoded");
  using again = await prepareExamples(path, { ...options, store, encode });
  assert.ok(again.cached);
  using other = await prepareExamples(path, { ...options, store: { directory, key: key("l") } });
  assert.ok(!other.cached);
});

type Facts = Record<string, unknown>;
type Damage = (bytes: Uint8Array) => Uint8Array;

/** What a file says at its end, and where that begins. */
function factsOf(bytes: Uint8Array): { at: number; facts: Facts } {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const end = bytes.length - 36;
  const at = end - view.getInt32(end, true);
  return { at, facts: JSON.parse(new TextDecoder().decode(bytes.subarray(at, end))) };
}

/** Numbers of a file changed, under a hash that is right. */
function crafted(
  changes: Record<string, (view: DataView, counts: Record<"tokens" | "examples", number>) => void>,
): Record<string, Damage> {
  return Object.fromEntries(
    Object.entries(changes).map(([what, change]) => [`with ${what}, with its own hash`, (bytes) => {
      const copy = bytes.slice();
      const { tokens, examples } = factsOf(copy).facts;
      change(new DataView(copy.buffer), { tokens: Number(tokens), examples: Number(examples) });
      return rehash(copy);
    }]),
  );
}

/** What a file says of itself changed, under a hash that is right. */
function rewritten(changes: Record<string, (facts: Facts) => unknown>): Record<string, Damage> {
  return Object.fromEntries(
    Object.entries(changes).map((
      [what, change],
    ) => [`that says ${what}, with its own hash`, (bytes) => {
      const { at, facts } = factsOf(bytes);
      change(facts);
      const json = new TextEncoder().encode(JSON.stringify(facts));
      const length = new Uint8Array(Int32Array.of(json.length).buffer);
      return rehash(
        Uint8Array.of(...bytes.subarray(0, at), ...json, ...length, ...new Uint8Array(32)),
      );
    }]),
  );
}

const DAMAGES: Readonly<Record<string, (bytes: Uint8Array) => Uint8Array>> = {
  "without its last byte": (bytes) => bytes.subarray(0, -1),
  "without its second half": (bytes) => bytes.subarray(0, bytes.length >> 1),
  "without a byte": () => new Uint8Array(0),
  "with a flipped bit in its tokens": (bytes) => bytes.with(5, bytes[5] ^ 4),
  "with a flipped bit in its report": (bytes) => bytes.with(bytes.length - 60, 0),
  "with a flipped bit in its hash": (bytes) => bytes.with(-1, bytes.at(-1)! ^ 1),
  "that is another program's": () => new TextEncoder().encode("no tokens\n".repeat(20)),
  "of another key": (bytes) => rehash(replaceText(bytes, '"key":"k"', '"key":"l"')),
  "of another format": (bytes) => rehash(replaceText(bytes, '"format":3', '"format":0')),
  "of JSON that ends with its own hash": () => {
    const json = new TextEncoder().encode("null");
    return rehash(Uint8Array.of(...json, json.length, 0, 0, 0, ...new Uint8Array(32)));
  },
  ...crafted({
    "an id of 2^31 - 1": (view) => view.setInt32(0, 2 ** 31 - 1, true),
    "an id of -1": (view) => view.setInt32(8, -1, true),
    "an id one past the vocabulary": (view) => view.setInt32(8, options.tokenizer.vocabSize, true),
    "more supervised tokens than tokens": (view, { tokens, examples }) =>
      view.setInt32(4 * (tokens + examples), 2 ** 31 - 1, true),
    "fewer than no supervised tokens": (view, { tokens, examples }) =>
      view.setInt32(4 * (tokens + examples), -1, true),
    "a length that is not its tokens'": (view, { tokens }) =>
      view.setInt32(4 * tokens, view.getInt32(4 * tokens, true) + 1, true),
    "lengths that overflow to the right sum": (view, { tokens }) => {
      view.setInt32(4 * tokens, view.getInt32(4 * tokens, true) - 2 ** 31, true);
    },
    "an ending before its tokens": (view, { tokens, examples }) =>
      view.setInt32(4 * (tokens + 2 * examples), -2, true),
    "a line 0": (view, { tokens, examples }) => view.setInt32(4 * (tokens + 3 * examples), 0, true),
  }),
  ...rewritten({
    "examples: -1": (facts) => facts.examples = -1,
    "examples: 1e9": (facts) => facts.examples = 1e9,
    "examples: 2.5": (facts) => facts.examples = 2.5,
    "tokens of text": (facts) => facts.tokens = `${facts.tokens}`,
    "no hash of its labels": (facts) => facts.sha256 = "x",
    "a report of null": (facts) => facts.report = null,
    "a report without lines": (facts) => delete (facts.report as Facts).truncated,
    "a report of other counts": (facts) => (facts.report as Facts).examples = 3,
    "a report with a text for a count": (facts) => (facts.report as Facts).replies = "4",
  }),
  "with a number more than it tells of, with its own hash": (bytes) => {
    const { at } = factsOf(bytes);
    return rehash(Uint8Array.of(...bytes.subarray(0, at), 1, 0, 0, 0, ...bytes.subarray(at)));
  },
  "of a length that no file has, with its own hash": () =>
    rehash(Uint8Array.of(255, 255, 255, 127, ...new Uint8Array(32))),
};

for (const [what, damage] of Object.entries(DAMAGES)) {
  Deno.test(`prepareExamples() makes a token file anew ${what}`, async () => {
    const { folder, path, directory } = await dataFolder();
    await using _folder = folder;
    const given = { ...options, store: { directory, key: key("k") } };
    const file = `${directory}/k.tokens`;
    const { examples } = await readExamples(path, options);
    {
      using _whole = await prepareExamples(path, given);
    }
    const whole = await readFile(file);
    await writeFile(file, damage(new Uint8Array(whole)));
    using prepared = await prepareExamples(path, given);
    assert.equal(prepared.cached, false);
    assert.deepEqual(examplesOf(prepared.examples), examples);
    assert.deepEqual(await readFile(file), whole);
  });
}

Deno.test("prepareExamples() leaves no file where it is interrupted or a row is bad", async () => {
  const { folder, directory } = await dataFolder();
  await using _folder = folder;
  // Long enough for several pieces of the file.
  const row = JSON.stringify({ question: "q", answer: "a".repeat(500) });
  const path = await folder.write("long.jsonl", `${row}\n`.repeat(2000));
  const controller = new AbortController();
  const told: number[] = [];
  const interrupted = prepareExamples(path, {
    ...options,
    store: { directory, key: key("k") },
    signal: controller.signal,
    onProgress: ({ rows, bytes, tokens }) => {
      told.push(rows, bytes, tokens);
      if (told.length === 6) controller.abort();
    },
  });
  await assert.rejects(interrupted, { name: "AbortError" });
  assert.deepEqual(told.length, 6);
  assert.ok(told[0] > 50 && told[3] > told[0] && told[4] === 2 * told[1], `${told}`);
  assert.deepEqual(await readdir(directory), []);

  const bad = await folder.write("bad.jsonl", `${row}\n{"question": "q"}\n`);
  await assert.rejects(prepareExamples(bad, { ...options, store: { directory, key: key("k") } }), {
    name: "JsonlError",
    message: `${bad}:2:answer: expected a string, got nothing`,
  });
  assert.deepEqual(await readdir(directory), []);
});

Deno.test("prepareExamples() writes over what a killed process left staged", async () => {
  const { folder, path, directory } = await dataFolder();
  await using _folder = folder;
  const store = { directory, key: key("k") };
  {
    using _first = await prepareExamples(path, { ...options, store });
  }
  await writeFile(
    `${directory}/.staging-l.tokens`,
    "half a file, longer than a whole one".repeat(99),
  );
  using made = await prepareExamples(path, { ...options, store: { directory, key: key("l") } });
  assert.equal(made.examples.length, 4);
  assert.deepEqual((await readdir(directory)).sort(), ["k.tokens", "l.tokens"]);
});

Deno.test("prepareExamples() gives examples of more tokens than a piece of memory or a file has", async () => {
  await using folder = await tempFolder();
  const row = (n: number): string =>
    JSON.stringify({ question: `${n}`, answer: String.fromCharCode(97 + n % 26).repeat(150_000) });
  const path = await folder.write(
    "train.jsonl",
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map(row).join("\n"),
  );
  const long = { ...options, maxLength: 1 << 20 };
  const { examples } = await readExamples(path, long);
  for (const store of [undefined, { directory: folder.path, key: key("k") }]) {
    using prepared = await prepareExamples(path, { ...long, store });
    assert.ok(prepared.report.tokens > 1 << 20);
    for (const index of [9, 0, 6, 7, 3]) {
      assert.deepEqual(prepared.examples.at(index), examples[index]);
    }
  }
});

Deno.test("prepareExamples() refuses labels that it could not give back, and keys that are no name", async () => {
  const { folder, path, directory } = await dataFolder();
  await using _folder = folder;
  const { examples: [example] } = await readExamples(path, options);
  const prepare = (change: Partial<PrepareExamplesOptions>): Promise<unknown> =>
    prepareExamples(path, { ...options, ...change });
  const labels = example.labels.with(-1, 7);
  await assert.rejects(prepare({ encode: () => [{ ...example, labels }] }), {
    name: "TypeError",
    message: /^Cannot pack an example: its labels are not those of a prompt of \d+ tokens /,
  });
  // Also where a token file is written: it is no fault of the disk's.
  const store = { directory, key: key("k") };
  await assert.rejects(prepare({ encode: () => [{ ...example, labels }], store }), {
    name: "TypeError",
    message: /^Cannot pack an example: its labels are not those of a prompt of \d+ tokens /,
  });
  await assert.rejects(prepare({ store: { directory, key: key("../k") } }), {
    name: "RangeError",
    message: 'Cannot name a token file after the key "../k": give a hash in hexadecimal',
  });
});

Deno.test("prepareExamples() keeps no file of rows that changed while they were read", async () => {
  const { folder, path, directory } = await dataFolder();
  await using _folder = folder;
  const keys = ["before", "after"];
  const store = { directory, key: () => Promise.resolve(keys.shift()!) };
  await assert.rejects(prepareExamples(path, { ...options, store }), {
    message: `Cannot prepare ${path}: it or its tokenizer changed meanwhile; start again`,
  });
  assert.deepEqual(await readdir(directory), []);
});

Deno.test("prepareExamples() says what to do where its folder cannot be", async () => {
  const { folder, path } = await dataFolder();
  await using _folder = folder;
  const store = { directory: `${path}/tokens`, key: key("k") };
  await assert.rejects(prepareExamples(path, { ...options, store }), {
    message: new RegExp(
      `^Cannot write ${path}/tokens/k.tokens: .*; free space or give another output folder$`,
    ),
  });
});

Deno.test("prepareExamples() says what to do where its file cannot be written", async () => {
  const { folder, path, directory } = await dataFolder();
  await using _folder = folder;
  // A folder stands where the file is to be staged, or where it is to end.
  for (const name of [".staging-k.tokens", "k.tokens"]) {
    await mkdir(`${directory}/${name}/x`, { recursive: true });
    const store = { directory, key: key("k") };
    await assert.rejects(prepareExamples(path, { ...options, store }), {
      name: "Error",
      message: new RegExp(
        `^Cannot write ${directory}/k.tokens: E[A-Z]+: .*; free space or give another output folder$`,
      ),
    });
    await rm(`${directory}/${name}`, { recursive: true });
  }
});

Deno.test("prepareExamples() names rows of an array by their number, and makes folders within folders", async () => {
  await using folder = await tempFolder();
  const rows = [{ question: "q", answer: "a" }, { question: "r", answer: "b" }];
  const path = await folder.write("train.json", JSON.stringify(rows));
  const store = { directory: `${folder.path}/a/b/tokens`, key: key("k") };
  for (const given of [{}, { store }, { store }]) {
    using prepared = await prepareExamples(path, { ...options, ...given });
    assert.deepEqual(examplesOf(prepared.examples).map(({ source }) => source), [
      { file: path, line: 1, unit: "row" },
      { file: path, line: 2, unit: "row" },
    ]);
  }
});

/** The bytes with one text for another of the same length. */
function replaceText(bytes: Uint8Array, from: string, to: string): Uint8Array {
  const at = bytes.length - 1 -
    [...bytes.toReversed()].map((byte) => String.fromCharCode(byte)).join("")
      .indexOf([...from].reverse().join(""));
  const changed = bytes.slice();
  changed.set(new TextEncoder().encode(to), at + 1 - from.length);
  return changed;
}

/** The bytes with the right hash at their end. */
function rehash(bytes: Uint8Array): Uint8Array {
  const changed = bytes.slice();
  const end = changed.length - 32;
  changed.set(createHash("sha256").update(changed.subarray(0, end)).digest(), end);
  return changed;
}
