/**
 * How tokens stand in the graphs of layers that carry a state: in chunks of a grid's rows, or one by one.
 *
 * In: a grid's sizes. Out: the sizes that graphs name by symbols, and what such layers are built with.
 *
 * @module
 */

import type { GraphBuilder } from "../../ort/graph/builder.ts";
import type { Symbols } from "../../ort/graph/dim.ts";
import { type Sequences, TOKENS } from "../parts/block_scope.ts";
import { deltaChannels, type DeltaSizes, type LayerKind } from "../parts/layer_kind.ts";

/** Names of the graphs' inputs that keep the segments of a row apart. */
export const SEGMENT_MASKS = {
  taps: "segment_taps",
  pairs: "segment_pairs",
  carried: "segment_carried",
  kept: "segment_kept",
} as const;

/** Names of what sequences go on from. */
export const PAST_STATES = { inputs: "past_inputs", matrices: "past_matrices" } as const;
/** Names of what they go on from next. */
export const PRESENT_STATES = { inputs: "present_inputs", matrices: "present_matrices" } as const;

const SIZES: Pick<Sequences, "rows" | "length" | "chunks" | "padding" | "extended"> = {
  rows: "rows",
  length: "length",
  chunks: "chunks",
  padding: "chunk_padding",
  extended: "extended_length",
};

/** The sizes of a grid that graphs of the model's blocks name. */
export function gridSymbols(
  { layerKinds }: { readonly layerKinds: readonly LayerKind[] },
  { rows, length }: { readonly rows: number; readonly length: number },
): Symbols {
  const delta = layerKinds.find((kind) => kind.delta)?.delta;
  if (!delta) return { rows, length };
  const { taps, chunk } = delta;
  const chunks = Math.ceil(length / chunk);
  return {
    rows,
    length,
    chunks,
    chunk_padding: chunks * chunk - length,
    extended_length: length + taps - 1,
  };
}

/** Rows of several segments each, which begin in them. */
export function segmentedRows(b: GraphBuilder, { taps, chunk }: DeltaSizes): Sequences {
  const { rows, chunks } = SIZES;
  const places = [chunks, rows, 1, chunk, 1];
  return {
    ...SIZES,
    chunk,
    segments: {
      taps: b.input(SEGMENT_MASKS.taps, "float32", [TOKENS, taps - 1]),
      pairs: b.input(SEGMENT_MASKS.pairs, "float32", places.with(4, chunk)),
      carried: b.input(SEGMENT_MASKS.carried, "float32", places),
      kept: b.input(SEGMENT_MASKS.kept, "float32", places),
    },
  };
}

/**
 * Rows that go on from states, which the graph takes and gives out.
 *
 * @param single whether each row is one token
 */
export function continuedRows(
  b: GraphBuilder,
  sizes: DeltaSizes,
  { single }: { readonly single: boolean },
): Sequences {
  const { valueHeads, keyDim, valueDim, taps, chunk } = sizes;
  const own: typeof SIZES = single
    ? { rows: TOKENS, length: 1, chunks: 1, padding: 0, extended: taps }
    : SIZES;
  const { rows } = own;
  return {
    ...own,
    chunk: single ? 1 : chunk,
    past: {
      inputs: b.input(PAST_STATES.inputs, "float32", [rows, taps - 1, deltaChannels(sizes)]),
      matrices: b.input(PAST_STATES.matrices, "float32", [rows, valueHeads, keyDim, valueDim]),
    },
    onPresent: ({ inputs, matrices }) => {
      b.output(PRESENT_STATES.inputs, inputs);
      b.output(PRESENT_STATES.matrices, matrices);
    },
  };
}
