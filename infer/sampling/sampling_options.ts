/**
 * Options of sampling, with the names and the meaning of Hugging Face's generate().
 *
 * @module
 */

import type { TokenConstraint } from "./token_constraint.ts";
import type { LogitsProcessorContext, LogitsProcessorOptions } from "./logits_processors.ts";

/** How tokens are chosen. */
export interface SamplingOptions extends LogitsProcessorOptions {
  /**
   * Divides the logits: below 1 likelier tokens become likelier still.
   * @default {1}
   */
  readonly temperature?: number;
  /**
   * Draws only among this many likeliest tokens (more where some are equally likely); 0 is off.
   * @default {0}
   */
  readonly topK?: number;
  /**
   * Draws only among the smallest set of tokens whose probabilities reach this sum; 1 is off.
   * Holtzman et al. 2019, https://arxiv.org/abs/1904.09751.
   * @default {1}
   */
  readonly topP?: number;
  /**
   * Draws only among tokens with at least this share of the likeliest one's probability; 0 is off.
   * Nguyen et al. 2024, https://arxiv.org/abs/2407.01082.
   * @default {0}
   */
  readonly minP?: number;
  /**
   * Draws only among tokens whose information is nearest to the entropy, up to this sum of their
   * probabilities; 1 is off. Meister et al. 2022, https://arxiv.org/abs/2202.00666.
   * @default {1}
   */
  readonly typicalP?: number;
  /**
   * Draws only among tokens with at least this probability; 0 is off.
   * Hewitt et al. 2022, https://arxiv.org/abs/2210.15191.
   * @default {0}
   */
  readonly epsilonCutoff?: number;
  /** The same with a limit that falls with the entropy; 0 is off. @default {0} */
  readonly etaCutoff?: number;
  /**
   * Draws only among the likeliest tokens that make up this share of the entropy.
   * https://arxiv.org/abs/2509.02510.
   * @default {off}
   */
  readonly topH?: number;
  /**
   * Takes the likeliest token; of the other options only those of
   * {@linkcode LogitsProcessorOptions} count.
   * @default {false}
   */
  readonly greedy?: boolean;
}

/** Options of {@linkcode createSampler}. */
export interface SamplerOptions extends SamplingOptions, LogitsProcessorContext {
  /**
   * Uniform draws from [0, 1), one a token; a seeded stream makes the same choices again.
   * @default {Math.random}
   */
  readonly random?: () => number;
  /** Holds the sequence to a format. @default {none} */
  readonly constraint?: TokenConstraint | undefined;
}
