/**
 * Changes logits by what has been generated, before a token is chosen.
 *
 * In: logits [vocab] in float32, the sequence so far. Out: the logits, changed in place. Order and
 * arithmetic are those of Hugging Face's generate(), so that greedy tokens are the same ones.
 * Only the options are part of the public surface.
 */

import { NgramIndex } from "./ngram_index.ts";
import type { TokenSequence } from "./token_sequence.ts";

/** What is added to the logit of the last of some tokens where the others have just come. */
export interface SequenceBias {
  /** One token or more. */
  readonly ids: readonly number[];
  /** Added to the logit. */
  readonly bias: number;
}

/** How logits are changed; the names are those of Hugging Face's GenerationConfig. */
export interface LogitsProcessorOptions {
  /** Added to logits of tokens, or of what completes a sequence of them. @default {[]} */
  readonly sequenceBias?: readonly SequenceBias[];
  /**
   * Makes tokens of the prompt likelier where above 1.
   * @default {1}
   */
  readonly encoderRepetitionPenalty?: number;
  /**
   * Makes tokens of the sequence so far less likely where above 1.
   * Keskar et al. 2019, https://arxiv.org/abs/1909.05858.
   * @default {1}
   */
  readonly repetitionPenalty?: number;
  /** Rules out what would repeat an n-gram of this size; 0 is off. @default {0} */
  readonly noRepeatNgramSize?: number;
  /** Rules out what would repeat an n-gram of the prompt; 0 is off. @default {0} */
  readonly encoderNoRepeatNgramSize?: number;
  /** Sequences of tokens that are not generated; those that end a reply are not ruled out. @default {[]} */
  readonly badWordsIds?: readonly (readonly number[])[];
  /**
   * Rules out the end of a reply before prompt and reply have this many tokens; without effect
   * where `minNewTokens` is given.
   * @default {0}
   */
  readonly minLength?: number;
  /** Rules out the end of a reply before it has this many tokens. @default {0} */
  readonly minNewTokens?: number;
  /** The token after a prompt of one token. @default {none} */
  readonly forcedBosTokenId?: number;
  /** One of these is the last token that the limit leaves. @default {none} */
  readonly forcedEosTokenIds?: readonly number[];
  /** Whether NaN counts as 0 and an infinity as the largest float32 number. @default {false} */
  readonly removeInvalidValues?: boolean;
  /**
   * Makes the end of a reply likelier with each token after `start` new ones, by powers of `factor`.
   * @default {none}
   */
  readonly exponentialDecayLengthPenalty?: { readonly start: number; readonly factor: number };
  /** Tokens that are not generated. @default {[]} */
  readonly suppressTokens?: readonly number[];
  /** Tokens that a reply does not begin with. @default {[]} */
  readonly beginSuppressTokens?: readonly number[];
}

/** What processors know of the reply. */
export interface LogitsProcessorContext {
  /** Tokens that end it, also where the caller ignores them. @default {[]} */
  readonly endIds?: readonly number[];
  /** Tokens that the prompt and the reply have together at most. @default {Infinity} */
  readonly maxLength?: number;
}

/** Changes logits [vocab] in place. */
export type LogitsProcessor = (scores: Float32Array, sequence: TokenSequence) => void;

const FLOAT32_MAX = 3.4028234663852886e38;

/** The processors that options ask for, in the order in which Hugging Face applies them. */
export function logitsProcessors(
  options: LogitsProcessorOptions & LogitsProcessorContext,
): LogitsProcessor[] {
  const { endIds = [], maxLength = Infinity, badWordsIds = [], sequenceBias = [] } = options;
  const { repetitionPenalty = 1, encoderRepetitionPenalty = 1 } = options;
  const { noRepeatNgramSize = 0, encoderNoRepeatNgramSize = 0 } = options;
  const { minNewTokens, forcedBosTokenId, forcedEosTokenIds = [] } = options;
  const { exponentialDecayLengthPenalty, suppressTokens = [], beginSuppressTokens = [] } = options;
  const bans = badWordsIds.filter((ids) => !(ids.length === 1 && endIds.includes(ids[0])))
    .map((ids) => ({ ids, bias: -Infinity }));
  const minLength = minNewTokens === undefined ? options.minLength ?? 0 : 0;
  const list: LogitsProcessor[] = [];
  const add = (wanted: boolean, processor: () => LogitsProcessor): void => {
    if (wanted) list.push(processor());
  };
  add(sequenceBias.length > 0, () => addBiases(sequenceBias));
  add(encoderRepetitionPenalty !== 1, () => scalePrompt(1 / encoderRepetitionPenalty));
  add(repetitionPenalty !== 1, () => scaleAll(repetitionPenalty));
  add(noRepeatNgramSize > 0, () => noRepeat(noRepeatNgramSize));
  add(encoderNoRepeatNgramSize > 0, () => noRepeatOfPrompt(encoderNoRepeatNgramSize));
  add(bans.length > 0, () => addBiases(bans));
  add(minLength > 0, () => (scores, { length }) => {
    if (length < minLength) ban(scores, endIds);
  });
  add(minNewTokens !== undefined && minNewTokens > 0, () => (scores, { length, promptLength }) => {
    if (length - promptLength < minNewTokens!) ban(scores, endIds);
  });
  add(
    forcedBosTokenId !== undefined,
    () => (scores, { length }) => {
      if (length === 1) force(scores, [forcedBosTokenId!]);
    },
  );
  add(
    forcedEosTokenIds.length > 0,
    () => (scores, { length }) => {
      if (length === maxLength - 1) force(scores, forcedEosTokenIds);
    },
  );
  add(options.removeInvalidValues === true, () => removeInvalid);
  add(
    exponentialDecayLengthPenalty !== undefined,
    () => decay(exponentialDecayLengthPenalty!, endIds),
  );
  add(suppressTokens.length > 0, () => (scores) => ban(scores, suppressTokens));
  add(
    beginSuppressTokens.length > 0,
    () => (scores, { length, promptLength }) => {
      const begin = promptLength > 1 || forcedBosTokenId === undefined
        ? promptLength
        : promptLength + 1;
      if (length === begin) ban(scores, beginSuppressTokens);
    },
  );
  return list;
}

function ban(scores: Float32Array, ids: readonly number[]): void {
  // Typed arrays leave ids outside the vocabulary out.
  for (const id of ids) scores[id] = -Infinity;
}

function force(scores: Float32Array, ids: readonly number[]): void {
  scores.fill(-Infinity);
  for (const id of ids) scores[id] = 0;
}

/** All biases of a token are added up first, as Hugging Face does. */
function addBiases(biases: readonly SequenceBias[]): LogitsProcessor {
  // Of a sequence given twice the last bias counts.
  const unique = [...new Map(biases.map((each) => [each.ids.join(), each])).values()];
  const single = unique.filter(({ ids }) => ids.length === 1);
  const longer = unique.filter(({ ids }) => ids.length > 1);
  const sums = new Map<number, number>();
  return (scores, { ids: so }) => {
    sums.clear();
    for (const { ids: [id], bias } of single) sums.set(id, Math.fround(bias));
    for (const { ids, bias } of longer) {
      const last = ids.length - 1;
      if (last > so.length) continue;
      const start = so.length - last;
      let i = 0;
      while (i < last && so[start + i] === ids[i]) i++;
      if (i < last) continue;
      sums.set(ids[last], Math.fround((sums.get(ids[last]) ?? 0) + Math.fround(bias)));
    }
    for (const [id, bias] of sums) scores[id] += bias;
  };
}

/** A positive logit divided, a negative one multiplied: both become less likely. */
function scale(scores: Float32Array, id: number, penalty: number): void {
  scores[id] = scores[id] < 0 ? scores[id] * penalty : scores[id] / penalty;
}

function scaleAll(value: number): LogitsProcessor {
  // PyTorch takes a factor in the tensor's own type.
  const penalty = Math.fround(value);
  return (scores, { distinct }) => {
    for (const id of distinct) scale(scores, id, penalty);
  };
}

function scalePrompt(value: number): LogitsProcessor {
  const penalty = Math.fround(value);
  const promptOf = perSequence(({ ids, promptLength }) => new Set(ids.slice(0, promptLength)));
  return (scores, sequence) => {
    for (const id of promptOf(sequence)) scale(scores, id, penalty);
  };
}

function noRepeat(size: number): LogitsProcessor {
  const indexOf = perSequence(() => new NgramIndex(size));
  return (scores, sequence) => {
    const index = indexOf(sequence);
    index.read(sequence.ids);
    ban(scores, index.followers(sequence.ids));
  };
}

function noRepeatOfPrompt(size: number): LogitsProcessor {
  const indexOf = perSequence(({ ids, promptLength }) => {
    const index = new NgramIndex(size);
    index.read(ids.slice(0, promptLength));
    return index;
  });
  return (scores, sequence) => ban(scores, indexOf(sequence).followers(sequence.ids));
}

function removeInvalid(scores: Float32Array): void {
  for (let id = 0; id < scores.length; id++) {
    if (Number.isNaN(scores[id])) scores[id] = 0;
    else if (scores[id] === Infinity) scores[id] = FLOAT32_MAX;
    else if (scores[id] === -Infinity) scores[id] = -FLOAT32_MAX;
  }
}

function decay(
  { start, factor }: { readonly start: number; readonly factor: number },
  endIds: readonly number[],
): LogitsProcessor {
  return (scores, { length, promptLength }) => {
    const over = length - promptLength - start;
    if (over <= 0) return;
    const growth = Math.fround(factor ** over - 1);
    for (const id of endIds) {
      // What is ruled out stays so.
      if (!Number.isFinite(scores[id])) continue;
      scores[id] += Math.fround(Math.abs(scores[id]) * growth);
    }
  };
}

/** A value made once for a sequence, and anew for another one. */
function perSequence<T>(make: (sequence: TokenSequence) => T): (sequence: TokenSequence) => T {
  let known: TokenSequence | undefined;
  let value: T;
  return (sequence) => {
    if (sequence !== known) value = make(sequence);
    known = sequence;
    return value;
  };
}
