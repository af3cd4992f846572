/**
 * How queries and keys are turned by their positions: what config.json's rotary fields come to.
 *
 * @module
 */

/** Frequencies are divided by a factor (`linear`). */
export interface LinearRopeScaling {
  /** Its `rope_type`. */
  readonly type: "linear";
  /** Frequencies are divided by this. */
  readonly factor: number;
}

/**
 * θ grows with sequences longer than `max_position_embeddings` (`dynamic`, NTK-aware). Up to there,
 * and no longer sequence is accepted, θ is the config's.
 */
export interface DynamicRopeScaling {
  /** Its `rope_type`. */
  readonly type: "dynamic";
  /** How much longer sequences may become. */
  readonly factor: number;
}

/** Low frequencies are divided, high ones kept, and queries and keys scaled (YaRN, Peng et al. 2023). */
export interface YarnRopeScaling {
  /** Its `rope_type`. */
  readonly type: "yarn";
  /** Low frequencies are divided by this. */
  readonly factor: number;
  /** Cosines and sines are multiplied by this. */
  readonly attentionFactor: number;
  /** Frequencies that turn more often than this over the original positions are kept. */
  readonly betaFast: number;
  /** Frequencies that turn less often than this over the original positions are divided. */
  readonly betaSlow: number;
  /** Whether the bounds between them are whole dimensions. */
  readonly truncate: boolean;
  /** Positions of the pretrained model, before scaling. */
  readonly originalMaxPositions: number;
}

/** Long wavelengths are divided, short ones kept (`llama3`). */
export interface Llama3RopeScaling {
  /** Its `rope_type`. */
  readonly type: "llama3";
  /** Long wavelengths are divided by this. */
  readonly factor: number;
  /** Wavelengths above originalMaxPositions ÷ this are long. */
  readonly lowFreqFactor: number;
  /** Wavelengths below originalMaxPositions ÷ this are kept. */
  readonly highFreqFactor: number;
  /** Positions of the pretrained model, before scaling. */
  readonly originalMaxPositions: number;
}

/**
 * Frequencies are divided by a factor each, and queries and keys scaled (`longrope`, Ding et al. 2024,
 * https://arxiv.org/abs/2402.13753). Those of sequences up to the original positions; longer ones have
 * other factors, and are refused.
 */
export interface LongRopeScaling {
  /** Its `rope_type`. */
  readonly type: "longrope";
  /** What each frequency is divided by, [width/2]. */
  readonly shortFactors: readonly number[];
  /** Cosines and sines are multiplied by this. */
  readonly attentionFactor: number;
  /** Positions of the pretrained model, before scaling. */
  readonly originalMaxPositions: number;
}

/** https://github.com/huggingface/transformers, modeling_rope_utils.py. */
export type RopeScaling =
  | LinearRopeScaling
  | DynamicRopeScaling
  | YarnRopeScaling
  | LongRopeScaling
  | Llama3RopeScaling;

/** Rotary embeddings of a kind of layers. Su et al. 2021, https://arxiv.org/abs/2104.09864. */
export interface Rope {
  /** θ, the base of the frequencies, `rope_theta`. */
  readonly theta: number;
  /** How many numbers of a head are turned, from its first on: `head_dim` or a part of it. Even. */
  readonly width: number;
  /** Positions that `dynamic` scaling begins after, `max_position_embeddings`. */
  readonly maxPositions: number;
  /** How the frequencies are scaled. @default not at all */
  readonly scaling?: RopeScaling;
}
