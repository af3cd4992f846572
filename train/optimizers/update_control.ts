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
import type { RateFactors } from "./layout_chunks.ts";
import { isMade, scalarName, updateControlGraph } from "./update_control_graph.ts";
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
  /** Factors on the rate. @default 1 for all */
  readonly rates?: RateFactors;
}

/** What of a rule the decision goes by. */
export type ControlRule = Pick<UpdateRule, "running" | "remembered" | "weightDecay" | "scalars">;

/** The compiled decision, bound to what it reads. */
export class UpdateControl implements Disposable {
  /** What the rule remembers, float32 [] each, by names in checkpoints. */
  readonly remembered: ReadonlyMap<string, Tensor>;
  readonly #rule: ControlRule;
  readonly #factors: readonly number[];
  /** All scalars by their names, written by each update. */
  readonly #scalars: Readonly<Record<string, Tensor>>;
  readonly #runtime: Runtime;
  readonly #running: ReadonlyMap<string, Tensor>;
  readonly #graph: CompiledGraph;
  readonly #binding: Binding;
  readonly #yieldTimer = new YieldTimer();
  /** Updates that were made, where the host decides. */
  #made = 0;
  readonly #owned: DisposableStack;

  /** Compiles it, as before the first update. */
  constructor(rule: ControlRule, options: UpdateControlOptions) {
    const { runtime, maxGradNorm, sums, loss, rate, decay, rates } = options;
    this.#factors = [...new Set([1, ...rates?.values() ?? []])];
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
    const remembered = Object.entries(rule.remembered ?? {}).map(([name, saved]) => {
      const tensor = owned.use(Tensor.allocate(runtime, "float32", []));
      tensor.zero();
      return { name, saved, tensor };
    });
    this.remembered = new Map(remembered.map(({ saved, tensor }) => [saved, tensor]));
    const graph = updateControlGraph(rule, maxGradNorm, this.#factors);
    this.#scalars = Object.fromEntries(
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
      ...Object.fromEntries(remembered.map(({ name, tensor }) => [name, tensor])),
      ...this.#scalars,
    }));
    this.#owned = owned.move();
  }

  /** The rule's scalars by their names, for parameters of a factor on the learning rate. */
  scalars(factor = 1): Readonly<Record<string, Tensor>> {
    const place = this.#factors.indexOf(factor);
    const own = Object.keys(this.#scalars).filter((name) => !name.includes("@"));
    return Object.fromEntries(
      own.map((name) => [name, this.#scalars[scalarName(name, place)] ?? this.#scalars[name]]),
    );
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
    const hostDecides = !this.#runtime.tellsNonFinite;
    const before = hostDecides
      ? [...this.remembered.values()].map((tensor) => ({
        tensor,
        value: tensor.hostFloat32().slice(),
      }))
      : [];
    this.#binding.run();
    if (hostDecides) {
      const [loss, gradNorm] = result.hostFloat32();
      if (!isMade(loss, gradNorm)) {
        for (const { tensor, value } of before) tensor.write(value);
        return this.resumeAt(this.#made);
      }
      this.#made++;
    }
    for (const update of updates) {
      await this.#yieldTimer.turn();
      update.run();
    }
  }

  /** Sets what the rule keeps from step to step to what it is after `step` updates, but for what it remembers. */
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
