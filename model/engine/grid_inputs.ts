/**
 * What all blocks of a model take besides hidden states and weights, made of a batch.
 *
 * In: a grid of tokens. Out: the first block's input, and for each kind of layers tensors by the names of
 * graph inputs: positions and rotation, a mask or segments' bounds; and dropout masks or what a graph makes
 * them of.
 */

import { evaluateShape, type Shape } from "../../ort/graph/dim.ts";
import type { Graph } from "../../ort/graph/ir.ts";
import { longestSegment, segmentBounds } from "../../ort/kernels/attention_kernels.ts";
import type { ModelConfig } from "../config.ts";
import { DROPOUT_COLUMNS, DROPOUT_MASK, DROPOUT_ROWS, POSITIONS } from "../graphs/block.ts";
import { EMBEDDING } from "../parameters.ts";
import { type DeltaSizes, distinctKinds, type LayerKind } from "../parts/layer_kind.ts";
import { positionTables } from "../rope.ts";
import {
  attentionMaskGraph,
  embedGraph,
  NOISE_ROWS,
  NOISE_SIZES,
  SEGMENT_ENDS,
  SEGMENT_STARTS,
} from "../graphs/training_graphs.ts";
import type { TensorMap } from "../../ort/runtime/session.ts";
import type { Tensor } from "../../ort/runtime/tensor.ts";
import type { TokenGrid } from "./batch.ts";
import { fillKeepMask, randomOdd } from "./keep_mask.ts";
import type { EngineContext } from "./engine_context.ts";
import { boundParameter } from "./quantized_store.ts";
import { segmentMasks } from "./segment_masks.ts";
import { inPrecision } from "./weights_precision.ts";

/** What the blocks of each kind of layers share. */
export type KindInputs = ReadonlyMap<LayerKind, TensorMap>;

/** Uniform noise on embeddings. Jain et al. 2023, https://arxiv.org/abs/2310.05914. */
export interface EmbeddingNoise {
  /** It is at most this over the root of an example's tokens times the hidden size. */
  readonly alpha: number;
  /** Decides what is drawn. */
  readonly seed: number | string;
  /** Where in the batch each token stands. @default in order from 0 */
  readonly places?: Int32Array;
}

/** Makes the inputs, each no more often than it changes. */
export class GridInputs {
  readonly #context: EngineContext;
  /** The share of inputs that an adapter's dropout zeroes. */
  readonly #dropout: number;
  readonly #kinds: readonly LayerKind[];
  #tablePositions = 0;
  #tables: KindInputs = new Map();
  #columns = 0;
  #rowsSent = false;
  readonly #sent = new Set<string>();

  /** @param dropout the share of inputs that an adapter's dropout zeroes */
  constructor(context: EngineContext, dropout: number) {
    this.#context = context;
    this.#dropout = dropout;
    this.#kinds = distinctKinds(context.config);
  }

  /** Writes the first block's input; answers what the blocks of a kind share. */
  embed(grid: TokenGrid, noise?: EmbeddingNoise): KindInputs {
    const { rows, length } = grid;
    const scratch = this.#context.scratch;
    assertIds(this.#context.config, grid);
    assertPositions(this.#context.config, grid);
    this.#rowsSent = false;
    const { config, computing, weights } = this.#context;
    this.#context.graph(
      noise ? "embed_noise" : "embed",
      () => embedGraph(config, { ...computing, noise: noise !== undefined }),
    ).run({
      ...boundParameter(weights, EMBEDDING, EMBEDDING),
      input_ids: scratch.write("input_ids", "int64", [rows, length], grid.inputIds),
      ...noise ? this.#noise(grid, noise) : {},
      x: this.#context.hidden(0, grid),
    }, { rows, length });
    const positions = scratch.write("positions", "int64", [rows, length], grid.positionIds);
    const longest = longestSegment(segmentBounds(grid.segmentIds, length));
    const windows = new Map<number | undefined, TensorMap>();
    const seen = (window: number | undefined): TensorMap => {
      // A window that holds whole segments hides nothing.
      const size = window !== undefined && window < longest ? window : undefined;
      const known = windows.get(size);
      if (known) return known;
      const made = this.#context.segments
        ? this.#segmentBounds(grid, size)
        : this.#mask(grid, size);
      windows.set(size, made);
      return made;
    };
    const tables = this.#positionTables(grid);
    return new Map(this.#kinds.map((kind) => [
      kind,
      kind.delta ? this.#segmentMasks(grid, kind.delta) : {
        [POSITIONS]: positions,
        ...seen(kind.window),
        ...tables.get(kind),
      },
    ]));
  }

  /** What layers that carry a state take in place of a mask. */
  #segmentMasks(grid: TokenGrid, sizes: DeltaSizes): TensorMap {
    const masks = Object.entries(segmentMasks(grid, sizes));
    return Object.fromEntries(masks.map(([name, { shape, values }]) => [
      name,
      this.#context.scratch.write(name, "float32", shape, values),
    ]));
  }

  /** What noise is made of: drawn by a token's place in its batch, as large as its own example's length says. */
  #noise(
    { rows, length, segmentIds }: TokenGrid,
    { alpha, seed, places }: EmbeddingNoise,
  ): TensorMap {
    const { scratch, config } = this.#context;
    const shape = [rows * length, 1];
    return {
      [NOISE_ROWS]: scratch.write(
        NOISE_ROWS,
        "int32",
        shape,
        randomOdd(rows * length, [seed, NOISE_ROWS], places),
      ),
      [NOISE_SIZES]: scratch.write(
        NOISE_SIZES,
        "float32",
        shape,
        noiseSizes(config, segmentIds, length).map((each) => alpha * each),
      ),
    };
  }

  /** The mask of a window. */
  #mask({ rows, length, segmentIds }: TokenGrid, window: number | undefined): TensorMap {
    const { scratch, precision } = this.#context;
    const columns = scratch.tensor("columns", "int32", [length]);
    if (this.#columns !== length) columns.write(Int32Array.from({ length }, (_, i) => i));
    this.#columns = length;
    const name = window === undefined ? "mask" : `mask.${window}`;
    const mask = scratch.tensor(name, precision, [rows, 1, 1, length, length]);
    this.#context.graph(`attention_${name}`, () => attentionMaskGraph({ precision, window })).run({
      segment_ids: scratch.write("segment_ids", "int32", [rows, length], segmentIds),
      columns,
      mask,
    }, { rows, length });
    return { mask };
  }

  /** What attention by segments takes in place of a mask. */
  #segmentBounds(
    { rows, length, segmentIds }: TokenGrid,
    window: number | undefined,
  ): TensorMap {
    const { starts, ends } = segmentBounds(segmentIds, length, { window });
    const shape = [rows * length];
    const write = (name: string, values: Int32Array): Tensor =>
      this.#context.scratch.write(
        window === undefined ? name : `${name}.${window}`,
        "int32",
        shape,
        values,
      );
    return {
      [SEGMENT_STARTS]: write(SEGMENT_STARTS, starts),
      [SEGMENT_ENDS]: write(SEGMENT_ENDS, ends),
    };
  }

  /** For the longest segment so far; ONNX Runtime's operator wants a row of the grid to fit besides. */
  #positionTables({ length: row, positionIds }: TokenGrid): KindInputs {
    const { precision, config: { headDim }, parts } = this.#context;
    const last = Number(positionIds.reduce((most, each) => each > most ? each : most, 0n));
    const turnedInKernel = parts.has("attention");
    const length = turnedInKernel ? last + 1 : Math.max(last + 1, row);
    if (length > this.#tablePositions) {
      this.#tablePositions = length;
      const unturned = turnedInKernel ? headDim : undefined;
      this.#tables = new Map(this.#kinds.map((kind) => {
        const tables = Object.entries(positionTables(kind, length, { unturned }));
        const written = tables.map(([name, { width, data }]) => {
          const values = inPrecision(data, precision);
          const place = `${name}.${kind.name}`;
          return [
            name,
            this.#context.scratch.write(place, precision, [length, width], values),
          ] as const;
        });
        return [kind, Object.fromEntries(written)];
      }));
    }
    return this.#tables;
  }

  /** The layer's dropout masks, or what makes them; backward asks for the same ones again. */
  dropoutMasks(
    graph: Graph,
    { layer, seed, grid, places }: {
      layer: number;
      seed?: number | string;
      grid: TokenGrid;
      places?: Int32Array;
    },
  ): TensorMap {
    if (seed === undefined) return {};
    const { rows, length } = grid;
    const sizes = (shape: Shape): number[] => evaluateShape(shape, { rows, length });
    const made: Record<string, Tensor> = {};
    for (const { name, shape } of graph.inputs) {
      if (name === DROPOUT_ROWS) made[name] = this.#dropoutRows(sizes(shape), seed, places);
      if (name.endsWith(DROPOUT_COLUMNS)) {
        made[name] = this.#dropoutColumns(`${layer}.${name}`, sizes(shape));
      }
      if (!name.endsWith(DROPOUT_MASK)) continue;
      made[name] = this.#context.scratch.tensor(name, "uint8", sizes(shape));
      // By the layer's name, since forward and backward may list their inputs in another order.
      fillKeepMask(made[name].bytes(), this.#dropout, [seed, layer, name], places);
    }
    return made;
  }

  /** Sent once a batch: all layers share them, forward and backward. */
  #dropoutRows(shape: readonly number[], seed: number | string, places?: Int32Array): Tensor {
    const rows = this.#context.scratch.tensor(DROPOUT_ROWS, "int32", shape);
    if (!this.#rowsSent) rows.write(randomOdd(shape[0], [seed, DROPOUT_ROWS], places));
    this.#rowsSent = true;
    return rows;
  }

  /** Sent once a run. */
  #dropoutColumns(name: string, shape: readonly number[]): Tensor {
    const columns = this.#context.scratch.tensor(name, "int32", shape);
    if (!this.#sent.has(name)) columns.write(randomOdd(shape[0], [name]));
    this.#sent.add(name);
    return columns;
  }
}

/**
 * The largest noise on each token, in alphas: 1/√(tokens of its example · hidden size), 0 for padding.
 * Granite multiplies embeddings and their noise, Gemma embeddings alone.
 */
function noiseSizes(
  { hiddenSize, embeddingScale, embeddingScaleRounded }: ModelConfig,
  segmentIds: Int32Array,
  length: number,
): Float32Array<ArrayBuffer> {
  const { starts, ends } = segmentBounds(segmentIds, length);
  const factor = embeddingScaleRounded ? 1 : embeddingScale;
  return Float32Array.from(segmentIds, (segment, token) => {
    if (segment === 0) return 0;
    return factor / Math.sqrt((ends[token] - starts[token]) * hiddenSize);
  });
}

/** A device would read what is not the embedding's, and say nothing. */
function assertIds({ vocabSize }: ModelConfig, { inputIds }: TokenGrid): void {
  const size = BigInt(vocabSize);
  const wrong = inputIds.findIndex((id) => id < 0n || id >= size);
  if (wrong < 0) return;
  throw new RangeError(
    `Cannot run token ${wrong}: its id ${inputIds[wrong]} is not from 0 to below vocab_size ` +
      `${vocabSize}; use the tokenizer of this model`,
  );
}

/** Longer sequences have other frequencies where they are scaled so, for all rows of a batch. */
function assertPositions({ layerKinds }: ModelConfig, { positionIds }: TokenGrid): void {
  for (const { rope } of new Set(layerKinds)) {
    if (!rope?.scaling) continue;
    const { maxPositions, scaling } = rope;
    const [field, limit] = scaling.type === "dynamic"
      ? ["max_position_embeddings", maxPositions]
      : scaling.type === "longrope"
      ? ["original_max_position_embeddings", scaling.originalMaxPositions]
      : ["", Infinity];
    const last = positionIds.reduce((most, each) => each > most ? each : most, 0n);
    if (last < limit) continue;
    throw new RangeError(
      `Cannot run position ${last}: ${field} is ${limit}, and rotary embeddings of type ` +
        `${scaling.type} are computed up to there only; shorten the sequence`,
    );
  }
}
