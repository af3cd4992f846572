/**
 * What all blocks of a model take besides hidden states and weights, made of a batch.
 *
 * In: a grid of tokens. Out: the first block's input, and tensors by the names of graph inputs: positions and
 * rotation, a mask or segments' bounds, and dropout masks or what a graph makes them of.
 */

import { evaluateShape, type Shape } from "../../ort/graph/dim.ts";
import type { Graph } from "../../ort/graph/ir.ts";
import { segmentBounds } from "../../ort/kernels/attention_kernels.ts";
import type { ModelConfig } from "../config.ts";
import { DROPOUT_COLUMNS, DROPOUT_MASK, DROPOUT_ROWS } from "../graphs/block.ts";
import { EMBEDDING } from "../parameters.ts";
import { ropeTables } from "../rope.ts";
import { embedGraph, SEGMENT_ENDS, SEGMENT_STARTS } from "../graphs/training_graphs.ts";
import type { TensorMap } from "../../ort/runtime/session.ts";
import type { Tensor } from "../../ort/runtime/tensor.ts";
import type { TokenGrid } from "./batch.ts";
import { fillKeepMask, randomOdd } from "./keep_mask.ts";
import type { EngineContext } from "./engine_context.ts";
import { inPrecision } from "./weights_precision.ts";

/** Makes the inputs, each no more often than it changes. */
export class GridInputs {
  readonly #context: EngineContext;
  /** The share of inputs that an adapter's dropout zeroes. */
  readonly #dropout: number;
  #tablePositions = 0;
  #columns = 0;
  #rowsSent = false;
  readonly #sent = new Set<string>();

  /** @param dropout the share of inputs that an adapter's dropout zeroes */
  constructor(context: EngineContext, dropout: number) {
    this.#context = context;
    this.#dropout = dropout;
  }

  /** Writes the first block's input; answers what every block shares. */
  embed(grid: TokenGrid): TensorMap {
    const { rows, length } = grid;
    const scratch = this.#context.scratch;
    assertIds(this.#context.config, grid);
    assertPositions(this.#context.config, grid);
    this.#rowsSent = false;
    const segments = this.#context.segments ? this.#segmentBounds(grid) : this.#maskInputs(grid);
    const mask = "mask" in segments;
    this.#context.graph(
      "embed",
      () => embedGraph(this.#context.config, { ...this.#context.computing, mask }),
    ).run({
      [EMBEDDING]: this.#context.weights.tensor(EMBEDDING),
      input_ids: scratch.write("input_ids", "int64", [rows, length], grid.inputIds),
      x: this.#context.hidden(0, grid),
      ...segments,
    }, { rows, length });
    const positions = scratch.write("positions", "int64", [rows, length], grid.positionIds);
    return { ...segments, position_ids: positions, ...this.#ropeTables(grid) };
  }

  /** The mask, and what it is made from. */
  #maskInputs({ rows, length, segmentIds }: TokenGrid): TensorMap {
    const scratch = this.#context.scratch;
    const columns = scratch.tensor("columns", "int32", [length]);
    if (this.#columns !== length) columns.write(Int32Array.from({ length }, (_, i) => i));
    this.#columns = length;
    return {
      segment_ids: scratch.write("segment_ids", "int32", [rows, length], segmentIds),
      columns,
      mask: scratch.tensor("mask", this.#context.precision, [rows, 1, 1, length, length]),
    };
  }

  /** What attention by segments takes in place of a mask. */
  #segmentBounds({ rows, length, segmentIds }: TokenGrid): TensorMap {
    const { starts, ends } = segmentBounds(segmentIds, length);
    const shape = [rows * length];
    return {
      [SEGMENT_STARTS]: this.#context.scratch.write(SEGMENT_STARTS, "int32", shape, starts),
      [SEGMENT_ENDS]: this.#context.scratch.write(SEGMENT_ENDS, "int32", shape, ends),
    };
  }

  /** For the longest segment so far; ONNX Runtime's operator wants a row of the grid to fit besides. */
  #ropeTables({ length: row, positionIds }: TokenGrid): TensorMap {
    const last = Number(positionIds.reduce((most, each) => each > most ? each : most, 0n));
    const turnedInKernel = this.#context.parts.has("attention");
    const length = turnedInKernel ? last + 1 : Math.max(last + 1, row);
    const half = this.#context.config.headDim / 2;
    const grow = length > this.#tablePositions;
    if (grow) this.#tablePositions = length;
    const shape = [this.#tablePositions, half];
    const tables = {
      cos: this.#context.scratch.tensor("cos", this.#context.precision, shape),
      sin: this.#context.scratch.tensor("sin", this.#context.precision, shape),
    };
    if (grow) {
      const { cos, sin } = ropeTables(this.#context.config, length);
      tables.cos.write(inPrecision(cos, this.#context.precision));
      tables.sin.write(inPrecision(sin, this.#context.precision));
    }
    return tables;
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

/** Longer sequences would change the frequencies of `dynamic` scaling, for all batches after them. */
function assertPositions(
  { ropeScaling, maxPositions }: ModelConfig,
  { positionIds }: TokenGrid,
): void {
  if (ropeScaling?.type !== "dynamic") return;
  const last = positionIds.reduce((most, each) => each > most ? each : most, 0n);
  if (last < maxPositions) return;
  throw new RangeError(
    `Cannot run position ${last}: max_position_embeddings is ${maxPositions}, and rotary embeddings ` +
      "of type dynamic are computed up to there only; shorten the sequence",
  );
}
