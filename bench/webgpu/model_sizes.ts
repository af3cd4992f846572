/**
 * Which model a device can train in the time there is. In: sizes, rates that were measured, seconds, bytes.
 * Out: the largest size that fits.
 */

import { parseConfig } from "../../model/config.ts";
import { modelParameters } from "../../model/parameters.ts";
import { elementCount } from "../../ort/tensor/dtype.ts";
import type { Method } from "../gpu/entries.ts";
import { randomModelConfig } from "../gpu/random_model.ts";
import { type ModelShape, SHAPES } from "../gpu/workload.ts";
import { updateFlops } from "./update_flops.ts";

/** A model, and the tokens of an update. */
export interface ModelSize {
  readonly name: string;
  readonly shape: ModelShape;
  readonly rows: number;
  readonly length: number;
}

/** What there is. */
export interface Means {
  /** Of matrix products. */
  readonly flopsPerSecond: number;
  /** Of copies to the device. */
  readonly bytesPerSecond: number;
  readonly seconds: number;
  /** Of memory. */
  readonly bytes: number;
}

const { "0.6B": FULL, tiny: TINY } = SHAPES;

/** A model of Qwen3-0.6B's shapes with fewer layers, and perhaps a smaller vocabulary. */
function ofLayers(
  layers: number,
  { vocabulary = FULL.vocab_size, rows = 1, length = 512 } = {},
): ModelSize {
  const words = vocabulary === FULL.vocab_size ? "" : `, ${vocabulary} of ${FULL.vocab_size} ids`;
  const name = layers === FULL.num_hidden_layers
    ? "Qwen3-0.6B"
    : `Qwen3-0.6B's shapes, ${layers} of ${FULL.num_hidden_layers} layers${words}`;
  const shape = { ...FULL, num_hidden_layers: layers, vocab_size: vocabulary };
  return { name, shape, rows, length };
}

/** Sizes that may be measured, the largest first. */
export const SIZES: readonly ModelSize[] = [
  ofLayers(28, { rows: 4 }),
  ofLayers(28),
  ofLayers(12),
  ofLayers(4),
  ofLayers(4, { vocabulary: 16384, length: 256 }),
  ofLayers(1, { vocabulary: 16384, length: 128 }),
  ofLayers(1, { vocabulary: 2048, length: 32 }),
  { name: "a tiny model", shape: TINY, rows: 1, length: 32 },
];

/** Times the bytes of a token's states in a block that backward holds at once: an allowance. */
const STATES = 16;
const FLOAT_BYTES = 4;
// As `headChunkOf` has it for all weights; an adapter's is smaller.
const LOGITS_TOKENS = 256;
/** Bytes a parameter: itself, and if it is trained its gradient and two moments. */
const PARAMETER_BYTES: Readonly<Record<Method, number>> = { full: 16, lora: 4 };
/** Copies of the parameters that are sent at the start: themselves, and zeros of the moments of large ones. */
const SENT: Readonly<Record<Method, number>> = { full: 2, lora: 1 };
/** Training's products reach this share of the rate of large ones at least: an allowance. */
const EFFICIENCY = 0.4;
/** Updates that it must have time for, the first of which compiles. */
const UPDATES = 3;

/** Memory that training takes, about. */
export function trainingBytes({ shape, rows, length }: ModelSize, method: Method): number {
  const parameters = countParameters(shape);
  const tokens = rows * length;
  const scores = rows * shape.num_attention_heads * length ** 2;
  const states = tokens * (shape.hidden_size + shape.intermediate_size);
  const kept = tokens * shape.hidden_size * (shape.num_hidden_layers + 1);
  const logits = Math.min(tokens, LOGITS_TOKENS) * shape.vocab_size;
  return PARAMETER_BYTES[method] * parameters +
    FLOAT_BYTES * (kept + STATES * states + 4 * (scores + logits));
}

/** Seconds that loading and the fewest updates take, about. */
export function trainingSeconds(size: ModelSize, method: Method, means: Means): number {
  const sent = SENT[method] * FLOAT_BYTES * countParameters(size.shape);
  // Read from a file and widened, weights take as long again as they take to be sent.
  return 2 * sent / means.bytesPerSecond +
    UPDATES * updateFlops(size, method) / (EFFICIENCY * means.flopsPerSecond);
}

/** The first of the sizes that fits; none where no time is left for the last of them. */
export function chooseSize(
  sizes: readonly ModelSize[],
  method: Method,
  means: Means,
): ModelSize | undefined {
  return sizes.find((size) =>
    trainingBytes(size, method) <= means.bytes &&
    trainingSeconds(size, method, means) <= means.seconds
  );
}

function countParameters(shape: ModelShape): number {
  return modelParameters(parseConfig(randomModelConfig(shape, "float32")))
    .reduce((sum, { shape }) => sum + elementCount(shape), 0);
}
