/**
 * Attention of some queries against the keys that they see, forwards and backwards.
 *
 * In: q [tokens, heads·D], k and v [tokens, kvHeads·D] of all tokens, and which rows of them a chunk
 * takes. Out: the chunk's rows of the mixed values or of the gradients, in place among those of all
 * tokens. Symbols: `tokens`, and of the chunk `rows` = 1, `length` queries and `keys`. Of one chunk
 * alone the scores [kvHeads, group, length, keys] are in memory.
 *
 * A chunk that holds all tokens is built with `whole`: nothing is taken or put in place then, and
 * `length` queries and as many keys are the tokens.
 */

import { GraphBuilder } from "../../ort/graph/builder.ts";
import { type Dim, product } from "../../ort/graph/dim.ts";
import { gradient } from "../../ort/graph/gradient.ts";
import type { Graph, Value } from "../../ort/graph/ir.ts";
import * as ops from "../../ort/graph/ops.ts";
import { attendTo, type AttentionKeys, byHead, MASKED } from "./attention.ts";
import type { ModelConfig } from "../config.ts";
import { TOKENS } from "../parts/block_scope.ts";

/** The keys of a chunk, laid out flat. */
const KEYS: Dim = product("rows", "keys");

/** Which chunk a graph is for. */
export interface AttentionChunkGraphOptions {
  /** Whether the chunk holds all tokens. @default false */
  readonly whole?: boolean;
}

/** What both directions are built of. */
interface Chunk {
  /** Rows of the chunk's queries among all tokens, int64 [length, 1]; none of a whole one. */
  readonly queryIds: Value | undefined;
  /** The same of its keys. */
  readonly keyIds: Value | undefined;
  readonly q: Value;
  readonly k: Value;
  readonly v: Value;
  /** Mixed values of the chunk's queries, [length·rows, heads·D]. */
  readonly mixed: Value;
}

/** How many tokens an input holds. */
function tokensOf({ whole }: AttentionChunkGraphOptions): Dim {
  return whole ? TOKENS : "tokens";
}

function chunk(
  b: GraphBuilder,
  config: ModelConfig,
  options: AttentionChunkGraphOptions & Pick<AttentionKeys, "onWeights">,
): Chunk {
  const { heads, kvHeads, headDim } = config;
  const { whole, onWeights } = options;
  const keys = whole ? "length" : "keys";
  const queryIds = whole ? undefined : b.input("query_ids", "int64", [TOKENS, 1]);
  const keyIds = whole ? undefined : b.input("key_ids", "int64", [KEYS, 1]);
  const take = (name: string, width: number, count: Dim, ids?: Value): Value => {
    const all = b.input(name, "float32", [tokensOf(options), width]);
    return ops.reshape(b, ids ? ops.gather(b, all, ids) : all, ["rows", count, width]);
  };
  const q = take("q", heads * headDim, "length", queryIds);
  const [k, v] = ["k", "v"].map((name) => take(name, kvHeads * headDim, keys, keyIds));
  const mask = b.input("mask", "float32", [1, 1, 1, "length", keys]);
  const mixed = attendTo(b, config, q, {
    ...byHead(b, config, k, v),
    ...{ length: keys, mask, onWeights },
  });
  return { queryIds, keyIds, q, k, v, mixed };
}

/**
 * What a chunk's queries may not see: starts and queries int32 [length], keys int32 [keys], the places
 * where each query's segment begins and where both stand → mask [1, 1, 1, length, keys].
 */
export function chunkMaskGraph(): Graph {
  const b = new GraphBuilder("attention_mask");
  const column = (name: string): Value => ops.unsqueeze(b, b.input(name, "int32", ["length"]), 1);
  const [starts, queries] = ["starts", "queries"].map(column);
  const keys = ops.unsqueeze(b, b.input("keys", "int32", ["keys"]), 0);
  const sees = ops.and(b, ops.lessOrEqual(b, starts, keys), ops.lessOrEqual(b, keys, queries));
  const mask = ops.where(b, sees, b.float32(0), b.float32(MASKED));
  b.output("mask", ops.reshape(b, mask, [1, 1, 1, "length", "keys"]));
  return b.build();
}

/** q, k, v → the chunk's rows of `mixed` [tokens, heads·D], in place. */
export function chunkForwardGraph(
  config: ModelConfig,
  options: AttentionChunkGraphOptions = {},
): Graph {
  const b = new GraphBuilder("attention_forward");
  const { queryIds, mixed } = chunk(b, config, options);
  putRows(b, "mixed", mixed, { ids: queryIds });
  return b.build();
}

/**
 * q, k, v, mixed and `d_mixed` [tokens, heads·D] → the chunk's rows of `dq` in place, and its part of `dk`
 * and `dv`, which is added up in place. The weights P are computed again. Of scores S and dP = dO·Vᵀ it is
 * dS = P·(dP − Σ dP·P), where the sum is Σ dO·O over a head's numbers: Dao et al. 2022,
 * https://arxiv.org/abs/2205.14135, so that no further matrix of that size is made for it.
 */
export function chunkBackwardGraph(
  config: ModelConfig,
  { first = false, ...options }: AttentionChunkGraphOptions & {
    /** Whether `dk` and `dv` are written afresh in place of being added to. @default false */
    readonly first?: boolean;
  } = {},
): Graph {
  const b = new GraphBuilder(`attention_backward${first ? "_first" : ""}`);
  const { heads, kvHeads, headDim } = config;
  const width = heads * headDim;
  const { queryIds, keyIds, q, k, v, mixed } = chunk(b, config, {
    ...options,
    onWeights: (weights, scores) =>
      b.differentiate(weights, {
        inputs: [scores],
        rule: ({ dy, give }) => give(0, () => ops.mul(b, weights, ops.sub(b, dy, sums()))),
      }),
  });
  const [seed, known] = ["d_mixed", "mixed"].map((name) => {
    const all = b.input(name, "float32", [tokensOf(options), width]);
    return queryIds ? ops.reshape(b, ops.gather(b, all, queryIds), [TOKENS, width]) : all;
  });
  /** Σ dO·O of each query's heads, [rows, kvHeads, group, length, 1]. */
  const sums = (): Value => {
    const byHead = ["rows", "length", kvHeads, heads / kvHeads, headDim];
    const products = ops.reshape(b, ops.mul(b, seed, known), byHead);
    return ops.transpose(b, ops.reduceSum(b, products, -1), [0, 2, 3, 1, 4]);
  };
  const gradients = gradient(b, {
    seeds: new Map([[mixed, seed]]),
    wrt: new Map([q, k, v].map((value) => [value, undefined])),
  });
  const flat = (value: Value): Value => {
    const { shape: [rows, count, width] } = value;
    return ops.reshape(b, gradients.get(value)!, [product(rows, count), width]);
  };
  putRows(b, "dq", flat(q), { ids: queryIds });
  putRows(b, "dk", flat(k), { ids: keyIds, add: !first, first });
  putRows(b, "dv", flat(v), { ids: keyIds, add: !first, first });
  return b.build();
}

/** The output `name` [tokens, width], with the chunk's rows replaced or added to, or zeros elsewhere. */
function putRows(
  b: GraphBuilder,
  name: string,
  rows: Value,
  { ids, add = false, first = false }: {
    readonly ids: Value | undefined;
    readonly add?: boolean;
    readonly first?: boolean;
  },
): void {
  if (!ids) return b.output(name, rows);
  const shape = ["tokens", ...rows.shape.slice(1)];
  if (first) {
    const zeros = ops.expand(b, b.float32(0), shape);
    return b.output(name, ops.scatterRows(b, zeros, ids, rows));
  }
  const before = b.input(`${name}_before`, "float32", shape);
  b.output(name, ops.scatterRows(b, before, ids, rows, { add }), { inPlaceOf: before });
}
