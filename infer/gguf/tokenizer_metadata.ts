/**
 * A tokenizer as GGUF's metadata: tokens with their types, merges or scores, special ids and the chat template.
 *
 * In: a tokenizer and its parsed tokenizer.json. Out: the keys `tokenizer.*`. What they mean to llama.cpp is in
 * its `llama-vocab.cpp`; its converter is `conversion/base.py`.
 *
 * @module
 */

import type { Tokenizer } from "../../data/text/tokenizer.ts";
import type { GgufValue } from "../../gguf/mod.ts";
import { isRecord } from "../../internal/json/is_record.ts";
import { preTokenizerName } from "./pre_tokenizer_name.ts";
import { type Merge, mergeParts, spmScores } from "./spm_scores.ts";
import { BLANK, BYTE, CONTROL, NORMAL, UNUSED, USER_DEFINED } from "./token_types.ts";

/** llama.cpp's converter gives added tokens of SentencePiece this score, and they are matched before all merges. */
const ADDED_SCORE = -1000;

/** What {@linkcode tokenizerMetadata} is made of. */
export interface TokenizerMetadataOptions {
  /** The tokenizer, with the template that shall be in the file. */
  readonly tokenizer: Tokenizer;
  /** The parsed tokenizer.json. */
  readonly tokenizerJson: Readonly<Record<string, unknown>>;
  /** Its path, for errors. */
  readonly path: string;
  /** Rows of the embedding: llama.cpp wants a token for each. */
  readonly rows: number;
  /** Ids that end a reply, the one that training taught first. */
  readonly eosTokenIds: readonly number[];
  /** Whether a sequence begins with a token of its own. */
  readonly addBos: boolean;
}

/** The metadata, and what other programs do otherwise. */
export interface TokenizerMetadata {
  /** In llama.cpp's order. */
  readonly entries: readonly (readonly [string, GgufValue])[];
  /** One sentence each. */
  readonly notes: readonly string[];
}

/**
 * The metadata of a tokenizer.
 *
 * @throws {RangeError} on a tokenizer that llama.cpp does not have
 */
export function tokenizerMetadata(options: TokenizerMetadataOptions): TokenizerMetadata {
  const { tokenizer, tokenizerJson, path, rows, eosTokenIds, addBos } = options;
  if (tokenizer.vocabSize > rows) {
    throw new RangeError(
      `Cannot write ${path} into a GGUF file: it has ${tokenizer.vocabSize} tokens, but the model's ` +
        `embedding ${rows} rows; llama.cpp wants one for each`,
    );
  }
  const model = isRecord(tokenizerJson.model) ? tokenizerJson.model : {};
  const merges = (model.merges ?? []) as readonly Merge[];
  const isSpm = model.byte_fallback === true;
  if (model.merges === undefined) {
    throw new RangeError(
      `Cannot write ${path} into a GGUF file: its model is ${
        JSON.stringify(model.type)
      }, and only BPE is supported`,
    );
  }
  const { texts, types } = listTokens(tokenizer, rows);
  const notes: string[] = [];
  const entries: [string, GgufValue][] = [];
  const add = (key: string, value: GgufValue): void =>
    void entries.push([`tokenizer.ggml.${key}`, value]);
  const number = (key: string, value: number): void => add(key, { type: "uint32", value });
  add("model", { type: "string", value: isSpm ? "llama" : "gpt2" });
  if (isSpm) {
    add("pre", { type: "string", value: "default" });
    add("tokens", { type: "array", of: "string", values: texts });
    const vocabulary = new Set(Object.keys(model.vocab as object));
    const added = new Set([...vocabulary].filter((token) => {
      const id = tokenizer.tokenToId(token);
      return id !== undefined && tokenizer.isAdded(id);
    }));
    const scores = spmScores(merges, { vocabulary, added, path });
    add("scores", {
      type: "array",
      of: "float32",
      values: texts.map((text, id) =>
        types[id] === NORMAL
          ? scores.get(text) ?? -scores.size
          : types[id] === BYTE
          ? 0
          : ADDED_SCORE
      ),
    });
    add("token_type", { type: "array", of: "int32", values: types });
  } else {
    notes.push(...byteLevelNotes(tokenizerJson.normalizer, path));
    add("pre", { type: "string", value: preTokenizerName(tokenizerJson, path) });
    add("tokens", { type: "array", of: "string", values: texts });
    add("token_type", { type: "array", of: "int32", values: types });
    const written = merges.map((merge) => mergeParts(merge).join(" "));
    add("merges", { type: "array", of: "string", values: written });
  }
  if (tokenizer.bosTokenId !== undefined) number("bos_token_id", tokenizer.bosTokenId);
  const [eos, eot, eom, ...others] = eosTokenIds;
  if (eos !== undefined) number("eos_token_id", eos);
  if (eot !== undefined) number("eot_token_id", eot);
  if (eom !== undefined) number("eom_token_id", eom);
  if (others.length > 0) {
    notes.push(
      `replies end with ${eosTokenIds.length} tokens, of which a GGUF file names three: ` +
        `${
          others.map((id) => JSON.stringify(tokenizer.idToToken(id))).join(", ")
        } may not end them`,
    );
  }
  const unknown = typeof model.unk_token === "string"
    ? tokenizer.tokenToId(model.unk_token)
    : undefined;
  if (unknown !== undefined) number("unknown_token_id", unknown);
  if (tokenizer.padTokenId !== undefined) number("padding_token_id", tokenizer.padTokenId);
  add("add_bos_token", { type: "bool", value: addBos });
  add("add_eos_token", { type: "bool", value: false });
  if (isSpm) {
    const blank = blankBefore(tokenizerJson, path);
    add("add_space_prefix", { type: "bool", value: blank === "always" });
    if (blank === "first") {
      notes.push(
        "llama.cpp puts a blank before every part of a text between special tokens, or before none: the file " +
          "says none, as is right for chats that begin with a special token; a text that begins without one " +
          "gets another first token",
      );
    }
  }
  if (tokenizer.chatTemplate !== undefined) {
    entries.push(["tokenizer.chat_template", { type: "string", value: tokenizer.chatTemplate }]);
  }
  return { entries, notes };
}

/** Texts and types by id; ids without a token are unused. */
function listTokens(
  tokenizer: Tokenizer,
  rows: number,
): { readonly texts: readonly string[]; readonly types: readonly number[] } {
  const texts: string[] = [];
  const types: number[] = [];
  for (let id = 0; id < rows; id++) {
    const token = tokenizer.idToToken(id);
    if (token === undefined) {
      texts.push(`[PAD${id}]`);
      types.push(UNUSED);
    } else if (tokenizer.isAdded(id)) {
      const control = tokenizer.isSpecial(id) || looksSpecial(token);
      // llama.cpp compares texts before blanks are replaced.
      texts.push(control ? token : token.replaceAll(BLANK, " "));
      types.push(control ? CONTROL : USER_DEFINED);
    } else {
      texts.push(token);
      types.push(tokenizer.isByteToken(id) ? BYTE : NORMAL);
    }
  }
  return { texts, types };
}

/** Tokens that some models forgot to mark: llama.cpp's converter takes these for special too. */
function looksSpecial(token: string): boolean {
  return ["<pad>", "<mask>", "<2mass>", "[@BOS@]"].includes(token) ||
    /^<\|.*\|>$|^<｜.*｜>$|^<unused.*>$/s.test(token);
}

/** What llama.cpp leaves out of a byte-level tokenizer's normalizer. */
function byteLevelNotes(normalizer: unknown, path: string): readonly string[] {
  const steps = flatten(normalizer, "normalizers");
  const other = steps.find(({ type }) => type !== "NFC");
  if (other) {
    throw new RangeError(
      `Cannot write ${path} into a GGUF file: llama.cpp has no ${
        JSON.stringify(other.type)
      } before a byte-level tokenizer's merges`,
    );
  }
  return steps.length === 0 ? [] : [
    "llama.cpp does not compose characters (NFC) as the tokenizer does: texts with letters and accents apart " +
    "get other tokens there",
  ];
}

/** Before which parts of a text a tokenizer of SentencePiece's kind puts a blank. */
function blankBefore(
  { normalizer, pre_tokenizer: preTokenizer }: Readonly<Record<string, unknown>>,
  path: string,
): "never" | "first" | "always" {
  const fail = (step: unknown): never => {
    throw new RangeError(
      `Cannot write ${path} into a GGUF file: llama.cpp has nothing like ${
        JSON.stringify(step).slice(0, 200)
      } before SentencePiece's merges`,
    );
  };
  let before: "never" | "first" | "always" = "never";
  for (const step of flatten(normalizer, "normalizers")) {
    const replaces = step.type === "Replace" && isRecord(step.pattern) &&
      step.pattern.String === " " && step.content === BLANK;
    if (step.type === "Prepend" && step.prepend === BLANK) before = "always";
    else if (!replaces) fail(step);
  }
  for (const step of flatten(preTokenizer, "pretokenizers")) {
    // Gemma's cuts at blanks, of which the normalizer has left none.
    if (step.type === "Split" && isRecord(step.pattern) && step.pattern.String === " ") continue;
    const { type, replacement, split, prepend_scheme: scheme = "always" } = step;
    const known = scheme === "never" || scheme === "first" || scheme === "always";
    if (type !== "Metaspace" || replacement !== BLANK || split !== false || !known) fail(step);
    before = scheme as typeof before;
  }
  return before;
}

/** The steps of a part of tokenizer.json: itself, or those of a sequence. */
function flatten(step: unknown, list: string): readonly Readonly<Record<string, unknown>>[] {
  if (!isRecord(step)) return [];
  const { [list]: steps } = step;
  return step.type === "Sequence" && Array.isArray(steps)
    ? steps.flatMap((each) => flatten(each, list))
    : [step];
}
