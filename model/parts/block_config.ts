/**
 * What the parts of a block need to know of a model's config.
 *
 * @module
 */

/** Sizes and options of one transformer block, from config.json. */
export interface BlockConfig {
  /** Width of the hidden states, `hidden_size`. */
  readonly hiddenSize: number;
  /** Width inside the MLP, `intermediate_size` unless the family has a field of its own. */
  readonly intermediateSize: number;
  /** Query heads, `num_attention_heads`. */
  readonly heads: number;
  /** Key and value heads, `num_key_value_heads`; divides `heads`. */
  readonly kvHeads: number;
  /** Width of a head, `head_dim`; even. */
  readonly headDim: number;
  /** ε of RMSNorm, `rms_norm_eps`. */
  readonly rmsNormEps: number;
  /** What is added to the weight of an RMSNorm: 0, or 1 where the family stores it so. */
  readonly normOffset: number;
  /** Biases on the projections of attention, `attention_bias`; on which of them, the family says. */
  readonly attentionBias: boolean;
  /** What scores are multiplied by: `headDim ** -0.5`, unless the family has a field for it. */
  readonly attentionScale: number;
  /** What a part gives is multiplied by before it is added to its input: 1, unless a field says so. */
  readonly residualScale: number;
}
