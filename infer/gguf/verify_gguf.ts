/**
 * A GGUF file in llama.cpp, beside the checkpoint that it was made of.
 *
 * In: a file and what the checkpoint answered. Out: whether template, tokens and ends of replies are the same, and
 * how far the answers are apart.
 *
 * @module
 */

import type { Tokenizer } from "../../data/text/tokenizer.ts";
import {
  compareParity,
  type ParityQuestions,
  type ParityReference,
  type ParityReport,
} from "../export/parity.ts";
import type { LlamaLibrary, LoadLlamaOptions } from "./llama_library.ts";

/** What {@linkcode verifyGguf} compares with. */
export interface VerifyGgufOptions extends Pick<LoadLlamaOptions, "threads" | "adapter"> {
  /** The checkpoint's tokenizer, with its template. */
  readonly tokenizer: Tokenizer;
  /** Texts that both make tokens of. */
  readonly texts: readonly string[];
  /** Ids that end a reply. */
  readonly eosTokenIds: readonly number[];
  /** What both are asked. */
  readonly questions: ParityQuestions;
  /** What the checkpoint answered. */
  readonly reference: ParityReference;
}

/** The report. */
export interface GgufReport {
  /** Whether the file's chat template is the checkpoint's. */
  readonly template: boolean;
  /** Texts, and how many of them have the same tokens in both. */
  readonly texts: { readonly all: number; readonly same: number };
  /** Tokens that end a reply of the checkpoint, and how many of them do in llama.cpp. */
  readonly ends: { readonly all: number; readonly same: number };
  /** How far the answers are apart. */
  readonly parity: ParityReport;
}

/**
 * Loads the file and compares.
 *
 * @throws {Error} where llama.cpp does not take the file
 */
export async function verifyGguf(
  llama: LlamaLibrary,
  path: string,
  options: VerifyGgufOptions,
): Promise<GgufReport> {
  const { tokenizer, texts, eosTokenIds, questions, reference, threads, adapter } = options;
  const contextLength = Math.max(
    ...questions.prompts.map((ids) => ids.length + questions.greedyTokens),
    ...questions.text.map((ids) => ids.length),
  );
  using model = await llama.load(path, { contextLength, threads, adapter });
  const same = texts.filter((text) => {
    const [ours, theirs] = [tokenizer.encode(text), model.encode(text)];
    return ours.length === theirs.length && ours.every((id, i) => id === theirs[i]);
  });
  return {
    template: model.chatTemplate === tokenizer.chatTemplate,
    texts: { all: texts.length, same: same.length },
    ends: {
      all: eosTokenIds.length,
      same: eosTokenIds.filter((id) => model.endsReply(id)).length,
    },
    parity: await compareParity(model, questions, reference),
  };
}
