/**
 * Which queries attention takes at a time.
 *
 * In: the first token that each sees, where its segment or window begins. Out: chunks of neighbouring tokens, each with the keys that its
 * queries see: from the first one's segment's start on, as attention is causal.
 */

import { type Device, deviceTraits } from "../../ort/runtime/device.ts";
import type { BlockKernel } from "../parts/block_scope.ts";

/** Most queries of a chunk: with them half of the products that a mask would throw away are left out. */
export const ATTENTION_CHUNK = 512;
/** Most bytes of a chunk's scores. */
const SCORE_BYTES = 64 * 2 ** 20;
const FLOAT_BYTES = 4;
/** Chunks begin and end at multiples of this, since matrix products read so many numbers at a time. */
const GRAIN = 4;

/** The parts of a block that are operations of ortune's own where attention goes in chunks. */
export const CHUNKED_ATTENTION: ReadonlySet<BlockKernel> = new Set(["chunkedAttention"]);

/** How many queries attention takes at a time on a device; undefined where it takes all. */
export function attentionChunkOf(device: Pick<Device, "kind">): number | undefined {
  return deviceTraits(device).attentionInChunks ? ATTENTION_CHUNK : undefined;
}

/** Neighbouring queries, and the keys that they see. */
export interface AttentionChunk {
  /** The first query. */
  readonly start: number;
  /** After the last one. */
  readonly end: number;
  /** The first key. */
  readonly firstKey: number;
  /** After the last one. */
  readonly lastKey: number;
}

/**
 * Cuts tokens into chunks: whole segments as long as `queries` holds them, and pieces of a longer one. Those
 * with the most scores come first, so that what others need fits into memory that was theirs.
 *
 * @example
 * ```ts
 * import { attentionChunks } from "./attention_chunks.ts";
 * import assert from "node:assert/strict";
 *
 * // Segments of 4, 4 and 16 tokens, in chunks of at most 8.
 * const starts = Int32Array.from({ length: 24 }, (_, at) => at < 4 ? 0 : at < 8 ? 4 : 8);
 * assert.deepEqual(attentionChunks(starts, { heads: 2, queries: 8 }), [
 *   { start: 16, end: 24, firstKey: 8, lastKey: 24 },
 *   { start: 0, end: 8, firstKey: 0, lastKey: 8 },
 *   { start: 8, end: 16, firstKey: 8, lastKey: 16 },
 * ]);
 * ```
 *
 * @param starts where each token's segment begins, as `segmentBounds` has it
 */
export function attentionChunks(
  starts: Int32Array,
  { heads, queries }: {
    /** Query heads, for each of which there are scores. */
    readonly heads: number;
    /** Most queries of a chunk. */
    readonly queries: number;
  },
): AttentionChunk[] {
  const tokens = starts.length;
  const most = Math.max(GRAIN, roundDown(queries));
  const pairs = SCORE_BYTES / (FLOAT_BYTES * heads);
  const chunks: AttentionChunk[] = [];
  for (let start = 0; start < tokens;) {
    const firstKey = roundDown(starts[start]);
    const before = start - firstKey;
    // The most queries n for which n · (before + n) scores fit.
    const fitting = Math.max(
      GRAIN,
      roundDown((Math.sqrt(before ** 2 + 4 * pairs) - before) / 2),
    );
    const limit = Math.min(tokens, start + Math.min(most, fitting));
    const cut = limit < tokens && starts[limit] > start ? starts[limit] : limit;
    const end = Math.min(tokens, Math.ceil(cut / GRAIN) * GRAIN);
    chunks.push({ start, end, firstKey, lastKey: end });
    start = end;
  }
  return chunks.sort((a, b) => pairsOf(b) - pairsOf(a));
}

function pairsOf({ start, end, firstKey, lastKey }: AttentionChunk): number {
  return (end - start) * (lastKey - firstKey);
}

function roundDown(count: number): number {
  return Math.floor(count / GRAIN) * GRAIN;
}
