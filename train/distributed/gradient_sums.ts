/**
 * Gradients of one update, summed over all processes while backward is still at work.
 *
 * In: a store of this process's gradients, and names of those that are final. Out: the same store with the
 * sums of all, or where each process updates a part, with the sums of that part.
 */

import type { Comm } from "../../comm/comm.ts";
import type { ParameterStore } from "../../model/engine/parameter_store.ts";
import { elementCount } from "../../ort/tensor/dtype.ts";
import { BUCKET, type Bucket, bucketsOf, parts } from "./buckets.ts";

/** How gradients are summed. */
export interface GradientSumsOptions {
  /** Leaves each process with the sums of its own part alone. @default false */
  readonly scatter?: boolean;
  /** Elements summed at once, whole blocks. @default {BUCKET} */
  readonly elements?: number;
}

/** The sums of a store's gradients. */
export class GradientSums {
  readonly #comm: Comm;
  readonly #gradients: ParameterStore;
  readonly #scatter: boolean;
  readonly #elements: number;
  readonly #buckets: readonly Bucket[];
  /** Elements of each bucket, by its place in the layout, that are not final yet. */
  readonly #open: Float64Array;
  /** Buckets whose sums have begun. */
  #begun = 0;
  readonly #sums: Promise<void>[] = [];

  /**
   * Begins nothing yet.
   *
   * @param gradients float32 in the host's memory
   */
  constructor(
    comm: Comm,
    gradients: ParameterStore,
    { scatter = false, elements = BUCKET }: GradientSumsOptions = {},
  ) {
    this.#comm = comm;
    this.#gradients = gradients;
    this.#scatter = scatter;
    this.#elements = elements;
    this.#buckets = bucketsOf(gradients.layout, comm.size, elements);
    this.#open = new Float64Array(this.#buckets.length);
    this.#reopen();
  }

  /**
   * Takes gradients as final; sums begin of each bucket that has no others, in the same order on all
   * processes, whatever they are told when.
   */
  readonly final = (names: readonly string[]): void => {
    const { layout: { offsets } } = this.#gradients;
    for (const name of names) {
      const length = elementCount(this.#gradients.info(name).shape);
      for (const { bucket, shared } of parts(offsets.get(name)!, length, this.#elements)) {
        this.#open[bucket] -= shared;
      }
    }
    this.#begin(({ start }) => this.#open[start / this.#elements] === 0);
  };

  /** Takes all gradients as final, and waits for all sums; then the next update may begin. */
  async finish(): Promise<void> {
    this.#begin(() => true);
    const sums = this.#sums.splice(0);
    this.#begun = 0;
    this.#reopen();
    await Promise.all(sums);
    // What is others' may hold anything now, and tensors alone are written afresh.
    if (this.#scatter) this.#gradients.zeroGaps();
  }

  #begin(ready: (bucket: Bucket) => boolean): void {
    const flat = this.#gradients.flat.float32();
    for (; this.#begun < this.#buckets.length; this.#begun++) {
      const bucket = this.#buckets[this.#begun];
      if (!ready(bucket)) return;
      const { start, length, counts } = bucket;
      const values = flat.subarray(start, start + length);
      const sum = this.#scatter
        ? this.#comm.reduceScatterSum(values, counts)
        : this.#comm.allReduceSum(values);
      // Told of when it is waited for.
      sum.catch(() => {});
      this.#sums.push(sum);
    }
  }

  #reopen(): void {
    for (const { start, used } of this.#buckets) this.#open[start / this.#elements] = used;
  }
}
