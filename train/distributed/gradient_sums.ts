/**
 * Gradients of one update, summed over all processes while backward is still at work.
 *
 * In: a store of this process's gradients, and names of those that are final. Out: the same store with the
 * sums of all, or where each process updates a part, with the sums of that part.
 *
 * Sums are taken in float32. Gradients of another type are widened bucket by bucket into a buffer for a few
 * of them, and rounded back when their sums are there.
 */

import { CompiledGraph } from "../../model/engine/compiled_graph.ts";
import type { ParameterStore } from "../../model/engine/parameter_store.ts";
import { castGraph } from "../../model/graphs/device_graphs.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import { byteWidth, elementCount } from "../../ort/tensor/dtype.ts";
import { BUCKET, type Bucket, bucketsOf, ownPart, parts, type Range } from "./buckets.ts";
import type { TensorComm } from "./tensor_comm.ts";

/** How gradients are summed. */
export interface GradientSumsOptions {
  /** Leaves each process with the sums of its own part alone. @default false */
  readonly scatter?: boolean;
  /** Elements summed at once, whole blocks. @default {BUCKET} */
  readonly elements?: number;
  /**
   * Buckets of gradients that are not float32 whose sums may be under way at once; those of a layer, so that
   * they are summed while the next one's are computed.
   * @default 2
   */
  readonly widened?: number;
}

/** Buckets that are summed as they are, or in float32 beside the store. */
interface Wide extends Disposable {
  /**
   * Queues the widening of a bucket; answers the float32 values.
   *
   * @param back which of its elements are to be narrowed later
   */
  widen(bucket: Tensor, back: Range): Tensor;
  /** Whether there is no room for another bucket. */
  readonly full: boolean;
  /** Queues the way back of what was widened, whose sums are there. */
  narrow(): void;
}

/** The sums of a store's gradients. */
export class GradientSums implements Disposable {
  readonly #comm: TensorComm;
  readonly #gradients: ParameterStore;
  readonly #scatter: boolean;
  readonly #elements: number;
  readonly #buckets: readonly Bucket[];
  /** Each bucket's elements in the store. */
  readonly #views: readonly Tensor[];
  readonly #wide: Wide | undefined;
  /** Elements of each bucket, by its place in the layout, that are not final yet. */
  readonly #open: Float64Array;
  /** Buckets whose sums have begun. */
  #begun = 0;

  /** Begins nothing yet. */
  constructor(
    runtime: Runtime,
    comm: TensorComm,
    gradients: ParameterStore,
    { scatter = false, elements = BUCKET, widened = 2 }: GradientSumsOptions = {},
  ) {
    const { layout, flat } = gradients;
    this.#comm = comm;
    this.#gradients = gradients;
    this.#scatter = scatter;
    this.#elements = elements;
    this.#buckets = bucketsOf(layout, comm.size, elements);
    using made = new DisposableStack();
    this.#views = this.#buckets.map(({ start, length }) =>
      made.use(flat.view(start * byteWidth(flat.dtype), [length]))
    );
    this.#wide = flat.dtype === "float32"
      ? undefined
      : made.use(wideBuckets(runtime, flat, Math.min(widened, this.#buckets.length), elements));
    this.#open = new Float64Array(this.#buckets.length);
    this.#reopen();
    made.move();
  }

  /**
   * Takes gradients as final; sums begin of each bucket that has no others, in the same order on all
   * processes, whatever they are told when.
   */
  readonly final = async (names: readonly string[]): Promise<void> => {
    const { layout: { offsets } } = this.#gradients;
    for (const name of names) {
      const length = elementCount(this.#gradients.info(name).shape);
      for (const { bucket, shared } of parts(offsets.get(name)!, length, this.#elements)) {
        this.#open[bucket] -= shared;
      }
    }
    await this.#begin(({ start }) => this.#open[start / this.#elements] === 0);
  };

  /** Takes all gradients as final, and waits for all sums, on a device by what is queued next. */
  async finish(): Promise<void> {
    await this.#begin(() => true);
    this.#begun = 0;
    this.#reopen();
    await this.#joinSums();
    // What is others' may hold anything now, and tensors alone are written afresh.
    if (this.#scatter) this.#gradients.zeroGaps();
  }

  async #begin(ready: (bucket: Bucket) => boolean): Promise<void> {
    for (; this.#begun < this.#buckets.length; this.#begun++) {
      const bucket = this.#buckets[this.#begun];
      if (!ready(bucket)) return;
      if (this.#wide?.full) await this.#joinSums();
      const view = this.#views[this.#begun];
      const values = this.#wide?.widen(view, this.#summed(bucket)) ?? view;
      if (this.#scatter) this.#comm.reduceScatterSum(values, bucket.counts);
      else this.#comm.allReduceSum(values);
    }
  }

  /** What of a bucket has its sums in the end. */
  #summed(bucket: Bucket): Range {
    if (!this.#scatter) return { start: 0, length: bucket.length };
    const { start, length } = ownPart(bucket, this.#comm.rank);
    return { start: start - bucket.start, length };
  }

  async #joinSums(): Promise<void> {
    await this.#comm.join();
    this.#wide?.narrow();
  }

  #reopen(): void {
    for (const { start, used } of this.#buckets) this.#open[start / this.#elements] = used;
  }

  /** Releases what gradients are widened into; they stay their owner's. */
  [Symbol.dispose](): void {
    for (const view of this.#views) view[Symbol.dispose]();
    this.#wide?.[Symbol.dispose]();
  }
}

/** Room for `count` buckets in float32. */
function wideBuckets(runtime: Runtime, flat: Tensor, count: number, elements: number): Wide {
  using made = new DisposableStack();
  const values = made.use(Tensor.allocate(runtime, "float32", [count * elements]));
  const widen = made.use(new CompiledGraph(runtime, castGraph(flat.dtype, "float32")));
  const narrow = made.use(new CompiledGraph(runtime, castGraph("float32", flat.dtype)));
  const used: { readonly bucket: Tensor; readonly wide: Tensor; readonly back: Range }[] = [];
  const owned = made.move();
  return {
    get full(): boolean {
      return used.length === count;
    },
    widen(bucket: Tensor, back: Range): Tensor {
      const at = used.length * elements * byteWidth("float32");
      const wide = values.view(at, bucket.shape);
      used.push({ bucket, wide, back });
      widen.run({ x: bucket, y: wide }, { elements: bucket.shape[0] });
      return wide;
    },
    narrow(): void {
      for (const { bucket, wide, back: { start, length } } of used.splice(0)) {
        if (length > 0) {
          using x = wide.view(start * byteWidth(wide.dtype), [length]);
          using y = bucket.view(start * byteWidth(bucket.dtype), [length]);
          narrow.run({ x, y }, { elements: length });
        }
        wide[Symbol.dispose]();
      }
    },
    [Symbol.dispose]: () => owned.dispose(),
  };
}
