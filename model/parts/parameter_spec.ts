/**
 * What is known of a weight before it is read. In: its name and shape. Out: a `ParameterSpec`.
 *
 * @module
 */

/** One weight. */
export interface ParameterSpec {
  /** Hugging Face's name, such as `model.layers.0.self_attn.q_proj.weight`. */
  readonly name: string;
  /** Row-major; a linear layer's weight is [out, in]. */
  readonly shape: readonly number[];
  /** Whether weight decay applies: not to norms and biases, as in Hugging Face's Trainer. */
  readonly decays: boolean;
}

/** A weight that decays if it is a matrix. */
export function parameter(name: string, shape: readonly number[]): ParameterSpec {
  return { name, shape, decays: shape.length > 1 };
}
