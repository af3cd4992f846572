/**
 * What an optimizer keeps where each process keeps a part of it (ZeRO-1): moments, and master weights where there
 * are any, in the host's memory or a device's.
 *
 * In: a layout, names such as `exp_avg`, and the processes. Out: the part of this one, which checkpoints hold as
 * tensors in parts.
 */

import type { Comm } from "../../comm/comm.ts";
import { LAYOUT_BLOCK, type ParameterLayout } from "../../model/engine/parameter_store.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import { byteWidth, type DType, elementCount } from "../../ort/tensor/dtype.ts";
import { missingTensorError } from "../../ort/tensor/tensor_errors.ts";
import type { TensorInfo, TensorSource } from "../../ort/tensor/tensor_source.ts";
import { widenFloats } from "../../ort/tensor/widen_floats.ts";
import { type Bucket, bucketsOf, overlap, ownPart, type Range } from "../distributed/buckets.ts";
import { SharedTensors } from "../distributed/shared_tensors.ts";
import type { TensorParts } from "../distributed/tensor_parts.ts";
import { assertStateInfo, SCALES, writePieces } from "./optimizer_state.ts";
import type { UpdateState } from "./update_state.ts";

/** What is kept of the whole layout under one name. */
interface Kept {
  /** This process's part. */
  readonly tensor: Tensor;
  /** Elements of the layout for each one that is kept. */
  readonly unit: number;
}

/** A tensor of the whole state. */
interface Place {
  readonly kept: Kept;
  /** The element of the layout that it begins with. */
  readonly start: number;
  readonly info: TensorInfo;
}

/** What is kept, and by whom. */
export interface ShardedStateOptions {
  /** What of each parameter: `<parameter>.<name>` in checkpoints, in this order. */
  readonly names: readonly string[];
  /** The processes. */
  readonly comm: Comm;
  /** Type of the elements. @default "float32" */
  readonly dtype?: DType;
  /** Whether there is a float32 for each block of 256 elements, as in `OptimizerState`. @default false */
  readonly scaled?: boolean;
  /** Name of what a checkpoint of another format may lack: master weights. @default none */
  readonly optional?: string;
  /** Elements of a bucket, whole blocks. @default as {@linkcode bucketsOf} has it */
  readonly elements?: number;
}

/** A part of an optimizer's state. */
export class ShardedState implements UpdateState, TensorParts {
  /** The buckets that are shared out. */
  readonly buckets: readonly Bucket[];
  /** What of them is this process's own. */
  readonly ranges: readonly Range[];
  /** The whole of all parts. */
  readonly shared: SharedTensors;
  readonly #layout: ParameterLayout;
  readonly #optional: string | undefined;
  /** Elements of this process's part before each range. */
  readonly #starts: readonly number[];
  readonly #kept: ReadonlyMap<string, Kept>;
  readonly #places = new Map<string, Place>();

  /** Allocates this process's part as zeros. */
  constructor(
    runtime: Runtime,
    layout: ParameterLayout,
    { names, comm, dtype = "float32", scaled = false, optional, elements }: ShardedStateOptions,
  ) {
    this.#layout = layout;
    this.#optional = optional;
    this.buckets = bucketsOf(layout, comm.size, elements);
    this.ranges = this.buckets.map((bucket) => ownPart(bucket, comm.rank));
    this.shared = new SharedTensors(this, comm);
    let length = 0;
    this.#starts = this.ranges.map((range) => (length += range.length) - range.length);
    using made = new DisposableStack();
    const keep = (name: string, type: DType, unit: number): [string, Kept] => {
      // A tensor has at least one element, also where nothing is this process's.
      const shape = [Math.max(1, length / unit)];
      const tensor = made.use(Tensor.allocate(runtime, type, shape));
      tensor.zero();
      return [name, { tensor, unit }];
    };
    const scales = scaled ? names.map((name) => keep(name + SCALES, "float32", LAYOUT_BLOCK)) : [];
    this.#kept = new Map([...names.map((name) => keep(name, dtype, 1)), ...scales]);
    for (const { name, shape } of layout.specs) {
      const start = layout.offsets.get(name)!;
      for (const of of names) {
        this.#places.set(`${name}.${of}`, {
          kept: this.#kept.get(of)!,
          start,
          info: { dtype, shape },
        });
      }
    }
    const info: TensorInfo = { dtype: "float32", shape: [layout.length / LAYOUT_BLOCK] };
    for (const [name, kept] of scales) this.#places.set(name, { kept, start: 0, info });
    made.move();
  }

  view(name: string, start: number, length: number): Tensor {
    return this.#view(this.#kept.get(name)!, { start, length });
  }

  scales(name: string, start: number, length: number): Tensor | undefined {
    const kept = this.#kept.get(name + SCALES);
    return kept && this.#view(kept, { start, length });
  }

  /** Elements of the layout that are this process's own. */
  #view({ tensor, unit }: Kept, { start, length }: Range): Tensor {
    const i = this.ranges.findIndex((range) =>
      start >= range.start && start + length <= range.start + range.length
    );
    if (i < 0) throw new RangeError(`Cannot take elements ${start} and on: they are another's`);
    const offset = (this.#starts[i] + start - this.ranges[i].start) / unit;
    return tensor.view(offset * byteWidth(tensor.dtype), [length / unit]);
  }

  names(): readonly string[] {
    return [...this.#places.keys()];
  }

  info(name: string): TensorInfo {
    return this.#find(name).info;
  }

  #find(name: string): Place {
    const place = this.#places.get(name);
    if (!place) throw missingTensorError(name, this.names(), "the optimizer's state");
    return place;
  }

  partOf(name: string, rank: number): readonly Range[] {
    const place = this.#find(name);
    return this.#elementsOf(place, this.buckets.map((bucket) => ownPart(bucket, rank)))
      .map((range) => bytesOf(place, range));
  }

  readOwn(name: string, into: Uint8Array, offset: number): void {
    const place = this.#find(name);
    const asked = { start: offset, length: into.byteLength };
    for (const elements of this.#elementsOf(place, this.ranges)) {
      const own = bytesOf(place, elements);
      const { start, length } = overlap(own, asked);
      if (length === 0) continue;
      using part = this.#view(place.kept, elements);
      part.read(into.subarray(start - offset, start - offset + length), start - own.start);
    }
  }

  /** What of some ranges of the layout is a tensor's. */
  #elementsOf({ kept: { unit }, start, info }: Place, ranges: readonly Range[]): readonly Range[] {
    const whole = { start, length: elementCount(info.shape) * unit };
    return ranges.map((range) => overlap(range, whole)).filter(({ length }) => length > 0);
  }

  source(): TensorSource {
    return this.shared.source();
  }

  /** Takes this process's part from a source of the whole. */
  async load(source: TensorSource): Promise<void> {
    const there = new Set(source.names());
    const mayLack = this.#optional !== undefined ? `.${this.#optional}` : undefined;
    for (const [name, place] of this.#places) {
      if (mayLack !== undefined && name.endsWith(mayLack) && !there.has(name)) continue;
      assertStateInfo(name, source.info(name), place.info);
      for (const elements of this.#elementsOf(place, this.ranges)) {
        const { start } = bytesOf(place, elements);
        using part = this.#view(place.kept, elements);
        await writePieces(part, (into, offset) => source.read(name, into, start + offset));
      }
    }
  }

  /**
   * Takes this process's part of one name from the parameters.
   *
   * @param source floats of any type
   */
  async fill(of: string, source: TensorSource): Promise<void> {
    for (const { name } of this.#layout.specs) {
      const place = this.#find(`${name}.${of}`);
      const { dtype } = source.info(name);
      for (const elements of this.#elementsOf(place, this.ranges)) {
        using part = this.#view(place.kept, elements);
        const width = byteWidth(dtype);
        const values = new Float32Array(elements.length);
        const bytes = new Uint8Array(elements.length * width);
        await source.read(name, bytes, (elements.start - place.start) * width);
        widenFloats(bytes, dtype, values);
        part.write(values);
      }
    }
  }

  /** Releases the memory. */
  [Symbol.dispose](): void {
    for (const { tensor } of this.#kept.values()) tensor[Symbol.dispose]();
  }
}

/** Elements of the layout as bytes of a tensor. */
function bytesOf({ kept: { unit }, start, info }: Place, elements: Range): Range {
  const width = byteWidth(info.dtype) / unit;
  return { start: (elements.start - start) * width, length: elements.length * width };
}
