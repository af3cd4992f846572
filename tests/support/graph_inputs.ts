/** Plausible inputs for any graph of `tests/placement/every_graph.ts`, by the names of its inputs. */

import { evaluateShape, type Symbols } from "../../ort/graph/dim.ts";
import type { Graph, Value } from "../../ort/graph/ir.ts";
import type { Dense } from "./dense.ts";
import { draws } from "./random.ts";
import { dense, type DenseMap } from "./reference_interpreter.ts";

/** What numbers depend on besides their place. */
interface Fill {
  /** The symbols' values. */
  readonly symbols: Symbols;
  /** Draws from [low, high). */
  readonly draw: (low: number, high: number) => number;
}

type Rule = (index: number, fill: Fill) => number;

/** A token's id, of which only the first twelve ids of embedding_backward occur. */
const idOf = (i: number): number => (i * 5) % 60;

/** The first rule whose pattern a name matches. */
const RULES: readonly (readonly [name: RegExp, rule: Rule])[] = [
  [/^unique_ids$/, idOf],
  [/^input_ids$/, (i, { symbols }) => idOf((i * 7) % symbols.unique)],
  [/^position_ids$/, (i, { symbols }) => i % symbols.length],
  [/^token_ids$/, (i) => 2 * i],
  [/^targets$/, (i) => (i * 11) % 64],
  // Two segments and padding, a row.
  [
    /^segment_ids$/,
    (i, { symbols }) => [1, 1, 2, 2, 0][Math.floor(5 * (i % symbols.length) / symbols.length)],
  ],
  [/^(columns|ids|query_ids|key_ids|queries|keys)$/, (i) => i],
  [/^cache_ids$/, (i) => i + 1],
  [/^starts$/, () => 0],
  [
    /^cache_rows$/,
    (i, { symbols: { length, capacity } }) => Math.floor(i / length) * capacity + i % length,
  ],
  // Causal.
  [
    /^mask$/,
    (i, { symbols: { length } }) => Math.floor(i / length) % length < i % length ? -1e9 : 0,
  ],
  [/^cos$/, (i) => Math.cos(i)],
  [/^sin$/, (i) => Math.sin(i)],
  [/dropout_(rows|columns)$/, (_, { draw }) => Math.floor(draw(-(2 ** 31), 2 ** 31)) | 1],
  [/dropout_mask$/, (_, { draw }) => Number(draw(0, 1) > 0.1)],
  [/lora_active$/, () => 1],
  [/lora_scale$/, () => 2],
  [/lora_weight_norm$|lora_magnitude_vector$/, (_, { draw }) => draw(0.5, 1.5)],
  // Means of squares.
  [/^(v(\.\d+)?|row|column|square)$/, (_, { draw }) => draw(0, 0.01)],
  [/^finite$/, () => 1],
  [/^keep_[mv]$/, () => 0.9],
  [/^(clip|decay|step_size|scale|epsilon|keep|add|floor)$/, (_, { draw }) => draw(0.01, 0.9)],
  [/^accumulated\./, (_, { draw }) => draw(-0.01, 0.01)],
  [/\.scales$/, (_, { draw }) => draw(-0.002, 0.002)],
  [/norm\.weight$/, (_, { draw }) => draw(0.5, 1.5)],
  [/^(dy|dx|dx_before|d_logits)$/, (_, { draw }) => draw(-0.01, 0.01)],
  [/^(x|[pgm](\.\d+)?)$|^kept/, (_, { draw }) => draw(-2, 2)],
  [/./, (_, { draw }) => draw(-0.15, 0.15)],
];

function fill(value: Value, given: Fill): Dense {
  const [, rule] = RULES.find(([pattern]) => pattern.test(value.name))!;
  const shape = evaluateShape(value.shape, given.symbols);
  // Numbers of 4 and 8 bits.
  const packed = value.dtype === "uint8" && !value.name.endsWith("dropout_mask");
  if (packed) return dense(shape, () => Math.floor(given.draw(0, 256)));
  return dense(shape, (i) => rule(i, given));
}

/** All inputs but those that carry shapes; the same for the same graph and symbols. */
export function graphInputs(graph: Graph, symbols: Symbols): DenseMap {
  const given: Fill = { symbols, draw: draws(graph.inputs.length) };
  const values = graph.inputs.filter(({ name }) => !graph.shapeInputs.has(name));
  return Object.fromEntries(values.map((value) => [value.name, fill(value, given)]));
}
