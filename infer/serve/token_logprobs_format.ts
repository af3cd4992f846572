/**
 * Log probabilities as the OpenAI API writes them.
 *
 * In: chosen tokens and the tokenizer. Out: for each its text, its bytes and the likeliest tokens'.
 */

import type { Tokenizer } from "../../data/text/tokenizer.ts";
import type { ChosenLogprob, TokenLogprob } from "../sampling/token_logprobs.ts";
import type { LogprobAnswer, TokenLogprobAnswer } from "./page_answers.ts";

/** In place of minus infinity, which JSON has not: as OpenAI and vLLM do. */
const LEAST = -9999;

/** Log probabilities of tokens, in order. */
export function logprobAnswers(
  tokens: readonly ChosenLogprob[],
  tokenizer: Tokenizer,
): LogprobAnswer[] {
  const answer = (each: TokenLogprob): TokenLogprobAnswer => {
    const bytes = tokenizer.tokenBytes(each.id);
    return {
      token: new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes),
      logprob: Math.max(each.logprob, LEAST),
      bytes: [...bytes],
    };
  };
  return tokens.map((each) => ({ ...answer(each), top_logprobs: each.top.map(answer) }));
}
