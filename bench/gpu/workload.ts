/**
 * What all contenders train on: models' shapes, and rows with the length distribution of
 * krisfu/delicate_medical_r1_data, made from a seed, since nothing is downloaded.
 *
 * In: a seed, counts, a vocabulary. Out: updates, each a list of rows of token ids.
 */

import { TorchGenerator } from "../../ort/tensor/torch_random.ts";

/** A model's shape, in the words of its config.json. */
export interface ModelShape {
  readonly vocab_size: number;
  readonly hidden_size: number;
  readonly intermediate_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly num_key_value_heads: number;
  readonly head_dim: number;
}

const QWEN3 = {
  vocab_size: 151936,
  num_hidden_layers: 28,
  num_attention_heads: 16,
  num_key_value_heads: 8,
  head_dim: 128,
};

/** Shapes by name; the tiny one proves the harness where there is no GPU. */
export const SHAPES: Readonly<Record<string, ModelShape>> = {
  "1.7B": { ...QWEN3, hidden_size: 2048, intermediate_size: 6144 },
  "0.6B": { ...QWEN3, hidden_size: 1024, intermediate_size: 3072 },
  tiny: {
    vocab_size: 512,
    hidden_size: 64,
    intermediate_size: 128,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    head_dim: 16,
  },
};

/** A row: the first `prompt` ids are not supervised. */
export interface Row {
  readonly ids: readonly number[];
  readonly prompt: number;
}

/** Updates in the order they are to be made. */
export interface Workload {
  readonly maxLength: number;
  /** Four rows each: the seed's batch of 1 and accumulation of 4. */
  readonly four: readonly (readonly Row[])[];
  /** Rows of about `largeTokens` tokens each. */
  readonly large: readonly (readonly Row[])[];
}

/** What decides a workload. */
export interface WorkloadOptions {
  readonly seed: number;
  readonly vocabulary: number;
  readonly maxLength: number;
  /** Updates of four rows. */
  readonly four: number;
  /** Large updates, and the tokens of each. */
  readonly large: number;
  readonly largeTokens: number;
}

// The dataset: questions of about 60 tokens with system prompt and template, think and answer of
// 500 in the mean with a long tail, cut at 2048. Log-normal, as lengths of texts are.
const PROMPT = { median: 56, spread: 0.35, least: 30 };
const REPLY = { mean: 500, spread: 0.6, least: 16 };

/**
 * Prompt and reply lengths of one row, from two normal variates; they sum to maxLength at the most.
 * Both shrink in proportion where rows are shorter than the dataset's 2048.
 */
export function rowLengths(
  [first, second]: readonly [number, number],
  maxLength: number,
): { readonly prompt: number; readonly reply: number } {
  const scale = Math.min(1, maxLength / 2048);
  const tokens = (median: number, spread: number, least: number, normal: number) =>
    Math.max(2, Math.round(scale * Math.max(least, median * Math.exp(spread * normal))));
  const prompt = Math.min(
    tokens(PROMPT.median, PROMPT.spread, PROMPT.least, first),
    Math.floor(maxLength / 2),
  );
  const median = REPLY.mean * Math.exp(-(REPLY.spread ** 2) / 2);
  const reply = tokens(median, REPLY.spread, REPLY.least, second);
  return { prompt, reply: Math.min(reply, maxLength - prompt) };
}

/** Makes the same workload of the same options. */
export function makeWorkload(options: WorkloadOptions): Workload {
  const { seed, vocabulary, maxLength, four, large, largeTokens } = options;
  const random = new TorchGenerator(seed);
  const normals = new Float32Array(2);
  const row = (): Row => {
    random.normal(normals, 0, 1);
    const { prompt, reply } = rowLengths([normals[0], normals[1]], maxLength);
    const uniform = new Float32Array(prompt + reply);
    random.uniform(uniform, 0, 1);
    // Frequent ids are far more frequent (Zipf), so that there is something to learn in few updates.
    const ids = Array.from(
      uniform,
      (u) => Math.min(vocabulary - 1, Math.floor(vocabulary ** u) - 1),
    );
    return { ids, prompt };
  };
  return {
    maxLength,
    four: Array.from({ length: four }, () => Array.from({ length: 4 }, row)),
    large: Array.from({ length: large }, () => {
      const rows: Row[] = [];
      while (countTokens(rows) < largeTokens) rows.push(row());
      return rows;
    }),
  };
}

/** Tokens of an example. */
export interface ExampleLength {
  readonly tokens: number;
  /** Those that are supervised. */
  readonly reply: number;
}

/** Batches of examples of the dataset's lengths, without their ids. */
export function batchesOfLengths(
  { examples, maxLength, batches = 1000, seed = 42 }: {
    /** Examples a batch. */
    readonly examples: number;
    readonly maxLength: number;
    /** @default 1000 */
    readonly batches?: number;
    /** @default 42 */
    readonly seed?: number;
  },
): readonly (readonly ExampleLength[])[] {
  const random = new TorchGenerator(seed);
  const normals = new Float32Array(2 * examples);
  return Array.from({ length: batches }, () => {
    random.normal(normals, 0, 1);
    return Array.from({ length: examples }, (_, i) => {
      const { prompt, reply } = rowLengths([normals[2 * i], normals[2 * i + 1]], maxLength);
      return { tokens: prompt + reply, reply };
    });
  });
}

/** Real tokens of an update. */
export function countTokens(rows: readonly Row[]): number {
  return rows.reduce((sum, { ids }) => sum + ids.length, 0);
}
