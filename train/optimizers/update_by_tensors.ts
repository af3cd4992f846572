/**
 * What updates on a device that go tensor by tensor have in common: a step's numbers, the gradients' norm and
 * the decision.
 *
 * In: a rule, and what binds its graphs to tensors. Out: parameters and state in place, binding by binding.
 */

import type { ParameterStore } from "../../model/engine/parameter_store.ts";
import type { Binding } from "../../ort/runtime/session.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import type { DeviceUpdate, UpdateNumbers, WholeUpdateOptions } from "./device_update.ts";
import type { GradientNorms } from "./gradient_norms.ts";
import { type ControlRule, UpdateControl } from "./update_control.ts";

/** What differs from one to another. */
export interface UpdateParts {
  /** Makes the sums of squares. */
  readonly norms: (runtime: Runtime, gradients: ParameterStore) => GradientNorms;
  /** Compiles the rule's graphs and binds them; what it makes is released with the stack. */
  readonly bind: (control: UpdateControl, owned: DisposableStack) => readonly Binding[];
}

/** The compiled graphs of an update, bound to what they work on. */
export class UpdateByTensors implements DeviceUpdate {
  readonly scale: Tensor;
  readonly #rule: ControlRule;
  readonly #rate: Tensor;
  readonly #decay: Tensor;
  readonly #norms: GradientNorms;
  readonly #control: UpdateControl;
  readonly #updates: readonly Binding[];
  readonly #owned: DisposableStack;

  /** Compiles the update. */
  constructor(rule: ControlRule, options: WholeUpdateOptions, { norms, bind }: UpdateParts) {
    const { runtime, gradients, loss, maxGradNorm, rates } = options;
    using owned = new DisposableStack();
    const scalar = (): Tensor => owned.use(Tensor.allocate(runtime, "float32", []));
    this.#rule = rule;
    this.scale = scalar();
    this.#rate = scalar();
    this.#decay = scalar();
    this.#norms = owned.use(norms(runtime, gradients));
    this.#control = owned.use(
      new UpdateControl(rule, {
        ...{ runtime, maxGradNorm, loss, rates },
        ...{ sums: this.#norms.sums, rate: this.#rate, decay: this.#decay },
      }),
    );
    this.#updates = bind(this.#control, owned);
    this.#owned = owned.move();
  }

  get remembered(): ReadonlyMap<string, Tensor> {
    return this.#control.remembered;
  }

  send({ learningRate, scale }: UpdateNumbers): void {
    this.#rate.write(Float32Array.of(learningRate));
    this.#decay.write(Float32Array.of(1 - learningRate * this.#rule.weightDecay));
    this.scale.write(Float32Array.of(scale));
  }

  run(result: Tensor): Promise<void> {
    return this.#control.run({ norms: this.#norms.runs, updates: this.#updates }, result);
  }

  resumeAt(step: number): void {
    this.#control.resumeAt(step);
  }

  /** Releases graphs and scalars. */
  [Symbol.dispose](): void {
    this.#owned.dispose();
  }
}
