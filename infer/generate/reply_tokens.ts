/**
 * Makes a reply's tokens of logits.
 *
 * In: a plan, and the logits of one step after another. Out: the tokens, and why there are no more.
 * What generators of one reply and of many have in common.
 */

import type { FinishReason } from "./generation.ts";
import type { GenerationPlan } from "./generation_plan.ts";
import { StopTextMatcher } from "./stop_texts.ts";
import { TokenSequence } from "../sampling/token_sequence.ts";

/** The tokens of one reply. */
export class ReplyTokens {
  readonly #plan: GenerationPlan;
  readonly #sequence: TokenSequence;
  readonly #stops: StopTextMatcher | undefined;
  readonly #began = performance.now();
  #made = 0;
  #finishReason: FinishReason | undefined;
  #endToken: number | undefined;

  /** Starts the clock of a reply that has a time limit. */
  constructor(plan: GenerationPlan, promptIds: ArrayLike<number>) {
    this.#plan = plan;
    this.#sequence = new TokenSequence(promptIds);
    this.#stops = plan.stopTexts && new StopTextMatcher(plan.stopTexts, promptIds);
  }

  /** Why there are no more tokens; `undefined` while there are. */
  get finishReason(): FinishReason | undefined {
    return this.#finishReason;
  }

  /** The token that ended the reply and is no part of it. */
  get endToken(): number | undefined {
    return this.#endToken;
  }

  /** The next token of logits [vocab]; none where it ends the reply. */
  next(logits: Float32Array): number | undefined {
    const { sample, ends, limit, constraint, logprobs, maxSeconds } = this.#plan;
    const id = sample(logits, this.#sequence);
    logprobs?.push(logits, id);
    if (ends.has(id)) {
      this.#endToken = id;
      this.#finishReason = "eos";
      return undefined;
    }
    this.#sequence.push(id);
    constraint?.push(id);
    if (constraint?.finished) this.#finishReason = "stop";
    else if (this.#stops?.push(id)) this.#finishReason = "stop";
    else if (++this.#made === limit) this.#finishReason = "length";
    else if (performance.now() - this.#began > maxSeconds * 1000) this.#finishReason = "length";
    return id;
  }
}
