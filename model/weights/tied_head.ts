/**
 * Whether a file's head is its embedding, where config.json says so.
 *
 * In: two tensors of a source. Out: nothing, or an error that names both.
 */

import { byteWidth, elementCount } from "../../ort/tensor/dtype.ts";
import { quoteName } from "../../ort/tensor/tensor_errors.ts";
import {
  type ElementRange,
  readFloat32,
  type TensorSource,
} from "../../ort/tensor/tensor_source.ts";

/** Elements compared at a time. */
const CHUNK = 1 << 20;

/** The names of the two in the source, and what it is read from. */
export interface TiedHead {
  readonly embedding: string;
  readonly head: string;
  readonly from: string;
}

/**
 * Compares the two, value by value up to the first difference.
 *
 * @throws {RangeError} where they differ: versions of transformers differ in which they take
 */
export async function assertTiedHead(
  source: TensorSource,
  { embedding, head, from }: TiedHead,
): Promise<void> {
  const difference = await findDifference(source, embedding, head);
  if (difference === undefined) return;
  throw new RangeError(
    `Cannot load weights from ${from}: tie_word_embeddings is true in config.json, but ` +
      `${quoteName(head)} is not ${quoteName(embedding)} (${difference}), and versions of ` +
      "transformers differ in which they take for the head: 4.57.6 the embedding, 5.24.0 the other. " +
      "Set tie_word_embeddings to false in config.json to keep both, or remove the wrong tensor " +
      "from the file",
  );
}

/** How they differ, in words; undefined where they do not. */
async function findDifference(
  source: TensorSource,
  embedding: string,
  head: string,
): Promise<string | undefined> {
  const [{ shape, dtype }, other] = [source.info(embedding), source.info(head)];
  if (shape.join() !== other.shape.join()) return `shapes [${shape}] and [${other.shape}]`;
  const elements = elementCount(shape);
  const rowWidth = shape.at(-1) ?? 1;
  for (let start = 0; start < elements; start += CHUNK) {
    const range = { start, count: Math.min(CHUNK, elements - start) };
    const at = dtype === other.dtype
      ? await differenceOfBytes(source, [embedding, head], range)
      : firstDifference(
        await readFloat32(source, embedding, range),
        await readFloat32(source, head, range),
      );
    if (at >= 0) return `they differ from row ${Math.floor((start + at) / rowWidth)} on`;
  }
}

/** The first element of a range whose bytes differ, or −1. */
async function differenceOfBytes(
  source: TensorSource,
  names: readonly string[],
  { start, count }: Required<ElementRange>,
): Promise<number> {
  const width = byteWidth(source.info(names[0]).dtype);
  // Words of four bytes, the last filled with zeros.
  const [a, b] = await Promise.all(names.map(async (name) => {
    const words = new Uint32Array(Math.ceil(count * width / 4));
    await source.read(name, new Uint8Array(words.buffer, 0, count * width), start * width);
    return words;
  }));
  const at = firstDifference(a, b);
  if (at < 0) return at;
  const [left, right] = [new Uint8Array(a.buffer), new Uint8Array(b.buffer)];
  return Math.floor(left.findIndex((byte, i) => i >= at * 4 && byte !== right[i]) / width);
}

function firstDifference(a: Float32Array | Uint32Array, b: Float32Array | Uint32Array): number {
  for (let i = 0; i < a.length; i++) {
    if (a[i] !== b[i]) return i;
  }
  return -1;
}
