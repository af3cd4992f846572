/**
 * A training example of plain text.
 *
 * In: a prompt and its completion, as TRL means them. Out: an Example without a chat template: the
 * prompt's tokens, the completion's, and the token that ends a text.
 */

import { encodeWhole, endReply } from "./encode_reply.ts";
import type { Example } from "./example.ts";
import type { TextRecord } from "../records/record_types.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { fitExample, type TruncationOptions } from "./truncation.ts";

/** Options of {@linkcode toTextExample}. */
export interface ToTextExampleOptions extends TruncationOptions {
  /** The tokenizer; its chat template is not used. */
  readonly tokenizer: Tokenizer;
}

/**
 * Encodes prompt and completion apart, so that training sees the same tokens at the boundary as
 * whoever asks for the completion of the prompt, and adds no token before them.
 *
 * @returns `undefined` where it is too long and `truncation` is `drop`
 * @throws {Error} if the tokenizer loses some of the completion
 *
 * @example
 * ```ts
 * import { byteTokenizerFiles, createTokenizer } from "@ortune/ortune";
 * import { toTextExample } from "@ortune/ortune/data";
 * import assert from "node:assert/strict";
 *
 * const tokenizer = createTokenizer(byteTokenizerFiles());
 * const record = { kind: "text", prompt: "The sky is", completion: " blue." } as const;
 * const example = toTextExample(record, { tokenizer, maxLength: 64 })!;
 * assert.equal(tokenizer.decode(example.inputIds), "The sky is blue.<|im_end|>");
 * assert.equal(example.promptLength, 10);
 * ```
 */
export function toTextExample(
  { prompt, completion }: TextRecord,
  options: ToTextExampleOptions,
): Example | undefined {
  const { tokenizer } = options;
  const { ids, terminated } = endReply(
    encodeWhole(completion, tokenizer, "the completion"),
    tokenizer,
  );
  const whole = { prompt: tokenizer.encode(prompt), reply: ids, terminated };
  return fitExample(whole, options, { name: "the text" });
}
