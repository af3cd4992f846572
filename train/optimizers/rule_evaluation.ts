/**
 * The parameters that a rule's model is evaluated and saved with, in the place of those that are trained.
 *
 * In: parameters, what is kept of them, and a rule that has `evaluated`. Out: the parameters' memory, or their
 * rounded copy's, holds one or the other. What is trained waits in the memory of the gradients, which hold
 * nothing between two updates, so that it comes back to the bit.
 */

import { CompiledGraph } from "../../model/engine/compiled_graph.ts";
import type { ParameterStore } from "../../model/engine/parameter_store.ts";
import { GraphBuilder } from "../../ort/graph/builder.ts";
import type { Graph } from "../../ort/graph/ir.ts";
import * as ops from "../../ort/graph/ops.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import { type DType, elementCount } from "../../ort/tensor/dtype.ts";
import type { TensorInfo, TensorSource } from "../../ort/tensor/tensor_source.ts";
import type { EvaluationParameters } from "../optimizer.ts";
import type { OptimizerState } from "./optimizer_state.ts";
import { roundParameters } from "./round_parameters.ts";
import type { UpdateRule } from "./update_rule.ts";

/** What parameters to evaluate are made of. */
export interface RuleEvaluationOptions {
  readonly runtime: Runtime;
  /** What is trained. */
  readonly parameters: ParameterStore;
  /** Their gradients, in the same layout. */
  readonly gradients: ParameterStore;
  /** A rounded copy of the parameters that the model runs on, if it is not they themselves. */
  readonly copy?: ParameterStore;
  /** What is kept of them. */
  readonly state: OptimizerState;
}

/** A rule whose model is evaluated with other parameters than are trained. */
export type EvaluatedRule = Pick<UpdateRule, "state"> & Required<Pick<UpdateRule, "evaluated">>;

/**
 * From p and the state of n elements to what is evaluated, of another type `x`, or over p.
 *
 * @param kept the state's type
 */
export function evaluatedGraph(
  { state, evaluated }: EvaluatedRule,
  { parameters, kept, copy }: {
    readonly parameters: DType;
    readonly kept: DType;
    readonly copy?: DType;
  },
): Graph {
  const b = new GraphBuilder("evaluated_parameters");
  const p = b.input("p", parameters, ["n"]);
  const wide = Object.fromEntries(
    Object.keys(state).map((name) => [name, ops.cast(b, b.input(name, kept, ["n"]), "float32")]),
  );
  const x = evaluated(b, { p: ops.cast(b, p, "float32"), state: wide });
  b.output("x", ops.cast(b, x, copy ?? parameters), copy ? {} : { inPlaceOf: p });
  return b.build();
}

/** The parameters that are evaluated, while they are asked for. */
export class RuleEvaluation implements EvaluationParameters, Disposable {
  readonly #rule: EvaluatedRule;
  readonly #options: RuleEvaluationOptions;
  readonly #graph: CompiledGraph;
  #entered = false;

  /** Compiles what makes them. */
  constructor(rule: EvaluatedRule, options: RuleEvaluationOptions) {
    this.#rule = rule;
    this.#options = options;
    const { runtime, parameters, copy, state } = options;
    const [first] = Object.values(rule.state);
    const types = { parameters: parameters.dtype, kept: state.store(first).dtype };
    this.#graph = new CompiledGraph(runtime, evaluatedGraph(rule, { ...types, copy: copy?.dtype }));
  }

  enter(): void {
    if (this.#entered) return;
    const { parameters, copy, state } = this.#options;
    this.adopt();
    for (const { name, shape } of parameters.layout.specs) {
      const n = elementCount(shape);
      using owned = new DisposableStack();
      const flat = (store: ParameterStore) => owned.use(store.tensor(name).view(0, [n]));
      const kept = Object.entries(this.#rule.state).map(([key, saved]) =>
        [key, flat(state.store(saved))] as const
      );
      const p = flat(parameters);
      const x = copy ? flat(copy) : p;
      this.#graph.run({ p, ...Object.fromEntries(kept), x }, { n });
    }
  }

  leave(): void {
    if (!this.#entered) return;
    this.#entered = false;
    const { runtime, parameters, gradients, copy } = this.#options;
    if (copy) return roundParameters(runtime, parameters, copy);
    for (const name of parameters.names()) parameters.tensor(name).copyFrom(gradients.tensor(name));
  }

  adopt(): void {
    this.#entered = true;
    const { parameters, gradients, copy } = this.#options;
    if (copy) return;
    for (const name of parameters.names()) gradients.tensor(name).copyFrom(parameters.tensor(name));
  }

  /** Forgets them, as the trained parameters were loaded. */
  drop(): void {
    this.#entered = false;
  }

  /** What is trained, wherever it is. */
  trained(): TensorSource {
    const { parameters, gradients, copy } = this.#options;
    const now = (): ParameterStore => this.#entered && !copy ? gradients : parameters;
    return {
      names: (): readonly string[] => parameters.names(),
      info: (name: string): TensorInfo => parameters.info(name),
      read: (name: string, into: Uint8Array, offset?: number): Promise<void> =>
        now().read(name, into, offset),
    };
  }

  /** Releases the graph; the parameters are left as they are. */
  [Symbol.dispose](): void {
    this.#graph[Symbol.dispose]();
  }
}
