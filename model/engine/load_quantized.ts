/**
 * Fills a store with a model's weights, its matrices in 8 or 4 bits.
 *
 * In: float32, bfloat16 or float16 tensors under their Hugging Face names. Out: numbers and scales in the
 * store, and copies for products, quantized a slab of rows at a time: no matrix is ever there in
 * floats. The transposed copy is made of the floats too, in blocks along its own rows.
 *
 * @module
 */

import type { Runtime } from "../../ort/runtime/runtime.ts";
import {
  dequantizeBlocks,
  quantizeBlocks,
  type QuantizedBlocks,
  resizeRows,
} from "../../ort/tensor/quantize_blocks.ts";
import { readFloat32, type TensorSource } from "../../ort/tensor/tensor_source.ts";
import type { ParameterSpec } from "../parts/parameter_spec.ts";
import type { Precision } from "../precision.ts";
import {
  blocksOf,
  type ProductDirection,
  type Quantization,
  scalesName,
  storedMatrices,
  type StoredMatrix,
} from "../quantization.ts";
import { assertFinite, assertFits, type LoadOptions } from "./load_weights.ts";
import type { PackedMatrix } from "./matrix_products.ts";
import type { QuantizedStore } from "./quantized_store.ts";
import { Scratch } from "./scratch.ts";
import { inPrecision } from "./weights_precision.ts";

// Numbers quantized at a time, in whole blocks of rows: some MB with what is made of them.
const SLAB = 1 << 20;
/** From a whole number that counts 128 as 0 to one that counts 0 as 0. */
const SIGN = 0x80;

/**
 * Reads every parameter.
 *
 * @param specs the model's parameters
 * @throws {Error} listing together all tensors that are missing, unknown, or of another shape
 * @throws {RangeError} where a weight is NaN or infinite, or a tied model's file has another head
 */
export async function loadQuantized(
  runtime: Runtime,
  store: QuantizedStore,
  source: TensorSource,
  { specs, from = "the checkpoint", tally, signal }:
    & Pick<LoadOptions, "from" | "tally" | "signal">
    & { readonly specs: readonly ParameterSpec[] },
): Promise<void> {
  await assertFits(specs, source, from);
  const quantization = store.storage.quantization!;
  const { block, layout } = quantization;
  const stored = storedMatrices(specs, quantization);
  // One for all matrices: were each to have its own, what is freed would lie between what stays.
  using scratch = new Scratch(runtime);
  for (const { name, shape } of specs) {
    const matrix = stored.get(name);
    const { dtype } = source.info(name);
    const [rows, columns = 1] = shape;
    const step = Math.max(1, Math.floor(SLAB / columns / block)) * block;
    const into = matrix &&
      new QuantizedMatrix(store, scratch, { name, shape, block, layout, matrix });
    for (let row = 0; row < rows; row += step) {
      signal?.throwIfAborted();
      const count = Math.min(step, rows - row);
      const range = { start: row * columns, count: count * columns };
      const floats = await readFloat32(source, name, range);
      const bytes = new Uint8Array(floats.buffer);
      assertFinite(bytes, { name, dtype: "float32", start: range.start, shape }, from);
      if (!into) {
        const numbers = inPrecision(floats, store.dtype as Precision);
        store.tensor(name).write(numbers, numbers.BYTES_PER_ELEMENT * row);
      } else {
        const after = into.add(floats, row);
        tally?.compare(name, dtype, { before: floats, after });
      }
    }
    into?.finish();
  }
  returnFreeMemory();
}

/** A copy for products; `data` are the bytes of its numbers. */
type Copy = QuantizedBlocks & Pick<PackedMatrix, "numbers" | "shape">;

/** A matrix that is filled slab by slab. */
class QuantizedMatrix {
  readonly #store: QuantizedStore;
  readonly #name: string;
  readonly #rows: number;
  readonly #columns: number;
  readonly #block: number;
  readonly #matrix: StoredMatrix;
  readonly #copies = new Map<ProductDirection, Copy>();
  /** All blocks, where they are written at once: part of a device's tensor may not be. */
  readonly #blocks: QuantizedBlocks | undefined;

  constructor(
    store: QuantizedStore,
    scratch: Scratch,
    { name, shape: [rows, columns], block, layout, matrix }: {
      readonly name: string;
      readonly shape: readonly number[];
      readonly block: number;
      readonly layout: Quantization["layout"];
      readonly matrix: StoredMatrix;
    },
  ) {
    this.#store = store;
    this.#name = name;
    this.#rows = rows;
    this.#columns = columns;
    this.#block = block;
    this.#matrix = matrix;
    if (layout === "blocks") {
      const blocks = rows * blocksOf(columns, block);
      const data = new Uint8Array(blocks * this.#blockBytes);
      this.#blocks = { data, scales: new Float32Array(blocks) };
    }
    for (const direction of matrix.products) {
      const [outputs, inputs] = direction === "forward" ? [rows, columns] : [columns, rows];
      const blocks = blocksOf(inputs, block);
      const shape = [outputs, blocks, this.#blockBytes];
      const numbers = scratch.tensor(direction, "uint8", shape);
      this.#copies.set(direction, {
        shape: [outputs, inputs],
        numbers,
        data: numbers.bytes(),
        scales: new Float32Array(outputs * blocks),
      });
    }
  }

  /** The type of the scales: of a device's tensors the model's, as its kernels want. */
  get #scales(): Precision {
    return this.#blocks ? this.#store.dtype as Precision : "float32";
  }

  get #blockBytes(): number {
    return this.#block * this.#matrix.bits / 8;
  }

  /** Takes rows from `row` on, a multiple of the block; answers what they became. */
  add(floats: Float32Array<ArrayBuffer>, row: number): Float32Array {
    const columns = this.#columns;
    const rows = floats.length / columns;
    const width = blocksOf(columns, this.#block) * this.#block;
    const quantized = this.#quantize(resizeRows(floats, columns, width));
    const first = row * width / this.#block;
    const forward = this.#copies.get("forward");
    if (forward) place(quantized, forward, first, this.#blockBytes);
    const how = { bits: this.#matrix.bits, block: this.#block };
    const after = resizeRows(dequantizeBlocks(quantized, how), width, columns);
    if (this.#blocks) place(quantized, this.#blocks, first, this.#blockBytes);
    else if (this.#matrix.tensors.length > 0) this.#write(quantized, { row, rows, width });
    const backward = this.#copies.get("backward");
    if (backward) {
      const height = blocksOf(rows, this.#block) * this.#block;
      const turned = this.#quantize(transpose(floats, { columns, height }));
      // Each column's blocks go to its own row of the copy.
      const [here, all] = [height / this.#block, blocksOf(this.#rows, this.#block)];
      const bytes = this.#blockBytes;
      for (let column = 0; column < columns; column++) {
        place(
          {
            data: turned.data.subarray(column * here * bytes, (column + 1) * here * bytes),
            scales: turned.scales.subarray(column * here, (column + 1) * here),
          },
          backward,
          column * all + row / this.#block,
          bytes,
        );
      }
    }
    return after;
  }

  #quantize(numbers: Float32Array): QuantizedBlocks {
    const { bits } = this.#matrix;
    return quantizeBlocks(numbers, { bits, block: this.#block, scaleDtype: this.#scales });
  }

  /** Writes numbers and scales as graphs dequantize them. */
  #write(
    { data, scales }: QuantizedBlocks,
    { row, rows, width }: { readonly row: number; readonly rows: number; readonly width: number },
  ): void {
    const columns = this.#columns;
    const numbers = this.#store.tensor(this.#name).bytes();
    this.#store.tensor(scalesName(this.#name)).float32()
      .set(scales, row * width / this.#block);
    if (this.#matrix.bits === 8) {
      for (let i = 0; i < rows; i++) {
        const [to, from] = [(row + i) * columns, i * width];
        for (let j = 0; j < columns; j++) numbers[to + j] = data[from + j] ^ SIGN;
      }
      return;
    }
    const half = columns / 2;
    for (let i = 0; i < rows; i++) {
      const [to, from] = [(row + i) * half, i * width];
      const nibble = (at: number): number => (data[at >> 1] >> (4 * (at & 1))) & 15;
      for (let j = 0; j < half; j++) {
        numbers[to + j] = nibble(from + j) | nibble(from + half + j) << 4;
      }
    }
  }

  /** Hands over what was gathered. */
  finish(): void {
    if (this.#blocks) {
      this.#store.tensor(this.#name).write(this.#blocks.data);
      const { scales } = this.#blocks;
      this.#store.tensor(scalesName(this.#name)).write(inPrecision(scales, this.#scales));
    }
    const { bits } = this.#matrix;
    for (const [direction, copy] of this.#copies) {
      this.#store.products!.add(this.#name, direction, { ...copy, bits, block: this.#block });
    }
    this.#copies.clear();
  }
}

function place(from: QuantizedBlocks, to: QuantizedBlocks, block: number, bytes: number): void {
  to.data.set(from.data, block * bytes);
  to.scales.set(from.scales, block);
}

/** [rows, columns] → [columns, height], with zeros after the rows. */
function transpose(
  floats: Float32Array,
  { columns, height }: { readonly columns: number; readonly height: number },
): Float32Array<ArrayBuffer> {
  const turned = new Float32Array(columns * height);
  const rows = floats.length / columns;
  // In squares that stay in a core's cache.
  const SIDE = 64;
  for (let top = 0; top < rows; top += SIDE) {
    const bottom = Math.min(rows, top + SIDE);
    for (let left = 0; left < columns; left += SIDE) {
      const right = Math.min(columns, left + SIDE);
      for (let j = left; j < right; j++) {
        for (let i = top; i < bottom; i++) turned[j * height + i] = floats[i * columns + j];
      }
    }
  }
  return turned;
}

/**
 * Gives memory that was freed back to the system, where the C library is glibc: its heap stays as large as it ever
 * was, so that buffers of which each was needed once would count for good.
 */
function returnFreeMemory(): void {
  if (Deno.build.os !== "linux") return;
  try {
    const libc = Deno.dlopen("libc.so.6", {
      malloc_trim: { parameters: ["usize"], result: "i32" },
    });
    libc.symbols.malloc_trim(0n);
    libc.close();
  } catch {
    // Another C library has its own ways.
  }
}
