/**
 * An update of which each process makes a part (ZeRO-1).
 *
 * In: an update over this process's part, whose gradients are summed. Out: all parameters updated, on all
 * processes.
 */

import type { Comm } from "../../comm/comm.ts";
import type { ParameterStore } from "../../model/engine/parameter_store.ts";
import type { TensorSource } from "../../ort/tensor/tensor_source.ts";
import type { StateParts } from "../optimizer.ts";
import type { HostUpdate, HostUpdateOptions } from "./host_optimizer.ts";
import type { ShardedState } from "./sharded_state.ts";

/** What a {@linkcode ShardedUpdate} is put together from. */
export interface ShardedUpdateParts {
  /** The processes. */
  readonly comm: Comm;
  /** What is updated. */
  readonly parameters: ParameterStore;
  /** The part that is this process's. */
  readonly state: ShardedState;
  /** The update of that part, which is released with this one. */
  readonly update: HostUpdate;
}

/** Parts of an update, made by all processes. */
export class ShardedUpdate implements HostUpdate {
  readonly #parts: ShardedUpdateParts;

  /** Takes the update over. */
  constructor(parts: ShardedUpdateParts) {
    this.#parts = parts;
  }

  async gradientNorm(): Promise<number> {
    const { comm, update } = this.#parts;
    const own = await update.gradientNorm();
    const square = Float64Array.of(own * own);
    await comm.allReduceSum(square);
    return Math.sqrt(square[0]);
  }

  async update(options: HostUpdateOptions): Promise<void> {
    const { comm, parameters, state, update } = this.#parts;
    await update.update(options);
    const flat = parameters.flat.float32();
    await Promise.all(
      state.buckets.map(({ start, length, counts }) =>
        comm.allGather(flat.subarray(start, start + length), counts)
      ),
    );
  }

  state(): TensorSource {
    return this.#parts.state.source();
  }

  load(source: TensorSource): Promise<void> {
    return this.#parts.state.load(source);
  }

  get parts(): StateParts {
    return this.#parts.state.shared;
  }

  /** Releases the update and its state. */
  [Symbol.dispose](): void {
    this.#parts.update[Symbol.dispose]();
  }
}
