/**
 * A block over examples end to end in one row, its attention by segments, against the same block over a padded
 * grid with a mask: in float64 both have the same outputs at every token, and the same gradients.
 */

import assert from "node:assert/strict";
import type { LabelledGrid } from "../model/engine/batch.ts";
import { endToEnd } from "../model/engine/without_padding.ts";
import { evaluateShape, type Symbols } from "../ort/graph/dim.ts";
import type { Graph } from "../ort/graph/ir.ts";
import { segmentBounds } from "../ort/kernels/attention_kernels.ts";
import type { BlockKernel } from "../model/parts/block_scope.ts";
import { MASKED } from "../model/graphs/attention.ts";
import type { ModelConfig } from "../model/config.ts";
import { ropeTables } from "../model/rope.ts";
import { stackedParameters } from "../model/stacked_parameters.ts";
import {
  blockBackwardGraph,
  blockForwardGraph,
  gradientName,
} from "../model/graphs/training_graphs.ts";
import { assertClose } from "../ort/tensor/assert_close.ts";
import { draws } from "./support/random.ts";
import { dense, type DenseMap, interpret } from "./support/reference_interpreter.ts";
import type { Dense } from "./support/dense.ts";
import { randomExamples, tinyBatch, tinyConfig } from "./support/tiny_model.ts";

// Of the largest of a tensor. Measured: 2.4e-15 forward; backward 4.7e-8, which is RMSNorm's 1/12 rounded to
// float32 in the operators' way.
const FORWARD = 1e-12;
const BACKWARD = 2e-7;

const ALL: ReadonlySet<BlockKernel> = new Set(["attention", "rmsNorm", "swiglu"]);

const CONFIGS: Readonly<Record<string, ModelConfig>> = {
  "qwen3, 2 queries a key": tinyConfig({ hidden_size: 12 }),
  "llama, 4 queries a key": tinyConfig({ model_type: "llama", num_key_value_heads: 1 }),
};

const [a, b, c, d] = randomExamples([5, 3, 2, 7], 64);
/** Three rows of eight, four, two … tokens: 17 of 24 are not padding. */
const GRID = tinyBatch([[a, b], [c], [d]], 8);

/** A grid's own inputs of a block, and a value a token that is that of the token's place in the padded grid. */
function gridInputs(
  config: ModelConfig,
  { grid, places }: { readonly grid: LabelledGrid; readonly places?: Int32Array },
): { readonly known: Record<string, Dense>; readonly symbols: Symbols } {
  const { rows, length, segmentIds, positionIds } = grid;
  const tokens = rows * length;
  const { starts, ends } = segmentBounds(segmentIds, length);
  const positions = 8;
  const { cos, sin } = ropeTables(config.layerKinds[0].rope!, positions);
  const width = config.hiddenSize;
  /** Padding of a row is some other number: nothing may come of it. */
  const perToken = (seed: number, padding: number): Dense => {
    const draw = draws(seed);
    const all = Array.from({ length: GRID.segmentIds.length * width }, () => draw(-1, 1));
    return dense([tokens, width], (i) => {
      const token = Math.floor(i / width);
      if (segmentIds[token] === 0) return padding;
      return all[(places ? places[token] : token) * width + i % width];
    });
  };
  return {
    symbols: { rows, length, positions },
    known: {
      position_ids: dense([rows, length], (i) => Number(positionIds[i])),
      cos: dense([positions, config.headDim / 2], (i) => cos[i]),
      sin: dense([positions, config.headDim / 2], (i) => sin[i]),
      segment_starts: dense([tokens], (i) => starts[i]),
      segment_ends: dense([tokens], (i) => ends[i]),
      mask: dense([rows, 1, 1, length, length], (i) => {
        const query = Math.floor(i / length);
        const key = Math.floor(query / length) * length + i % length;
        return key <= query && key >= starts[query] ? 0 : MASKED;
      }),
      x: perToken(3, 0.7),
      // No gradient comes back to padding: no loss is taken of it, and no token sees it.
      dy: perToken(4, 0),
    },
  };
}

/** Weights, the same in both ways; a stack is made of its parts. */
function weightsOf(config: ModelConfig, graphs: readonly Graph[], given: DenseMap): DenseMap {
  const known: Record<string, Dense> = { ...given };
  const stacks = new Map(stackedParameters(config, ALL).map(({ name, of }) => [name, of]));
  const draw = draws(5);
  // Those of operators first, of which stacks are made.
  for (const graph of graphs) {
    for (const { name, shape } of graph.inputs) {
      if (graph.shapeInputs.has(name) || known[name]) continue;
      const parts = stacks.get(name)?.map((part) => known[part]);
      if (parts) {
        const data = Float64Array.from(parts.flatMap(({ data }) => [...data]));
        const rows = parts.reduce((sum, part) => sum + part.shape[0], 0);
        known[name] = { shape: [rows, ...parts[0].shape.slice(1)], data };
      } else {
        known[name] = dense(
          evaluateShape(shape, {}),
          () => name.endsWith("norm.weight") ? draw(0.5, 1.5) : draw(-0.4, 0.4),
        );
      }
    }
  }
  return known;
}

for (const [family, config] of Object.entries(CONFIGS)) {
  Deno.test(`a block end to end by segments is the block on a padded grid: ${family}`, () => {
    const make = (kernels?: ReadonlySet<BlockKernel>): readonly [Graph, Graph] => [
      blockForwardGraph(config, { kernels }),
      blockBackwardGraph(config, { accumulate: false, kernels }),
    ];
    const [operators, own] = [make(), make(ALL)];
    const laid = endToEnd(GRID);
    assert.deepEqual([laid.grid.rows, laid.grid.length], [1, 32]);
    const [padded, row] = [{ grid: GRID }, laid].map((each, i) => {
      const { known, symbols } = gridInputs(config, each);
      const inputs = weightsOf(config, [...operators, ...own], known);
      const [forward, backward] = [operators, own][i];
      return {
        forward: interpret(forward, inputs, symbols),
        backward: interpret(backward, inputs, symbols),
      };
    });
    const close = (actual: Float64Array, expected: Float64Array, label: string, most: number) => {
      const largest = expected.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
      assert.ok(largest > 1e-3, `${label} is all but zero`);
      const { maxAbsolute } = assertClose(actual, expected, { relativeToMax: most, label });
      if (Deno.env.get("ORTUNE_REPORT")) console.log(family, label, maxAbsolute / largest);
    };
    const width = config.hiddenSize;
    /** Rows of real tokens, in the order of the padded grid. */
    const ofTokens = ({ data }: Dense, places?: Int32Array): Float64Array => {
      const at = (token: number): number => places ? places.indexOf(token) : token;
      const real = [...GRID.segmentIds.keys()].filter((token) => GRID.segmentIds[token] > 0);
      return Float64Array.from(
        real.flatMap((token) => [...data.subarray(at(token) * width, (at(token) + 1) * width)]),
      );
    };
    const { places } = laid;
    close(ofTokens(row.forward.y, places), ofTokens(padded.forward.y), "y", FORWARD);
    close(ofTokens(row.backward.dx, places), ofTokens(padded.backward.dx), "dx", BACKWARD);
    let compared = 0;
    const compare = (name: string, data: Float64Array): void => {
      close(data, padded.backward[gradientName(name)].data, name, BACKWARD);
      compared++;
    };
    const stacks = stackedParameters(config, ALL);
    for (const { name, of } of stacks) {
      const stack = row.backward[gradientName(name)];
      if (!stack) continue;
      let from = 0;
      for (const part of of) {
        const { length } = padded.backward[gradientName(part)].data;
        compare(part, stack.data.slice(from, from + length));
        from += length;
      }
      assert.equal(from, stack.data.length);
    }
    const parts = new Set(stacks.flatMap(({ name, of }) => [name, ...of].map(gradientName)));
    for (const [name, { data }] of Object.entries(row.backward)) {
      const parameter = name.slice(gradientName("").length);
      if (!name.startsWith(gradientName("")) || parts.has(name)) continue;
      compare(parameter, data);
    }
    const wanted = Object.keys(padded.backward).filter((each) => each.startsWith(gradientName("")));
    assert.equal(compared, wanted.length);
  });
}
