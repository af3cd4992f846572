/**
 * A layout cut into buckets, which processes sum one by one.
 *
 * In: a layout and a number of processes. Out: where each bucket lies, how much of it is whose, and in which
 * order all processes take them.
 */

import { LAYOUT_BLOCK, type ParameterLayout } from "../../model/engine/parameter_store.ts";
import type { ModelConfig } from "../../model/config.ts";
import { blockParameters } from "../../model/parameters.ts";
import { distinctKinds } from "../../model/parts/layer_kind.ts";
import { elementCount } from "../../ort/tensor/dtype.ts";

/** Elements of a bucket, 16 MiB of float32: more are hardly faster, and begin later. */
export const BUCKET = 1 << 22;

/** Consecutive elements of a layout. */
export interface Range {
  /** First element. */
  readonly start: number;
  /** Elements. */
  readonly length: number;
}

/** What two ranges share; it has no elements where they lie apart. */
export function overlap(a: Range, b: Range): Range {
  const start = Math.max(a.start, b.start);
  const end = Math.min(a.start + a.length, b.start + b.length);
  return { start, length: Math.max(0, end - start) };
}

/** Elements that are summed at once. */
export interface Bucket extends Range {
  /** How many of them are each process's own, in the order of the processes; whole blocks. */
  readonly counts: readonly number[];
  /** How many belong to a tensor; the others lie between two. */
  readonly used: number;
}

/**
 * Cuts a layout into buckets.
 *
 * @param size how many processes there are
 * @param elements of a bucket, whole blocks
 * @returns in the order in which backward is done with them: the last tensors of a checkpoint come first
 */
export function bucketsOf(
  { specs, offsets, length }: ParameterLayout,
  size: number,
  elements: number = BUCKET,
): readonly Bucket[] {
  const count = Math.ceil(length / elements);
  const used = new Float64Array(count);
  const done = new Float64Array(count);
  for (const [i, { name, shape }] of specs.entries()) {
    for (const { bucket, shared } of parts(offsets.get(name)!, elementCount(shape), elements)) {
      used[bucket] += shared;
      done[bucket] = Math.max(done[bucket], specs.length - i);
    }
  }
  const buckets = Array.from({ length: count }, (_, i): Bucket => {
    const start = i * elements;
    const own = Math.min(elements, length - start);
    return { start, length: own, counts: shareBlocks(own, size), used: used[i] };
  });
  return [...buckets.keys()].sort((a, b) => done[a] - done[b]).map((i) => buckets[i]);
}

/** Buckets that a layer's gradients lie in at most, all of which are final at once. */
export function widenedBuckets(config: ModelConfig, elements: number = BUCKET): number {
  const layers = distinctKinds(config).map((kind) =>
    blockParameters(config, kind).reduce((sum, { shape }) => sum + elementCount(shape), 0)
  );
  return Math.ceil(Math.max(...layers) / elements) + 1;
}

/** The buckets that elements lie in, and how many of them in each. */
export function* parts(
  start: number,
  length: number,
  elements: number = BUCKET,
): Generator<{ readonly bucket: number; readonly shared: number }, void, void> {
  const end = start + length;
  for (let at = start; at < end;) {
    const bucket = Math.floor(at / elements);
    const until = Math.min(end, (bucket + 1) * elements);
    yield { bucket, shared: until - at };
    at = until;
  }
}

/** What of a bucket is a process's own. */
export function ownPart({ start, counts }: Bucket, rank: number): Range {
  const before = counts.slice(0, rank).reduce((sum, each) => sum + each, 0);
  return { start: start + before, length: counts[rank] };
}

/** Whole blocks for each, the first ones get one more. */
function shareBlocks(length: number, size: number): readonly number[] {
  const blocks = length / LAYOUT_BLOCK;
  return Array.from(
    { length: size },
    (_, rank) => (Math.floor(blocks / size) + (rank < blocks % size ? 1 : 0)) * LAYOUT_BLOCK,
  );
}
