/**
 * Writes a file of an export's weights.
 *
 * In: a layout and a source of float weights. Out: the file, its numbers converted on the way. What
 * is held at a time is a chunk of rows, and the scales of one weight.
 *
 * @module
 */

import type { ExternalData } from "../../ort/graph/onnx_writer.ts";
import { FileWriter, type WrittenBytes } from "../../ort/tensor/file_writer.ts";
import { float32ToFloat16 } from "../../ort/tensor/half.ts";
import { quantizeBlocks } from "../../ort/tensor/quantize_blocks.ts";
import { readFloat32, type TensorSource } from "../../ort/tensor/tensor_source.ts";
import { BLOCK } from "./export_format.ts";
import type { ExternalFile } from "./external_layout.ts";
import type { GraphWeight } from "./model_graph.ts";

// Numbers converted at a time, in whole rows: some MB.
const CHUNK = 1 << 20;
// Rounding to nearest makes anything from here on infinite in float16.
const HALF_OVERFLOW = 65520;

/** Options of {@linkcode writeExternalFile}. */
export interface WriteExternalOptions {
  /** Where each value lies. */
  readonly places: ReadonlyMap<string, ExternalData>;
  /** The weights under their source's names. */
  readonly source: TensorSource;
  /** Called with the bytes of this file so far. */
  readonly onBytes?: (written: number) => void;
  /** Stops between chunks and leaves no file. */
  readonly signal?: AbortSignal;
}

/**
 * Writes the file into a folder; it appears under its name only when it is whole.
 *
 * @throws {RangeError} on a weight that is not finite in the format
 */
export async function writeExternalFile(
  directory: string,
  { name, weights }: ExternalFile,
  { places, source, onBytes, signal }: WriteExternalOptions,
): Promise<WrittenBytes> {
  await using file = await FileWriter.create(`${directory}/${name}`);
  let written = 0;
  const write = async (bytes: Uint8Array): Promise<void> => {
    signal?.throwIfAborted();
    await file.write(bytes);
    written += bytes.byteLength;
    onBytes?.(written);
  };
  for (const weight of weights) {
    const tails: Uint8Array[] = [];
    for (const [part, { values, kind }] of weight.parts.entries()) {
      const { offset } = places.get(values[0].name)!;
      if (offset > written) await write(new Uint8Array(offset - written));
      if (kind === "scales") { for (const tail of tails) await write(tail); }
      else {
        for await (const numbers of chunks(source, weight.source)) {
          const [head, tail] = convert(numbers, weight, part);
          await write(head);
          if (tail) tails.push(tail);
        }
      }
    }
  }
  return await file.commit();
}

/** A weight's numbers in runs of whole rows. */
async function* chunks(source: TensorSource, name: string): AsyncGenerator<Float32Array> {
  const { shape } = source.info(name);
  const columns = shape.at(-1)!;
  const rows = shape.slice(0, -1).reduce((product, size) => product * size, 1);
  const step = Math.max(1, Math.floor(CHUNK / columns));
  for (let row = 0; row < rows; row += step) {
    const count = Math.min(step, rows - row) * columns;
    yield await readFloat32(source, name, { start: row * columns, count });
  }
}

/** The bytes of a part, and of the part that comes after it where both are made at once. */
function convert(
  numbers: Float32Array,
  { source, parts, bits }: GraphWeight,
  part: number,
): [head: Uint8Array, tail?: Uint8Array] {
  const { kind, values: [{ dtype }] } = parts[part];
  if (kind === "float" || bits === undefined) return [toFloat(numbers, dtype, source)];
  const scaleDtype = parts[part + 1].values[0].dtype as "float32" | "float16";
  try {
    const { data, scales } = quantizeBlocks(numbers, { bits, block: BLOCK, scaleDtype });
    return [data, toFloat(scales, scaleDtype, source)];
  } catch (cause) {
    const { message } = cause as Error;
    const remedy = message.endsWith("float16") ? "; export with --dtype q4 or fp32" : "";
    throw new RangeError(`Cannot export ${source}: ${message}${remedy}`, { cause });
  }
}

function toFloat(numbers: Float32Array, dtype: string, source: string): Uint8Array {
  const limit = dtype === "float16" ? HALF_OVERFLOW : Infinity;
  // A NaN is below nothing.
  const bad = numbers.find((each) => !(Math.abs(each) < limit));
  if (bad !== undefined) {
    throw new RangeError(
      `Cannot export ${source}: it holds ${bad}, which ${dtype} cannot; ` +
        (Number.isFinite(bad)
          ? "export with --dtype fp32 or q4"
          : "go back to an earlier checkpoint"),
    );
  }
  if (dtype !== "float16") {
    return new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);
  }
  const halves = new Uint16Array(numbers.length);
  float32ToFloat16(numbers, halves);
  return new Uint8Array(halves.buffer);
}
