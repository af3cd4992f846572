/**
 * A whole model as one graph, as transformers.js runs it: embedding, all blocks, final norm, head.
 *
 * In: a config and a number format. Out: a graph over input_ids [batch_size, sequence_length] with a
 * cache of keys and values a layer, and a list of the weights it reads.
 *
 * @module
 */

import { GraphBuilder } from "../../ort/graph/builder.ts";
import { type Dim, product } from "../../ort/graph/dim.ts";
import type { Constant, Graph, Node, Value } from "../../ort/graph/ir.ts";
import * as ops from "../../ort/graph/ops.ts";
import { loraA, loraB } from "../../lora/block_adapter.ts";
import { block } from "../../model/graphs/block.ts";
import {
  type Attention,
  type LinearLayer,
  type Rotary,
  TOKENS,
} from "../../model/parts/block_scope.ts";
import { distinctKinds, type LayerKind } from "../../model/parts/layer_kind.ts";
import type { ModelConfig } from "../../model/config.ts";
import { embeddingScaleIn } from "../../model/embedding_scale.ts";
import { capLogits } from "../../model/graphs/cap_logits.ts";
import {
  blockParameters,
  EMBEDDING,
  FINAL_NORM,
  headName,
  layerName,
  modelParameters,
} from "../../model/parameters.ts";
import type { ParameterSpec } from "../../model/parts/parameter_spec.ts";
import { rmsNormNodes } from "../../model/parts/rms_norm.ts";
import { QUERY_SCALE } from "../../model/rope.ts";
import { BLOCK, type ExportFormat } from "./export_format.ts";
import { moveRows, type PaddedRows } from "./padded_rows.ts";

/** A run of bytes of a weight, under the names that the graph has for it. */
export interface WeightPart {
  /** What is written of the weight: its numbers, or small whole numbers, or their scales. */
  readonly kind: "float" | "blocks" | "scales";
  /** Of one byte length, and mostly one; a tied table is two values over the same bytes. */
  readonly values: readonly Value[];
}

/** A weight of the graph and what becomes of it. */
export interface GraphWeight {
  /** Its name in the source: Hugging Face's, or a {@linkcode positionTableName}. */
  readonly source: string;
  /** Bits of the small whole numbers, where it has any. */
  readonly bits?: 4 | 8;
  /** In the order in which they are written. */
  readonly parts: readonly WeightPart[];
  /** Whether it is the adapter's. */
  readonly adapter: boolean;
}

/** The graph of an export. */
export interface ModelGraph {
  /** The weights are inputs of it, to be written as external data. */
  readonly graph: Graph;
  /** All weights, the adapter's last. */
  readonly weights: readonly GraphWeight[];
}

/** Options of {@linkcode modelGraph}. */
export interface ModelGraphOptions {
  /** What the graph computes with. */
  readonly format: ExportFormat;
  /**
   * The weights of an adapter, A and B of each adapted layer with the layer's name in front, that
   * stay apart from the base: y = base(x) + B·A·x. The scale belongs into B.
   * @default {none}
   */
  readonly adapter?: readonly ParameterSpec[];
}

/**
 * A table of `positionTables` in the source.
 *
 * @param table its name among them, such as `cos`
 */
export function positionTableName(config: ModelConfig, kind: LayerKind, table: string): string {
  return `rotary.${table}${distinctKinds(config).length > 1 ? `.${kind.name}` : ""}`;
}

// GroupQueryAttention turns heads only in multiples of this (group_query_attention_helper.h of
// ONNX Runtime). Every published model of these families has 64 or 128.
const HEAD_MULTIPLE = 16;
/** The first opset with RMSNormalization, which ONNX Runtime has kernels for since 1.23. */
export const EXPORT_OPSET = 23;

/**
 * Builds the graph. Inputs are `input_ids`, `attention_mask`, `num_logits_to_keep` (0 for all) and
 * `past_key_values.N.key/value`; outputs `logits` and `present.N.key/value`.
 *
 * Rows of a batch may be padded on the left or the right, as `attention_mask` says; one with holes among the
 * new tokens is refused when it runs.
 *
 * @example
 * ```ts
 * import { parseConfig } from "@ortune/ortune";
 * import { EXPORT_FORMATS } from "@ortune/ortune/export";
 * import { modelGraph } from "./model_graph.ts";
 * import assert from "node:assert/strict";
 *
 * const config = parseConfig({ model_type: "qwen3", hidden_size: 32, intermediate_size: 64,
 *   num_hidden_layers: 1, num_attention_heads: 2, head_dim: 16, vocab_size: 261, eos_token_id: 258,
 * });
 * const { graph, weights } = modelGraph(config, { format: EXPORT_FORMATS.fp32 });
 * assert.deepEqual(graph.inputs[0].shape, ["batch_size", "sequence_length"]);
 * assert.equal(graph.outputs[0].name, "logits");
 * assert.equal(weights[0].source, "model.embed_tokens.weight");
 * ```
 *
 * @throws {RangeError} where the format or ONNX Runtime cannot hold the model's sizes
 */
export function modelGraph(
  config: ModelConfig,
  { format, adapter = [] }: ModelGraphOptions,
): ModelGraph {
  assertExportable(config, format);
  const { hiddenSize, heads, kvHeads, headDim, vocabSize, attentionScale: scale } = config;
  const b = new GraphBuilder("model");
  const ids = b.input("input_ids", "int64", ["rows", "length"]);
  const mask = b.input("attention_mask", "int64", ["rows", "total_sequence_length"]);
  const kept = b.input("num_logits_to_keep", "int64", []);
  const declare = new WeightInputs(b, format);
  const embedding = declare.table(EMBEDDING, [vocabSize, hiddenSize], config.tiedEmbeddings);
  const ones = b.int64([1]);
  const lastIndex = ops.cast(
    b,
    ops.sub(b, ops.reduceSum(b, mask, 1, { keepDims: false }), ones),
    "int32",
  );
  const totalLength = ops.reshape(b, ops.cast(b, sizes(b, mask, 1, 2), "int32"), []);
  const present: (readonly [name: string, value: Value])[] = [];

  const padded = moveRows(b, ids, mask);
  const turning = new Map(
    distinctKinds(config).map((kind) => [kind, declare.turning(config, kind, padded)]),
  );
  const rows = embedding.rows(ops.reshape(b, padded.ids, [TOKENS]));
  let x = ops.scale(b, rows, embeddingScaleIn(config, rows.dtype));
  for (const [layer, kind] of config.layerKinds.entries()) {
    const { inAttention, before: rotary } = turning.get(kind)!;
    const cache = (part: string): Value =>
      b.input(`past_key_values.${layer}.${part}`, format.float, [
        "rows",
        kvHeads,
        "past_sequence_length",
        headDim,
      ]);
    const [cacheK, cacheV] = [cache("key"), cache("value")];
    const attention: Attention = (q, k, v) => {
      const [mixed, key, value] = ops.groupQueryAttention(b, {
        ...{ q, k, v, cacheK, cacheV, lastIndex, totalLength, heads, kvHeads, scale },
        rotary: inAttention,
        window: kind.window,
        present: ["rows", kvHeads, "total_sequence_length", headDim],
      });
      present.push([`present.${layer}.key`, key], [`present.${layer}.value`, value]);
      return ops.reshape(b, mixed, [TOKENS, heads * headDim]);
    };
    const { weights, linear } = declare.layer(config, layer, adapter);
    x = block(b, x, { config, kind, weights, rotary, attention, linear });
  }

  const last = padded.lastColumns(x, kept);
  const normed = rmsNormNodes(b, config, {
    x: last.x,
    weight: declare.float(FINAL_NORM, [hiddenSize]),
  });
  const head = embedding.matrix ??
    declare.matrix(headName(config), [vocabSize, hiddenSize], format.bits?.table);
  const scaled = ops.scale(b, normed, config.logitScale);
  const product = multiply(b, scaled, head, { accuracyLevel: format.accuracyLevel });
  const flat = capLogits(b, product, config);
  const [target] = b.node("Concat", [last.shape, b.int64([vocabSize])], [
    { dtype: "int64", shape: [3] },
  ], { attributes: { axis: 0n } });
  const [logits] = b.node("Reshape", [flat, target], [
    { dtype: flat.dtype, shape: ["rows", "kept", vocabSize] },
  ]);
  b.output("logits", logits);
  for (const [name, value] of present) b.output(name, value);

  return {
    graph: forClients(b.build(), ids),
    weights: declare.weights.toSorted((a, b) => Number(a.adapter) - Number(b.adapter)),
  };
}

/** A weight [M, K] that x [N, K] is multiplied with. */
type Matrix = { readonly plain: Value } | { readonly packed: ops.BlockWeights };

interface MultiplyOptions {
  readonly accuracyLevel: 0 | 4;
  /** [N, M] */
  readonly addend?: Value;
  /** [M] */
  readonly bias?: Value;
}

/** x·Wᵀ + bias + addend. */
function multiply(
  b: GraphBuilder,
  x: Value,
  matrix: Matrix,
  { accuracyLevel, addend, bias }: MultiplyOptions,
): Value {
  const addends = [bias, addend].filter((each) => each !== undefined);
  let y: Value;
  // A Gemm adds one of them at no cost.
  if ("plain" in matrix) y = ops.linear(b, x, matrix.plain, addends.shift());
  else y = ops.matMulNBits(b, x, matrix.packed, { accuracyLevel });
  for (const each of addends) y = ops.add(b, y, each);
  return y;
}

/** Declares weights as inputs of the graph and remembers what is to be written for them. */
class WeightInputs {
  readonly weights: GraphWeight[] = [];
  readonly #b: GraphBuilder;
  readonly #format: ExportFormat;

  constructor(b: GraphBuilder, format: ExportFormat) {
    this.#b = b;
    this.#format = format;
  }

  /** A weight in the format's float type. */
  float(source: string, shape: readonly number[], { adapter = false } = {}): Value {
    const value = this.#b.input(source, this.#format.float, shape);
    this.weights.push({ source, parts: [{ kind: "float", values: [value] }], adapter });
    return value;
  }

  /**
   * What turns the queries and keys of a kind of layers: its attention, which finds positions itself, or
   * where it knows no such turn a node before it.
   */
  turning(
    config: ModelConfig,
    kind: LayerKind,
    padded: Pick<PaddedRows, "positions">,
  ): {
    readonly inAttention?: { readonly cos: Value; readonly sin: Value };
    readonly before?: Rotary;
  } {
    const { rope, queryGrowth } = kind;
    if (!rope) return {};
    const { headDim, maxPositions } = config;
    const table = (name: string, width: number): Value =>
      this.float(positionTableName(config, kind, name), [maxPositions, width]);
    const tables = { cos: table("cos", rope.width / 2), sin: table("sin", rope.width / 2) };
    if (rope.width === headDim && !queryGrowth) return { inAttention: tables };
    const positions = padded.positions(maxPositions - 1);
    const queryScale = queryGrowth ? table(QUERY_SCALE, 1) : undefined;
    return { before: { ...tables, positions, queryScale } };
  }

  /** A block's norms and biases, and its linear layers with an adapter's parts where it has them. */
  layer(
    config: ModelConfig,
    layer: number,
    adapter: readonly ParameterSpec[],
  ): { readonly weights: ReadonlyMap<string, Value>; readonly linear: LinearLayer } {
    const b = this.#b;
    const { accuracyLevel } = this.#format;
    const weights = new Map<string, Value>();
    const matrices = new Map<string, Matrix>();
    for (const { name, shape } of blockParameters(config, config.layerKinds[layer])) {
      const full = layerName(layer, name);
      if (shape.length === 2) matrices.set(name, this.matrix(full, shape));
      else weights.set(name, this.float(full, shape));
    }
    const adapted = (part: string): Value | undefined => {
      const spec = adapter.find(({ name }) => name === layerName(layer, part));
      return spec && this.float(spec.name, spec.shape, { adapter: true });
    };
    const linear: LinearLayer = (name, x, addend) => {
      const bias = weights.get(`${name}.bias`);
      const y = multiply(b, x, matrices.get(`${name}.weight`)!, { accuracyLevel, addend, bias });
      const [down, up] = [adapted(loraA(name)), adapted(loraB(name))];
      return down && up ? ops.linear(b, ops.linear(b, x, down), up, y) : y;
    };
    return { weights, linear };
  }

  /** A linear layer's weight [M, K]. */
  matrix(
    source: string,
    shape: readonly number[],
    bits: 4 | 8 | undefined = this.#format.bits?.blocks,
  ): Matrix {
    if (bits === undefined) return { plain: this.float(source, shape) };
    return this.#packed(source, shape, { bits, asTable: false, asMatrix: true }).matrix!;
  }

  /**
   * An embedding [V, H], which is the head's matrix too where they are tied. Its rows are looked up
   * by ids [N] → [N, H].
   */
  table(
    source: string,
    shape: readonly number[],
    tied: boolean,
  ): { rows: (ids: Value) => Value; matrix: Matrix | undefined } {
    const b = this.#b;
    const bits = this.#format.bits?.table;
    if (bits !== undefined) {
      const { table, matrix } = this.#packed(source, shape, {
        bits,
        asTable: true,
        asMatrix: tied,
      });
      return { rows: (ids: Value): Value => gatherBytes(b, table!, ids), matrix };
    }
    const plain = this.float(source, shape);
    return {
      rows: (ids: Value): Value => ops.gather(b, plain, ids),
      matrix: tied ? { plain } : undefined,
    };
  }

  /** One set of bytes; the lookup and the product want them in different shapes. */
  #packed(
    source: string,
    [rows, columns]: readonly number[],
    { bits, asTable, asMatrix }: {
      readonly bits: 4 | 8;
      readonly asTable: boolean;
      readonly asMatrix: boolean;
    },
  ): { table?: ops.BlockWeights; matrix?: Matrix } {
    const b = this.#b;
    const blocks = columns / BLOCK;
    const scales = b.input(`${source}_scales`, this.#format.float, [rows, blocks]);
    const table = asTable
      ? b.input(`${source}_rows`, "uint8", [rows, columns * bits / 8])
      : undefined;
    const matrix = asMatrix
      ? b.input(`${source}_blocks`, "uint8", [rows, blocks, BLOCK * bits / 8])
      : undefined;
    const values = [table, matrix].filter((value) => value !== undefined);
    this.weights.push({
      source,
      bits,
      parts: [{ kind: "blocks", values }, { kind: "scales", values: [scales] }],
      adapter: false,
    });
    return {
      table: table && { data: table, scales, block: BLOCK, bits },
      matrix: matrix && { packed: { data: matrix, scales, block: BLOCK, bits } },
    };
  }
}

/**
 * Rows of a table of bytes [V, H]: ids [N] → [N, H]. In plain operators, since ONNX Runtime for the
 * web has no GatherBlockQuantized on the processor (1.31); a few rows a run cost nothing.
 */
function gatherBytes(
  b: GraphBuilder,
  { data, scales, block, bits }: ops.BlockWeights,
  ids: Value,
): Value {
  const [, blocks] = scales.shape;
  const bytes = ops.cast(b, ops.gather(b, data, ids), "float32");
  const centred = ops.cast(b, ops.sub(b, bytes, b.float32(2 ** (bits - 1))), scales.dtype);
  const inBlocks = ops.reshape(b, centred, [TOKENS, blocks, block]);
  const scaled = ops.mul(b, inBlocks, ops.unsqueeze(b, ops.gather(b, scales, ids), 2));
  return ops.reshape(b, scaled, [TOKENS, product(blocks, block)]);
}

/** Sizes `from` to `to` of a value as int64 [to − from]. */
function sizes(b: GraphBuilder, value: Value, from: number, to: number): Value {
  return b.node("Shape", [value], [{ dtype: "int64", shape: [to - from] }], {
    attributes: { start: BigInt(from), end: BigInt(to) },
  })[0];
}

/** The names that clients know the symbols by; the empty cache is made by the name of its axis. */
const CLIENT_SYMBOLS: Readonly<Record<string, string>> = {
  rows: "batch_size",
  length: "sequence_length",
  kept: "num_logits",
};

/**
 * The graph as a client runs it: shapes that this house's runner would give are computed, outputs
 * that nothing reads are gone, the symbols have the client's names, and RMSNorm is ONNX's own operator.
 */
function forClients(graph: Graph, ids: Value): Graph {
  const constants: Constant[] = [...graph.constants];
  const computed: Node[] = [];
  if (graph.shapeInputs.size > 0) {
    const grid: Value = { name: "grid", dtype: "int64", shape: [2] };
    const node = { domain: "" as const, attributes: {} };
    computed.push({ ...node, op: "Shape", inputs: [ids], outputs: [grid] });
    for (const [name, shape] of graph.shapeInputs) {
      const [rows, length, width, ...more] = shape;
      if (rows !== "rows" || length !== "length" || typeof width !== "number" || more.length > 0) {
        throw new RangeError(`Cannot export a graph that reshapes to [${shape}]`);
      }
      const value: Value = { name: `width.${width}`, dtype: "int64", shape: [1] };
      constants.push({ value, data: new Uint8Array(BigInt64Array.of(BigInt(width)).buffer) });
      const target = graph.inputs.find((input) => input.name === name)!;
      computed.push({
        ...node,
        op: "Concat",
        inputs: [grid, value],
        outputs: [target],
        attributes: { axis: 0n },
      });
    }
  }
  const read = new Set([...graph.outputs, ...graph.nodes.flatMap(({ inputs }) => inputs)]);
  const symbol = (name: string): string => CLIENT_SYMBOLS[name] ?? name;
  const rename = (value: Value): Value => ({
    ...value,
    shape: value.shape.map((dim: Dim) =>
      typeof dim === "number"
        ? dim
        : product(...dim.split("*").map((each) => Number(each) || symbol(each)))
    ),
  });
  return {
    ...graph,
    inputs: graph.inputs.filter(({ name }) => !graph.shapeInputs.has(name)).map(rename),
    outputs: graph.outputs.map(rename),
    nodes: [
      ...computed,
      ...graph.nodes.map((node) => ({
        ...node,
        // The same kernel of ONNX Runtime; the name that training graphs have is not ONNX's.
        op: node.op === "SimplifiedLayerNormalization" ? "RMSNormalization" : node.op,
        outputs: node.outputs.slice(0, node.outputs.findLastIndex((each) => read.has(each)) + 1)
          .map(rename),
      })),
    ],
    constants,
    shapeInputs: new Map(),
  };
}

function assertExportable(config: ModelConfig, format: ExportFormat): void {
  const { headDim } = config;
  const stateful = config.layerKinds.find(({ delta }) => delta);
  if (stateful) {
    throw new RangeError(
      `Cannot export a model with layers of ${stateful.name}: transformers.js keeps their states in ` +
        "past_conv and past_recurrent, which the exported graph does not have; export it with --format hf",
    );
  }
  if (headDim % HEAD_MULTIPLE !== 0) {
    throw new RangeError(
      `Cannot export a model with head_dim ${headDim}: ONNX Runtime's attention turns heads in ` +
        `multiples of ${HEAD_MULTIPLE}; export it with --format hf`,
    );
  }
  if (!format.bits) return;
  const odd = new Set(
    modelParameters(config).filter(({ shape }) => shape.length === 2 && shape[1] % BLOCK !== 0)
      .map(({ shape }) => shape[1]),
  );
  if (odd.size === 0) return;
  throw new RangeError(
    `Cannot export in 4 bits: rows of ${[...odd].join(" and ")} numbers are not whole blocks of ` +
      `${BLOCK}; export with --dtype fp32 or fp16`,
  );
}
