/**
 * An optimizer in the host's memory: the host sums losses, takes the norm, and decides on each update
 * before it is made.
 *
 * In: an update, and losses. Out: parameters updated in place, and a result that is there at once.
 */

import type { Comm } from "../../comm/comm.ts";
import type { Tensor } from "../../ort/runtime/tensor.ts";
import type { TensorSource } from "../../ort/tensor/tensor_source.ts";
import type { Optimizer, StateParts, UpdateOptions } from "../optimizer.ts";
import type { TrainStepResult } from "../trainer.ts";

/** What an update on the host is made with. */
export interface HostUpdateOptions {
  /** The rate of this update. */
  readonly learningRate: number;
  /** Factor on every gradient. */
  readonly clip: number;
  /** 1-based number of the update, for the bias corrections. */
  readonly step: number;
}

/** An update on the host, and what is kept for it. */
export interface HostUpdate extends Disposable {
  /** L2 norm of all gradients. */
  gradientNorm(): Promise<number>;
  /** Updates every parameter. Not to be interrupted: half an update is no state to save. */
  update(options: HostUpdateOptions): Promise<void>;
  /** What is kept from update to update. */
  state(): TensorSource;
  /** Takes what {@linkcode HostUpdate.state} was written to. */
  load(source: TensorSource): Promise<void>;
  /** As {@linkcode Optimizer.parts}. @default none */
  readonly parts?: StateParts;
}

/** An optimizer whose numbers the host looks at. */
export class HostOptimizer implements Optimizer {
  readonly maxUnread = Infinity;
  readonly #update: HostUpdate;
  readonly #maxGradNorm: number;
  readonly #comm: Comm | undefined;
  #begun: UpdateOptions = { learningRate: 0, tokens: 0, seed: 0 };
  /** Sum of the losses of the update that was begun. */
  #sum = 0;
  /** Updates made. */
  #step = 0;
  readonly #unread: TrainStepResult[] = [];

  /**
   * Takes an update over, to be released with the optimizer.
   *
   * @param maxGradNorm global L2 norm that gradients are clipped to; 0 clips nothing
   * @param comm processes that each were given a share of the losses; this one alone without
   */
  constructor(update: HostUpdate, maxGradNorm: number, comm?: Comm) {
    this.#update = update;
    this.#maxGradNorm = maxGradNorm;
    this.#comm = comm;
  }

  begin(options: UpdateOptions): void {
    this.#begun = options;
    this.#sum = 0;
  }

  addLosses(losses: Tensor): void {
    for (const loss of losses.float32()) this.#sum += loss;
  }

  async update(): Promise<void> {
    const { learningRate, tokens } = this.#begun;
    const sum = Float64Array.of(this.#sum);
    await this.#comm?.allReduceSum(sum);
    const loss = sum[0] / tokens;
    const gradNorm = await this.#update.gradientNorm();
    const skipped = !Number.isFinite(loss) || !Number.isFinite(gradNorm);
    if (!skipped) {
      // torch.nn.utils.clip_grad_norm_: the 1e-6 is part of it.
      const clip = this.#maxGradNorm > 0 ? Math.min(1, this.#maxGradNorm / (gradNorm + 1e-6)) : 1;
      await this.#update.update({ learningRate, clip, step: this.#step + 1 });
      this.#step++;
    }
    this.#unread.push({ loss, gradNorm, skipped });
  }

  results(): readonly TrainStepResult[] {
    return this.#unread.splice(0);
  }

  state(): TensorSource {
    return this.#update.state();
  }

  load(source: TensorSource): Promise<void> {
    return this.#update.load(source);
  }

  resumeAt(step: number): void {
    this.#step = step;
  }

  get parts(): StateParts | undefined {
    return this.#update.parts;
  }

  /** Releases the update. */
  [Symbol.dispose](): void {
    this.#update[Symbol.dispose]();
  }
}
