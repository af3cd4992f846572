import assert from "node:assert/strict";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { keepParity, parityFile, parseParityFile, readParityFile } from "./parity_file.ts";

const PARITY = {
  maxAbsolute: 0.5,
  meanAbsolute: 0.25,
  largestLogit: 8,
  positions: { all: 20, same: 19 },
  greedy: { prompts: 2, tokens: 4, same: [4, 0] },
  perplexity: { tokens: 9, checkpoint: 10, export: 11, difference: 1 },
};
const EXPORT = {
  bytes: 1000,
  parity: PARITY,
  replies: ["a", "b"],
  template: true,
  texts: { all: 3, same: 3 },
  ends: { all: 2, same: 1 },
};
const FILE = parityFile({
  model: "models/tiny",
  adapter: "output/lora",
  adapterKept: false,
  checkpoint: { sha256: "ab", bytes: 4000, parameters: 1000 },
  exportFormat: "gguf",
  onnxruntime: "1.30.0",
  questions: {
    sha256: "cd",
    text: "built in",
    greedyTokens: 4,
    prompts: [{ text: "?", tokens: 7, reply: "a" }, { text: "!", tokens: 9, reply: "c" }],
  },
  exports: { q8_0: EXPORT, f16: { bytes: 2000 } },
});

/** The file with one field, named by its path, of another value; `undefined` takes it out. */
function withField(path: string, value: unknown): unknown {
  const file: unknown = structuredClone(FILE);
  const names = path.split(".");
  const last = names.pop()!;
  let owner = file as Record<string, unknown>;
  for (const name of names) owner = owner[name] as Record<string, unknown>;
  if (value === undefined) delete owner[last];
  else owner[last] = value;
  return file;
}

Deno.test("parseParityFile() reads back what was written, all fields of it", () => {
  const read = parseParityFile(JSON.parse(JSON.stringify(FILE)));
  assert.deepEqual(read, FILE);
  const alone = parseParityFile(withField("exports", { f32: { bytes: 0, files: [] } }));
  assert.deepEqual(alone.exports, { f32: { bytes: 0 } });
  // The last values that are taken.
  for (
    const [path, value] of [
      ["exports.q8_0.parity.positions.same", 20],
      ["exports.q8_0.parity.greedy.same", [0, 4]],
      ["checkpoint.parameters", 1],
      ["questions.prompts", Array(64).fill(FILE.questions!.prompts[0])],
    ] as const
  ) {
    const file = withField(path, value) as typeof FILE;
    if (path === "questions.prompts") Object.assign(file.exports, { q8_0: { bytes: 1 } });
    assert.deepEqual(parseParityFile(file), file, path);
  }
});

Deno.test("parseParityFile() reads null, which stands for what is not finite, as NaN", () => {
  const parity = { ...PARITY, maxAbsolute: NaN, meanAbsolute: Infinity };
  const written = JSON.stringify({ ...FILE, exports: { q8_0: { ...EXPORT, parity } } });
  const { q8_0 } = parseParityFile(JSON.parse(written)).exports;
  assert.deepEqual([q8_0.parity!.maxAbsolute, q8_0.parity!.meanAbsolute], [NaN, NaN]);
});

const BAD: readonly (readonly [path: string, value: unknown, message: string])[] = [
  ["format", undefined, "it is not of format ortune-parity-1"],
  ["format", "ortune-parity-2", "it is not of format ortune-parity-1"],
  ["extra", 1, "it holds extra, which this ortune does not know"],
  ["checkpoint.md5", "x", "checkpoint holds md5, which this ortune does not know"],
  ["model", undefined, "model is nothing, expected a text"],
  ["adapter", 7, "adapter is number 7, expected a text"],
  ["adapterKept", "no", 'adapterKept is string "no", expected true or false'],
  ["checkpoint", [], "checkpoint is array of 0, expected an object"],
  ["checkpoint.sha256", null, "checkpoint.sha256 is null, expected a text"],
  ["checkpoint.bytes", -1, "checkpoint.bytes is number -1, expected a count"],
  ["checkpoint.bytes", 1.5, "checkpoint.bytes is number 1.5, expected a count"],
  ["checkpoint.parameters", 0, "checkpoint.parameters is number 0, expected one at least"],
  ["onnxruntime", {}, "onnxruntime is object, expected a text"],
  ["exportFormat", "pt", 'exportFormat is string "pt", expected onnx, hf, gguf'],
  ["exportFormat", "toString", 'exportFormat is string "toString", expected onnx, hf, gguf'],
  ["exportFormat", "onnx", "exports holds q8_0, f16, which this ortune does not know"],
  ["exports", {}, "exports is object, expected one at least"],
  ["exports.q9", { bytes: 1 }, "exports holds q9, which this ortune does not know"],
  ["exports.q8_0", "x", 'exports.q8_0 is string "x", expected an object'],
  ["exports.q8_0.bytes", "1", 'exports.q8_0.bytes is string "1", expected a count'],
  ["exports.q8_0.note", "x", "exports.q8_0 holds note, which this ortune does not know"],
  ["exports.q8_0.replies", ["a"], "exports.q8_0.replies is array of 1, expected 2 texts"],
  ["exports.q8_0.replies", ["a", 1], "exports.q8_0.replies is array of 2, expected 2 texts"],
  ["exports.q8_0.template", 1, "exports.q8_0.template is number 1, expected true or false"],
  ["exports.q8_0.ends", undefined, "exports.q8_0.ends is nothing, expected an object"],
  ["exports.q8_0.texts.same", 4, "exports.q8_0.texts.same is number 4, expected a count up to 3"],
  [
    "exports.q8_0.parity.maxAbsolute",
    "0.5",
    'exports.q8_0.parity.maxAbsolute is string "0.5", expected a number',
  ],
  [
    "exports.q8_0.parity.positions.same",
    21,
    "exports.q8_0.parity.positions.same is number 21, expected a count up to 20",
  ],
  [
    "exports.q8_0.parity.greedy.same",
    [5, 0],
    "exports.q8_0.parity.greedy.same is array of 2, expected 2 counts up to 4",
  ],
  [
    "exports.q8_0.parity.greedy.tokens",
    5,
    "exports.q8_0.parity.greedy.tokens is number 5, expected a count up to 4",
  ],
  [
    "exports.q8_0.parity.perplexity.export",
    undefined,
    "exports.q8_0.parity.perplexity.export is nothing, expected a number",
  ],
  [
    "questions",
    undefined,
    "exports.q8_0.parity is object, expected questions beside it",
  ],
  ["questions.prompts", [], "questions.prompts is array of 0, expected a list of 1 to 64"],
  [
    "questions.prompts",
    Array(65).fill({}),
    "questions.prompts is array of 65, expected a list of 1 to 64",
  ],
  ["questions.prompts.1", 3, "questions.prompts.1 is number 3, expected an object"],
  ["questions.prompts.1.reply", 3, "questions.prompts.1.reply is number 3, expected a text"],
];

Deno.test(`parseParityFile() names what is wrong with ${BAD.length} bad files`, () => {
  for (const [path, value, state] of BAD) {
    assert.throws(() => parseParityFile(withField(path, value), "a/parity.json"), {
      name: "RangeError",
      message: `Cannot read a/parity.json: ${state}; export again with deno task export`,
    });
  }
  for (const json of [null, [], "x", 1]) {
    assert.throws(() => parseParityFile(json), /it is not of format ortune-parity-1/);
  }
});

Deno.test("readParityFile() tells folders without one, and files that are no JSON or too large", async () => {
  await using folder = await tempFolder();
  const read = () => readParityFile(folder.path);
  await assert.rejects(read(), {
    message: `Cannot compare ${folder.path}: it has no parity.json; give folders that deno task ` +
      "export wrote",
  });
  await folder.write("parity.json", JSON.stringify(FILE));
  assert.deepEqual(await read(), FILE);
  await folder.write("parity.json", "{");
  await assert.rejects(
    read(),
    /parity\.json: it is not valid JSON .*; export again with deno task/,
  );
  await folder.write("parity.json", `"${" ".repeat(16 * 1024 * 1024)}"`);
  await assert.rejects(read(), /it has 16777218 bytes, more than 16777216; export again/);
  await Deno.remove(`${folder.path}/parity.json`);
  await Deno.symlink("/etc/hostname", `${folder.path}/parity.json`);
  await assert.rejects(read(), /it is a link to a file outside of its folder/);
});

Deno.test("keepParity() keeps texts in place of ids", () => {
  const report = { ...PARITY, greedy: { ...PARITY.greedy, ids: [[1, 2], [3]] } };
  const kept = keepParity(report, { decode: (ids) => Array.from(ids).join() });
  assert.deepEqual(kept, { parity: PARITY, replies: ["1,2", "3"] });
});
