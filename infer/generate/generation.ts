/**
 * A reply being made: what it is asked for, and how it ended.
 *
 * @module
 */

import type { SamplingOptions } from "../sampling/sampling_options.ts";
import type { TokenConstraintSource } from "../sampling/token_constraint.ts";
import type { ChosenLogprob } from "../sampling/token_logprobs.ts";

/**
 * Why a reply ended: the model ended it, one of the model's stop strings came, the limit of tokens
 * or of time or the model's last position was reached, or the caller ended it.
 */
export type FinishReason = "eos" | "stop" | "length" | "aborted";

/** How a reply is made; what is left out comes from the generator's defaults. */
export interface GenerateOptions extends SamplingOptions {
  /**
   * Most tokens to make; 0 reads the prompt only. A reply also ends at the model's last position.
   * @default {the model's, or 2048}
   */
  readonly maxNewTokens?: number;
  /** Most tokens to make, whatever the option or the model says. @default {Infinity} */
  readonly atMostNewTokens?: number;
  /** Tokens that end the reply, in place of the generator's. */
  readonly eosTokenIds?: readonly number[];
  /** Whether those tokens do not end the reply. @default {false} */
  readonly ignoreEos?: boolean;
  /** Further tokens that end the reply. @default {[]} */
  readonly stopTokenIds?: readonly number[];
  /**
   * A number from 0 to 2³² − 1: the same seed, prompt and options make the same reply.
   * @default {a random one}
   */
  readonly seed?: number;
  /**
   * Asks for the log probability of each token, and of this many likeliest ones beside it: as the
   * model has them, before any option of sampling.
   * @default {none is told}
   */
  readonly topLogprobs?: number;
  /**
   * Asks for the log probability of each token of the prompt but the first one, and of this many
   * likeliest ones beside it. They take a head's pass over the whole prompt.
   * @default {none is told}
   */
  readonly promptLogprobs?: number;
  /** Holds the reply to a format. @default {none} */
  readonly constraint?: TokenConstraintSource;
  /** Ends the reply within one token, with the finish reason `aborted`. */
  readonly signal?: AbortSignal;
}

/** A reply being made: its token ids, in order. */
export interface Generation extends AsyncIterableIterator<number, void> {
  /** Why the reply ended; `undefined` until then. */
  readonly finishReason: FinishReason | undefined;
  /** The token that ended the reply, which is not given out. */
  readonly endToken?: number;
  /**
   * One entry a token, where {@linkcode GenerateOptions.topLogprobs} asks for them; after the last
   * one that of the token that ended the reply.
   */
  readonly logprobs?: readonly ChosenLogprob[];
  /**
   * One entry a token of the prompt from the second one on, where
   * {@linkcode GenerateOptions.promptLogprobs} asks for them; complete before the first new token.
   */
  readonly promptLogprobs?: readonly ChosenLogprob[];
}
