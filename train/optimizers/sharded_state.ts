/**
 * What an optimizer keeps where each process keeps a part of it (ZeRO-1): moments in the host's memory.
 *
 * In: a layout, names such as `exp_avg`, and the processes. Out: the part of this one, and a `TensorSource` of
 * the whole, which the first process reads while the others give theirs.
 */

import type { Comm } from "../../comm/comm.ts";
import type { ParameterLayout } from "../../model/engine/parameter_store.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import { checkTensorRange, missingTensorError } from "../../ort/tensor/tensor_errors.ts";
import { tensorBytes, type TensorInfo, type TensorSource } from "../../ort/tensor/tensor_source.ts";
import { type Bucket, bucketsOf, overlap, ownPart, type Range } from "../distributed/buckets.ts";
import { assertStateInfo } from "./optimizer_state.ts";
import type { UpdateState } from "./update_state.ts";

const FLOAT_BYTES = 4;
/** What the first process asks for. */
interface Request {
  /** Which of the names. */
  readonly kept: number;
  /** The first element in the layout. */
  readonly from: number;
  /** How many; 0 when it needs nothing more. */
  readonly length: number;
}

const NOTHING: Request = { kept: 0, from: 0, length: 0 };

/** A tensor of the whole state. */
interface Place {
  /** Which of the names. */
  readonly kept: number;
  /** Its first element in the layout. */
  readonly start: number;
  readonly info: TensorInfo;
}

/** What is kept, and by whom. */
export interface ShardedStateOptions {
  /** What of each parameter: `<parameter>.<name>` in checkpoints, in this order. */
  readonly names: readonly string[];
  /** The processes. */
  readonly comm: Comm;
  /** Elements of a bucket, whole blocks. @default as {@linkcode bucketsOf} has it */
  readonly elements?: number;
}

/** A part of an optimizer's state. */
export class ShardedState implements UpdateState {
  /** The buckets that are shared out. */
  readonly buckets: readonly Bucket[];
  /** What of them is this process's own. */
  readonly ranges: readonly Range[];
  readonly #comm: Comm;
  readonly #names: readonly string[];
  readonly #tensors: readonly Tensor[];
  readonly #starts: readonly number[];
  readonly #places = new Map<string, Place>();
  /** Ends when the last read that was asked for has; the others follow one at a time. */
  #reading = Promise.resolve();

  /** Allocates this process's part as zeros. */
  constructor(
    runtime: Runtime,
    layout: ParameterLayout,
    { names, comm, elements }: ShardedStateOptions,
  ) {
    this.#comm = comm;
    this.#names = names;
    this.buckets = bucketsOf(layout, comm.size, elements);
    this.ranges = this.buckets.map((bucket) => ownPart(bucket, comm.rank));
    let length = 0;
    this.#starts = this.ranges.map((range) => (length += range.length) - range.length);
    this.#tensors = names.map(() => {
      // A tensor has at least one element, also where nothing is this process's.
      const tensor = Tensor.allocate(runtime, "float32", [Math.max(1, length)]);
      tensor.zero();
      return tensor;
    });
    for (const { name, shape } of layout.specs) {
      for (const [kept, of] of names.entries()) {
        const info: TensorInfo = { dtype: "float32", shape };
        this.#places.set(`${name}.${of}`, { kept, start: layout.offsets.get(name)!, info });
      }
    }
  }

  /** Elements of the layout that are this process's own. */
  view(name: string, start: number, length: number): Tensor {
    const i = this.ranges.findIndex((range) =>
      start >= range.start && start + length <= range.start + range.length
    );
    if (i < 0) throw new RangeError(`Cannot take elements ${start} and on: they are another's`);
    const offset = this.#starts[i] + start - this.ranges[i].start;
    return this.#tensors[this.#names.indexOf(name)].view(offset * FLOAT_BYTES, [length]);
  }

  /** The whole, for the first process to read while the others wait in {@linkcode ShardedState.settle}. */
  source(): TensorSource {
    const find = (name: string): Place => {
      const place = this.#places.get(name);
      if (!place) throw missingTensorError(name, [...this.#places.keys()], "the optimizer's state");
      return place;
    };
    return {
      names: (): readonly string[] => [...this.#places.keys()],
      info: (name: string): TensorInfo => find(name).info,
      read: async (name: string, into: Uint8Array, offset = 0): Promise<void> => {
        const { kept, start, info } = find(name);
        checkTensorRange(name, tensorBytes(info), into, offset);
        // In bytes of the layout.
        const first = start * FLOAT_BYTES + offset;
        const from = Math.floor(first / FLOAT_BYTES);
        const end = Math.ceil((first + into.byteLength) / FLOAT_BYTES);
        const values = new Float32Array(end - from);
        this.#reading = this.#reading.then(() =>
          this.#ask({ kept, from, length: end - from }, values)
        );
        await this.#reading;
        into.set(new Uint8Array(values.buffer, first - from * FLOAT_BYTES, into.byteLength));
      },
    };
  }

  /**
   * On the first process: lets the others go, which wait here and give what it reads of
   * {@linkcode ShardedState.source}.
   */
  async settle(): Promise<void> {
    for (;;) {
      const bytes = encode(NOTHING);
      await this.#comm.broadcast(bytes);
      const [kept, from, length] = new Float64Array(bytes.buffer);
      if (length === 0) return;
      await this.#gather({ kept, from, length }, new Float32Array(length));
    }
  }

  async #ask(request: Request, values: Float32Array): Promise<void> {
    await this.#comm.broadcast(encode(request));
    await this.#gather(request, values);
  }

  /** Puts elements of one name together from all processes' parts. */
  async #gather({ kept, from, length }: Request, values: Float32Array): Promise<void> {
    for (const bucket of this.buckets) {
      const asked = overlap(bucket, { start: from, length });
      if (asked.length === 0) continue;
      const parts = bucket.counts.map((_, rank) => overlap(asked, ownPart(bucket, rank)));
      const own = parts[this.#comm.rank];
      if (own.length > 0) {
        using part = this.view(this.#names[kept], own.start, own.length);
        values.set(part.float32(), own.start - from);
      }
      const start = asked.start - from;
      const counts = parts.map((part) => part.length);
      await this.#comm.allGather(values.subarray(start, start + asked.length), counts);
    }
  }

  /** Takes this process's part from a source of the whole. */
  async load(source: TensorSource): Promise<void> {
    for (const [name, { start, info, kept }] of this.#places) {
      assertStateInfo(name, source.info(name), info);
      const length = tensorBytes(info) / FLOAT_BYTES;
      for (const range of this.ranges) {
        const own = overlap(range, { start, length });
        if (own.length === 0) continue;
        using part = this.view(this.#names[kept], own.start, own.length);
        await source.read(name, part.bytes(), (own.start - start) * FLOAT_BYTES);
      }
    }
  }

  /** Releases the memory. */
  [Symbol.dispose](): void {
    for (const tensor of this.#tensors) tensor[Symbol.dispose]();
  }
}

function encode({ kept, from, length }: Request): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Float64Array.of(kept, from, length).buffer);
}
