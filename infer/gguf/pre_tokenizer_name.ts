/**
 * What llama.cpp calls a byte-level tokenizer's way to cut text before its merges: `tokenizer.ggml.pre`.
 *
 * In: the parsed pre_tokenizer of tokenizer.json. Out: the name, or an error. llama.cpp knows some by name
 * alone (`llama-vocab.cpp`); its converter tells them by a hash of the ids of a text, here the cuts themselves
 * are compared, which fits vocabularies that it has never seen.
 *
 * @module
 */

import {
  CL100K_PATTERN,
  DEEPSEEK_PATTERN,
  GPT2_PATTERN,
  O200K_PATTERN,
  QWEN2_PATTERN,
  QWEN35_PATTERN,
  TEKKEN_PATTERN,
} from "../../data/text/tokenize/known_patterns.ts";
import { isRecord } from "../../internal/json/is_record.ts";

const DIGITS = "digits";

/** A way to cut that llama.cpp knows. */
interface KnownCut {
  /** Its name there. */
  readonly name: string;
  /** Regular expressions in turn, each on what those before have left together. */
  readonly steps: readonly string[];
  /**
   * Whether a whole piece that the vocabulary has is a token without regard to merges, `ignore_merges`.
   * @default either gives the same tokens
   */
  readonly ignoreMerges?: boolean;
}

const CUTS: readonly KnownCut[] = [
  { name: "gpt-2", steps: [GPT2_PATTERN], ignoreMerges: false },
  // SmolLM, StarCoder, Granite 3.
  { name: "smollm", steps: [DIGITS, GPT2_PATTERN], ignoreMerges: false },
  // Llama 3, SmolLM3.
  { name: "llama-bpe", steps: [CL100K_PATTERN], ignoreMerges: true },
  // OLMo 2, Granite 4, Phi-4.
  { name: "dbrx", steps: [CL100K_PATTERN], ignoreMerges: false },
  { name: "qwen2", steps: [QWEN2_PATTERN], ignoreMerges: false },
  { name: "qwen35", steps: [QWEN35_PATTERN], ignoreMerges: false },
  // Phi-4-mini.
  { name: "gpt-4o", steps: [O200K_PATTERN], ignoreMerges: false },
  // Mistral Nemo, Ministral; made of ranked tokens, of which merges reach each.
  { name: "tekken", steps: [TEKKEN_PATTERN] },
  {
    name: "deepseek-v3",
    steps: [String.raw`\p{N}{1,3}`, "[一-龥\u3040-ゟ゠-ヿ]+", DEEPSEEK_PATTERN],
    ignoreMerges: false,
  },
];

/**
 * The name.
 *
 * @param path the file's, for errors
 * @throws {RangeError} where llama.cpp has no such way
 */
export function preTokenizerName(
  tokenizerJson: Readonly<Record<string, unknown>>,
  path: string,
): string {
  const { pre_tokenizer: preTokenizer, model } = tokenizerJson;
  // Where nothing is merged, it is all one how texts are cut.
  if (isRecord(model) && Array.isArray(model.merges) && model.merges.length === 0) return "gpt-2";
  const steps = cuts(preTokenizer);
  const ignoreMerges = isRecord(model) && model.ignore_merges === true;
  const known = CUTS.find((cut) =>
    steps !== undefined && cut.steps.length === steps.length &&
    cut.steps.every((step, i) => step === steps[i]) &&
    (cut.ignoreMerges ?? ignoreMerges) === ignoreMerges
  );
  if (known) return known.name;
  const shown = JSON.stringify(preTokenizer) ?? "missing";
  throw new RangeError(
    `Cannot name the pre_tokenizer of ${path} for llama.cpp: it is ${shown.slice(0, 300)}${
      ignoreMerges ? " with ignore_merges" : ""
    }, and llama.cpp knows only ${
      CUTS.map(({ name }) => name).join(", ")
    } of those that ortune can ` +
      "tell apart; another name would give other tokens than the model was trained with. Export with " +
      "--format onnx",
  );
}

/** The regular expressions of a byte-level pre_tokenizer in turn; undefined where there is anything else. */
function cuts(preTokenizer: unknown): readonly string[] | undefined {
  const all = isRecord(preTokenizer) && preTokenizer.type === "Sequence"
    ? preTokenizer.pretokenizers
    : [preTokenizer];
  if (!Array.isArray(all)) return undefined;
  const last = all.at(-1);
  if (!isRecord(last) || last.type !== "ByteLevel" || last.add_prefix_space === true) {
    return undefined;
  }
  const steps = all.slice(0, -1).map(cut);
  if (last.use_regex !== false) steps.push(GPT2_PATTERN);
  return steps.every((step) => step !== undefined) ? steps : undefined;
}

function cut(step: unknown): string | undefined {
  if (!isRecord(step)) return undefined;
  if (step.type === "Digits") return step.individual_digits === true ? DIGITS : undefined;
  if (step.type !== "Split" || !isRecord(step.pattern)) return undefined;
  const { behavior, invert, pattern: { Regex: written } } = step;
  if (typeof written !== "string") return undefined;
  // Some files hold the characters themselves.
  const source = written.replaceAll("\r", String.raw`\r`).replaceAll("\n", String.raw`\n`);
  // What lies between matches is removed and the matches kept: the same where they cover all of the text.
  const isolates = behavior === "Isolated" && invert !== true ||
    behavior === "Removed" && invert === true && COVERING.has(source);
  return isolates ? source : undefined;
}

const COVERING: ReadonlySet<string> = new Set([
  CL100K_PATTERN,
  O200K_PATTERN,
  QWEN2_PATTERN,
  QWEN35_PATTERN,
  TEKKEN_PATTERN,
]);
/** Names of llama.cpp's for cuts that others of its names stand for too. */
const OTHER_NAMES: Readonly<Record<string, string>> = {
  "command-r": "smollm",
  "deepseek-r1-qwen": "qwen2",
  "falcon3": "llama-bpe",
  "llama-v3": "llama-bpe",
  "llama3": "llama-bpe",
  "llama4": "gpt-4o",
  "olmo": "gpt-2",
  "phi-2": "gpt-2",
  "refact": "smollm",
  "smaug-bpe": "dbrx",
  "starcoder": "smollm",
};

/** Published tokenizers with these cuts compose characters first, which GGUF does not say. */
const COMPOSING: ReadonlySet<string> = new Set(["qwen2", "qwen35"]);

/** What stands in a tokenizer.json for a name. */
export interface PreTokenizerSteps {
  /** Pre-tokenizers before ByteLevel. */
  readonly before: readonly Readonly<Record<string, unknown>>[];
  /** Whether ByteLevel cuts as well, by GPT-2's pattern. */
  readonly last: boolean;
  /** Whether a whole piece that the vocabulary has is a token without regard to merges. */
  readonly ignoreMerges: boolean;
  /** Whether characters are composed first (NFC). */
  readonly composes: boolean;
}

/** The way back; undefined where the name is not known. */
export function preTokenizerSteps(name: string): PreTokenizerSteps | undefined {
  const own = Object.hasOwn(OTHER_NAMES, name) ? OTHER_NAMES[name] : name;
  const known = CUTS.find((cut) => cut.name === own);
  if (known === undefined) return undefined;
  const last = known.steps.at(-1) === GPT2_PATTERN;
  const before = last ? known.steps.slice(0, -1) : known.steps;
  return {
    before: before.map((step) =>
      step === DIGITS
        ? { type: "Digits", individual_digits: true }
        : { type: "Split", pattern: { Regex: step }, behavior: "Isolated", invert: false }
    ),
    last,
    ignoreMerges: known.ignoreMerges ?? true,
    composes: COMPOSING.has(own),
  };
}
