/**
 * How far an export is from its checkpoint.
 *
 * In: two ways to run a model. Out: the largest and the mean difference of logits over prompts,
 * whether both go on with the same tokens, and the perplexity of a text in both.
 *
 * @module
 */

/** A model that can be asked for logits: the checkpoint, or an export of it. */
export interface ParityModel {
  /** Logits after each token, [tokens, vocab], in memory that the next call may write to. */
  logits(ids: Int32Array): Promise<Float32Array>;
  /** The likeliest tokens after a prompt, so many. */
  greedy(ids: Int32Array, count: number): Promise<readonly number[]>;
}

/** What both models are asked. */
export interface ParityQuestions {
  /** Token ids of prompts. */
  readonly prompts: readonly Int32Array[];
  /** Tokens that both go on with after each prompt. */
  readonly greedyTokens: number;
  /** Token ids of a text, cut into windows that start anew. */
  readonly text: readonly Int32Array[];
}

/** What a checkpoint answers, kept so that it need not stay in memory beside its export. */
export interface ParityReference {
  /** Of each prompt, [tokens, vocab]. */
  readonly logits: readonly Float32Array[];
  /** Of each prompt. */
  readonly greedy: readonly (readonly number[])[];
  /** −log of the probability of each token of the text but the windows' first. */
  readonly losses: readonly number[];
}

/** The report. */
export interface ParityReport {
  /** The largest difference of any logit. */
  readonly maxAbsolute: number;
  /** The mean difference of all logits. */
  readonly meanAbsolute: number;
  /** The largest logit of the checkpoint, to judge the differences by. */
  readonly largestLogit: number;
  /** Positions of the prompts, and how many have the same likeliest token in both. */
  readonly positions: { readonly all: number; readonly same: number };
  /**
   * Prompts, tokens after each, how many of all of them are the same up to the first that is not, and the ids that the
   * export went on with.
   */
  readonly greedy: {
    readonly prompts: number;
    readonly tokens: number;
    readonly same: readonly number[];
    readonly ids: readonly (readonly number[])[];
  };
  /** Of the text; `difference` is export − checkpoint. */
  readonly perplexity: {
    readonly tokens: number;
    readonly checkpoint: number;
    readonly export: number;
    readonly difference: number;
  };
}

/** Asks the checkpoint. */
export async function parityReference(
  model: ParityModel,
  { prompts, greedyTokens, text }: ParityQuestions,
): Promise<ParityReference> {
  const logits: Float32Array[] = [];
  const greedy: (readonly number[])[] = [];
  for (const ids of prompts) {
    logits.push((await model.logits(ids)).slice());
    greedy.push(await model.greedy(ids, greedyTokens));
  }
  return { logits, greedy, losses: await textLosses(model, text) };
}

/** Asks the export the same and compares. */
export async function compareParity(
  model: ParityModel,
  questions: ParityQuestions,
  reference: ParityReference,
): Promise<ParityReport> {
  const { prompts, greedyTokens, text } = questions;
  let [maxAbsolute, sum, count, largestLogit, all, same] = [0, 0, 0, 0, 0, 0];
  const agreed: number[] = [];
  const continued: (readonly number[])[] = [];
  for (const [i, ids] of prompts.entries()) {
    const wanted = reference.logits[i];
    const got = await model.logits(ids);
    for (let at = 0; at < wanted.length; at++) {
      const difference = Math.abs(got[at] - wanted[at]);
      // A NaN shows, and stays: Math.max gives it on.
      maxAbsolute = Math.max(maxAbsolute, difference);
      sum += difference;
      largestLogit = Math.max(largestLogit, Math.abs(wanted[at]));
    }
    count += wanted.length;
    const vocab = wanted.length / ids.length;
    for (let row = 0; row < ids.length; row++) {
      const range = [row * vocab, (row + 1) * vocab] as const;
      if (likeliest(got.subarray(...range)) === likeliest(wanted.subarray(...range))) same++;
      all++;
    }
    const tokens = await model.greedy(ids, greedyTokens);
    const first = tokens.findIndex((id, at) => id !== reference.greedy[i][at]);
    agreed.push(first < 0 ? tokens.length : first);
    continued.push(tokens);
  }
  const losses = await textLosses(model, text);
  const [before, after] = [reference.losses, losses].map(perplexity);
  return {
    maxAbsolute,
    meanAbsolute: sum / count,
    largestLogit,
    positions: { all, same },
    greedy: { prompts: prompts.length, tokens: greedyTokens, same: agreed, ids: continued },
    perplexity: {
      tokens: losses.length,
      checkpoint: before,
      export: after,
      difference: after - before,
    },
  };
}

function perplexity(losses: readonly number[]): number {
  return Math.exp(losses.reduce((sum, loss) => sum + loss, 0) / losses.length);
}

async function textLosses(model: ParityModel, text: readonly Int32Array[]): Promise<number[]> {
  const losses: number[] = [];
  for (const ids of text) {
    const logits = await model.logits(ids);
    const vocab = logits.length / ids.length;
    for (let row = 0; row + 1 < ids.length; row++) {
      const scores = logits.subarray(row * vocab, (row + 1) * vocab);
      const largest = scores[likeliest(scores)];
      let sum = 0;
      for (let id = 0; id < vocab; id++) sum += Math.exp(scores[id] - largest);
      losses.push(largest + Math.log(sum) - scores[ids[row + 1]]);
    }
  }
  return losses;
}

/** The first of the largest scores. */
export function likeliest(scores: Float32Array): number {
  let best = 0;
  for (let id = 1; id < scores.length; id++) if (scores[id] > scores[best]) best = id;
  return best;
}
