/**
 * From logits to the tokens that may come next.
 *
 * In: logits [vocab] in float32, the sequence so far. Out: candidates, or the likeliest token. The
 * order is that of Hugging Face's generate(): processors, a constraint, temperature, top-h, top-k, top-p, min-p,
 * typical, epsilon and eta. Not part of the public surface.
 */

import {
  type Candidates,
  candidatesOf,
  keepEpsilon,
  keepEta,
  keepMinP,
  keepTopH,
  keepTopK,
  keepTopP,
  keepTypical,
} from "./candidates.ts";
import { logitsProcessors } from "./logits_processors.ts";
import type { SamplerOptions } from "./sampling_options.ts";
import { TokenSequence } from "./token_sequence.ts";

/** What may come next. */
export interface Distribution {
  /** The likeliest token. */
  best(logits: Float32Array, sequence?: TokenSequence): number;
  /** All that may be drawn. */
  candidates(logits: Float32Array, sequence?: TokenSequence): Candidates;
}

/** Makes a distribution of checked options, for one sequence after another. */
export function createDistribution(options: Omit<SamplerOptions, "random">): Distribution {
  const { temperature = 1, topK = 0, topP = 1, minP = 0, typicalP = 1 } = options;
  const { epsilonCutoff = 0, etaCutoff = 0, topH, constraint } = options;
  const processors = logitsProcessors(options);
  const processed = processors.length > 0 || constraint !== undefined;
  let scratch = new Float32Array();
  const process = (logits: Float32Array, sequence: TokenSequence): Float32Array => {
    if (!processed) return logits;
    if (scratch.length !== logits.length) scratch = new Float32Array(logits.length);
    scratch.set(logits);
    for (const processor of processors) processor(scratch, sequence);
    constraint?.apply(scratch);
    if (constraint && scratch.every((each) => each === -Infinity)) {
      // What other options rule out is wanted less than the format.
      scratch.set(logits);
      constraint.apply(scratch);
    }
    return scratch;
  };
  const best = (scores: Float32Array): number => likeliest(scores, processed);
  const none = new TokenSequence();
  return {
    best: (logits, sequence = none) => best(process(logits, sequence)),
    candidates(logits: Float32Array, sequence: TokenSequence = none): Candidates {
      const scores = process(logits, sequence);
      const early = topH === undefined ? topK : 0;
      let found = candidatesOf(scores, { best: best(scores), temperature, topK: early });
      if (topH !== undefined) {
        found = keepTopH(found, topH);
        if (topK > 0) found = keepTopK(found, topK);
      }
      if (topP < 1) found = keepTopP(found, topP);
      if (minP > 0) found = keepMinP(found, minP);
      if (typicalP < 1) found = keepTypical(found, typicalP);
      if (epsilonCutoff > 0) found = keepEpsilon(found, epsilonCutoff);
      if (etaCutoff > 0) found = keepEta(found, etaCutoff);
      return found;
    },
  };
}

/** The first of the largest. */
function likeliest(scores: Float32Array, processed: boolean): number {
  let best = 0;
  for (let id = 0; id < scores.length; id++) {
    if (Number.isNaN(scores[id])) throw notFinite(id, NaN);
    if (scores[id] > scores[best]) best = id;
  }
  if (Number.isFinite(scores[best])) return best;
  // −Infinity rules a token out, but not all of them.
  if (processed && scores[best] === -Infinity) {
    throw new RangeError(
      "Cannot choose a token: the options of generation rule out every one; take back what bans " +
        "tokens, such as no_repeat_ngram_size, bad_words_ids or suppress_tokens",
    );
  }
  throw notFinite(best, scores[best]);
}

function notFinite(id: number, value: number): RangeError {
  return new RangeError(
    `Cannot choose a token: the logit of token ${id} is ${value}; the weights are not finite, as ` +
      "after a training run that diverged: go back to an earlier checkpoint",
  );
}
