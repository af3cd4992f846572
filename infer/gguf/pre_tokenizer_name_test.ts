import assert from "node:assert/strict";
import {
  CL100K_PATTERN,
  DEEPSEEK_PATTERN,
  GPT2_PATTERN,
  O200K_PATTERN,
  QWEN2_PATTERN,
  QWEN35_PATTERN,
  TEKKEN_PATTERN,
} from "../../data/text/tokenize/known_patterns.ts";
import { preTokenizerName, preTokenizerSteps } from "./pre_tokenizer_name.ts";

type Json = Readonly<Record<string, unknown>>;

const split = (Regex: string, change: Json = {}): Json => ({
  type: "Split",
  pattern: { Regex },
  behavior: "Isolated",
  invert: false,
  ...change,
});
const digits = { type: "Digits", individual_digits: true };
const byteLevel = (use_regex: boolean): Json => ({
  type: "ByteLevel",
  add_prefix_space: false,
  trim_offsets: true,
  use_regex,
});
const sequence = (...pretokenizers: readonly unknown[]): Json => ({
  type: "Sequence",
  pretokenizers,
});

/** Each name with what stands in a tokenizer.json, and whether merges are ignored. */
const CUTS: Readonly<Record<string, readonly [Json, boolean]>> = {
  "gpt-2": [sequence(byteLevel(true)), false],
  smollm: [sequence(digits, byteLevel(true)), false],
  "llama-bpe": [sequence(split(CL100K_PATTERN), byteLevel(false)), true],
  dbrx: [sequence(split(CL100K_PATTERN), byteLevel(false)), false],
  qwen2: [sequence(split(QWEN2_PATTERN), byteLevel(false)), false],
  qwen35: [sequence(split(QWEN35_PATTERN), byteLevel(false)), false],
  "gpt-4o": [sequence(split(O200K_PATTERN), byteLevel(false)), false],
  tekken: [sequence(split(TEKKEN_PATTERN), byteLevel(false)), true],
  "deepseek-v3": [
    sequence(
      split(String.raw`\p{N}{1,3}`),
      split("[一-龥\u3040-ゟ゠-ヿ]+"),
      split(DEEPSEEK_PATTERN),
      byteLevel(false),
    ),
    false,
  ],
};
const PATH = "a/tokenizer.json";

function nameOf(pre_tokenizer: unknown, ignore_merges?: boolean): string {
  const model = { merges: [["a", "b"]], ignore_merges };
  return preTokenizerName({ pre_tokenizer, model }, PATH);
}

function refuses(pre_tokenizer: unknown, ignoreMerges: boolean, shown: string): void {
  assert.throws(
    () => nameOf(pre_tokenizer, ignoreMerges),
    new RangeError(
      `Cannot name the pre_tokenizer of ${PATH} for llama.cpp: it is ${shown}, and llama.cpp knows only ` +
        `${
          Object.keys(CUTS).join(", ")
        } of those that ortune can tell apart; another name would give ` +
        "other tokens than the model was trained with. Export with --format onnx",
    ),
  );
}

Deno.test("preTokenizerName() names each way to cut, and preTokenizerSteps() goes back", () => {
  for (const [name, [json, ignoreMerges]] of Object.entries(CUTS)) {
    assert.equal(nameOf(json, ignoreMerges), name);
    const { before, last, ...others } = preTokenizerSteps(name)!;
    assert.deepEqual(sequence(...before, byteLevel(last)), json, name);
    assert.deepEqual(others, {
      ignoreMerges: ignoreMerges,
      composes: name === "qwen2" || name === "qwen35",
    });
  }
});

Deno.test("preTokenizerName() takes merges that are ignored for another way, but for Tekken's", () => {
  for (const [name, [json, ignoreMerges]] of Object.entries(CUTS)) {
    const other = { "llama-bpe": "dbrx", dbrx: "llama-bpe", tekken: "tekken" }[name];
    if (other) assert.equal(nameOf(json, !ignoreMerges), other);
    else refuses(json, true, `${JSON.stringify(json).slice(0, 300)} with ignore_merges`);
  }
  assert.equal(nameOf(CUTS.qwen2[0], undefined), "qwen2");
});

Deno.test("preTokenizerName() reads the same cuts in other words", () => {
  assert.equal(nameOf(byteLevel(true)), "gpt-2");
  assert.equal(nameOf({ type: "ByteLevel" }), "gpt-2");
  const written = QWEN2_PATTERN.replaceAll(String.raw`\r`, "\r").replaceAll(String.raw`\n`, "\n");
  assert.equal(nameOf(sequence(split(written), byteLevel(false))), "qwen2");
  const removed = { behavior: "Removed", invert: true };
  const covering = {
    dbrx: CL100K_PATTERN,
    qwen2: QWEN2_PATTERN,
    qwen35: QWEN35_PATTERN,
    "gpt-4o": O200K_PATTERN,
    tekken: TEKKEN_PATTERN,
  };
  for (const [name, pattern] of Object.entries(covering)) {
    assert.equal(nameOf(sequence(split(pattern, removed), byteLevel(false))), name);
  }
});

Deno.test("preTokenizerName() refuses cuts that are others, or none", () => {
  const qwen = split(QWEN2_PATTERN);
  const others: readonly unknown[] = [
    null,
    5,
    { type: "Whitespace" },
    qwen,
    sequence(),
    sequence(qwen),
    { type: "Sequence", pretokenizers: 5 },
    sequence(byteLevel(false), qwen),
    byteLevel(false),
    { ...byteLevel(true), add_prefix_space: true },
    sequence({ type: "Digits", individual_digits: false }, byteLevel(true)),
    sequence({ type: "Digits" }, byteLevel(true)),
    sequence(5, byteLevel(true)),
    sequence(qwen, byteLevel(true)),
    sequence(digits, qwen, byteLevel(false)),
    sequence(qwen, qwen, byteLevel(false)),
    sequence(split(QWEN2_PATTERN, { behavior: "Removed" }), byteLevel(false)),
    sequence(split(QWEN2_PATTERN, { invert: true }), byteLevel(false)),
    sequence(split(QWEN2_PATTERN, { behavior: "MergedWithNext" }), byteLevel(false)),
    sequence(split(QWEN2_PATTERN, { behavior: "MergedWithNext", invert: true }), byteLevel(false)),
    sequence(split(QWEN2_PATTERN, { type: "Other" }), byteLevel(false)),
    sequence(split(QWEN2_PATTERN, { pattern: "a" }), byteLevel(false)),
    sequence(split(QWEN2_PATTERN, { pattern: { String: " " } }), byteLevel(false)),
    // What lies between these matches would be lost.
    sequence(split(GPT2_PATTERN, { behavior: "Removed", invert: true }), byteLevel(false)),
  ];
  for (const each of others) refuses(each, false, JSON.stringify(each).slice(0, 300));
  refuses(undefined, false, "missing");
});

Deno.test("preTokenizerName() takes any name where nothing is merged", () => {
  const of = (model: unknown): string =>
    preTokenizerName({ pre_tokenizer: CUTS.qwen2[0], model }, PATH);
  assert.equal(of({ merges: [] }), "gpt-2");
  assert.equal(of({ merges: ["a b"] }), "qwen2");
  assert.equal(of({ merges: "none" }), "qwen2");
  assert.equal(of(null), "qwen2");
});

Deno.test("preTokenizerSteps() knows llama.cpp's other names of the same cuts", () => {
  const names = {
    "command-r": "smollm",
    "deepseek-r1-qwen": "qwen2",
    falcon3: "llama-bpe",
    "llama-v3": "llama-bpe",
    llama3: "llama-bpe",
    llama4: "gpt-4o",
    olmo: "gpt-2",
    "phi-2": "gpt-2",
    refact: "smollm",
    "smaug-bpe": "dbrx",
    starcoder: "smollm",
  };
  for (const [name, own] of Object.entries(names)) {
    assert.deepEqual(preTokenizerSteps(name), preTokenizerSteps(own));
  }
  for (const name of ["viking", "default", "toString", ""]) {
    assert.equal(preTokenizerSteps(name), undefined);
  }
});
