/**
 * Buffers that outputs are written into where a device cannot write them in place of an input. They
 * hold nothing from run to run, so all graphs of a runtime share them by size.
 *
 * In: a number of bytes. Out: a tensor of that many.
 */

import type { Runtime } from "./runtime.ts";
import { Tensor } from "./tensor.ts";

const ofRuntimes = new WeakMap<Runtime, SpareTensors>();

/** Spare buffers of one runtime; they are freed with the last graph that uses them. */
export class SpareTensors implements Disposable {
  readonly #runtime: Runtime;
  readonly #tensors: Tensor[] = [];
  #users = 0;

  private constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  /** The runtime's, for one more user, who disposes of them once. */
  static of(runtime: Runtime): SpareTensors {
    let spares = ofRuntimes.get(runtime);
    if (!spares) ofRuntimes.set(runtime, spares = new SpareTensors(runtime));
    spares.#users++;
    return spares;
  }

  /** Bytes that they hold. */
  get bytes(): number {
    return this.#tensors.reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  /** A tensor of so many bytes that is none of those that a run uses already. */
  find(bytes: number, used: readonly Tensor[]): Tensor {
    let spare = this.#tensors.find((each) => each.byteLength === bytes && !used.includes(each));
    if (!spare) {
      spare = Tensor.allocate(this.#runtime, "uint8", [bytes]);
      this.#tensors.push(spare);
    }
    return spare;
  }

  /** Ends one use. */
  [Symbol.dispose](): void {
    if (--this.#users > 0) return;
    for (const tensor of this.#tensors.splice(0)) tensor[Symbol.dispose]();
  }
}
