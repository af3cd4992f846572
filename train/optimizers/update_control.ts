/**
 * What decides an update on a device, between the squares of its gradients and the parameters.
 *
 * In: a rule, and where sums, loss and rates lie. Out: the rule's scalars, and the update in order: norms,
 * decision, parameters. The decision is the graph's; on a device that cannot tell NaN it is the host's, which
 * then waits for loss and norm.
 */

import { CompiledGraph } from "../../model/engine/compiled_graph.ts";
import { YieldTimer } from "../../model/engine/yield_timer.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import type { Binding } from "../../ort/runtime/session.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import { isMade, updateControlGraph } from "./update_control_graph.ts";
import type { UpdateRule } from "./update_rule.ts";

/** What the decision reads. */
export interface UpdateControlOptions {
  readonly runtime: Runtime;
  readonly maxGradNorm: number;
  /** Sums of squared gradients, float32 [blocks, 1]. */
  readonly sums: Tensor;
  /** float32 [] each. */
  readonly loss: Tensor;
  readonly rate: Tensor;
  readonly decay: Tensor;
}

/** The compiled decision, bound to what it reads. */
export class UpdateControl implements Disposable {
  /** The rule's scalars by their names, written by each update. */
  readonly scalars: Readonly<Record<string, Tensor>>;
  readonly #rule: UpdateRule;
  readonly #runtime: Runtime;
  readonly #running: ReadonlyMap<string, Tensor>;
  readonly #graph: CompiledGraph;
  readonly #binding: Binding;
  readonly #yieldTimer = new YieldTimer();
  /** Updates that were made, where the host decides. */
  #made = 0;
  readonly #owned: DisposableStack;

  /** Compiles it, as before the first update. */
  constructor(rule: UpdateRule, options: UpdateControlOptions) {
    const { runtime, maxGradNorm, sums, loss, rate, decay } = options;
    using owned = new DisposableStack();
    this.#rule = rule;
    this.#runtime = runtime;
    this.#running = new Map(
      Object.keys(rule.running ?? {}).map((name) => [
        name,
        owned.use(Tensor.allocate(runtime, "float32", [])),
      ]),
    );
    this.resumeAt(0);
    const graph = updateControlGraph(rule, maxGradNorm);
    this.scalars = Object.fromEntries(
      graph.outputs.filter(({ name, shape }) => shape.length === 0 && !graph.aliases.has(name))
        .map(({ name, dtype }) => [name, owned.use(Tensor.allocate(runtime, dtype, []))]),
    );
    this.#graph = owned.use(new CompiledGraph(runtime, graph));
    this.#binding = owned.use(this.#graph.bind({
      "step.sums": sums,
      "step.loss": loss,
      "step.rate": rate,
      "step.decay": decay,
      ...Object.fromEntries(this.#running),
      ...this.scalars,
    }));
    this.#owned = owned.move();
  }

  /** Queues an update: what fills the sums, the decision, and what changes parameters by it. */
  async run(
    { norms, summed, updates }: {
      readonly norms: readonly Binding[];
      /** Completes the sums, where processes have a part of them each. @default they are complete */
      readonly summed?: () => Promise<void>;
      readonly updates: readonly Pick<Binding, "run">[];
    },
    result: Tensor,
  ): Promise<void> {
    for (const norm of norms) {
      await this.#yieldTimer.turn();
      norm.run();
    }
    await summed?.();
    this.#graph.bindMore(this.#binding, { "step.result": result });
    this.#binding.run();
    if (!this.#runtime.tellsNonFinite) {
      const [loss, gradNorm] = result.hostFloat32();
      if (!isMade(loss, gradNorm)) return this.resumeAt(this.#made);
      this.#made++;
    }
    for (const update of updates) {
      await this.#yieldTimer.turn();
      update.run();
    }
  }

  /** Sets what the rule keeps from step to step to what it is after `step` updates. */
  resumeAt(step: number): void {
    this.#made = step;
    for (const [name, tensor] of this.#running) {
      tensor.write(Float32Array.of(this.#rule.running![name](step)));
    }
  }

  /** Releases the graph and the scalars. */
  [Symbol.dispose](): void {
    this.#owned[Symbol.dispose]();
  }
}
