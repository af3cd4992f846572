/**
 * An optimizer's arithmetic in ONNX operators, apart from how numbers are stored, clipped and skipped.
 *
 * In: a parameter, its gradient and what is kept of it, elementwise. Out: the new ones. `rule_optimizer.ts`
 * makes an optimizer of a rule, for the host's memory and for a device, in every format of graphs.
 */

import type { GraphBuilder } from "../../ort/graph/builder.ts";
import type { Value } from "../../ort/graph/ir.ts";

/** A step's own scalars, float32 [] each. */
export interface StepValues {
  /** The learning rate, times the factor of the parameters that the scalars are for. */
  readonly rate: Value;
  /** The learning rate without that factor: what is kept from step to step may depend on this alone. */
  readonly common: Value;
  /** 1 − learning rate · weight decay. */
  readonly decay: Value;
  /** 1 of an update that is made, 0 of one that is skipped. */
  readonly made: Value;
  /** What is kept from step to step, before this one. */
  readonly running: Readonly<Record<string, Value>>;
  /** One of two scalars: of an update that is made, and of one that is skipped. */
  guarded(made: Value | number, skipped: Value | number): Value;
}

/** What a rule reads of a chunk of parameters, all of one shape, in float32. */
export interface UpdateValues {
  /** The parameters. */
  readonly p: Value;
  /** Their gradients: clipped, and 0 where the step is skipped. */
  readonly g: Value;
  /** What is kept of them, under the names of {@linkcode UpdateRule.state}. */
  readonly state: Readonly<Record<string, Value>>;
  /** A scalar that {@linkcode UpdateRule.scalars} made. */
  scalar(name: string): Value;
  /** Whether weight decay applies to them: not to norms and biases. */
  readonly decays: boolean;
}

/** The new parameters, and what is kept of them. */
export interface UpdatedValues {
  /** The parameters. */
  readonly p: Value;
  /** What is kept of them. */
  readonly state: Readonly<Record<string, Value>>;
}

/**
 * How parameters change.
 *
 * All is written in place, so the old value of a parameter or of its state may be read only on the way
 * to its new one (`ort/graph/alias.ts` refuses anything else).
 */
export interface UpdateRule {
  /** What is kept of each parameter: a name in the graph, and in checkpoints `<parameter>.<name>`. */
  readonly state: Readonly<Record<string, string>>;
  /** Weight decay; of 0 all parameters are updated as those that do not decay. */
  readonly weightDecay: number;
  /**
   * Scalars that are kept from step to step, such as bias corrections: what each is after so many
   * updates, to the bit, since a resumed run starts from that.
   * @default none
   */
  readonly running?: Readonly<Record<string, (updates: number) => number>>;
  /**
   * Scalars that are kept from step to step and that the number of updates does not tell, such as a sum over
   * learning rates: a name in the graph, and in checkpoints. They are 0 before the first update.
   * @default none
   */
  readonly remembered?: Readonly<Record<string, string>>;
  /**
   * The scalars that the update reads, by names other than `finite` and `clip`: those of a skipped step must
   * let it change nothing. What stands under a name of {@linkcode UpdateRule.running} or
   * {@linkcode UpdateRule.remembered} is kept for the next step.
   */
  scalars(b: GraphBuilder, step: StepValues): Readonly<Record<string, Value>>;
  /** The update of a chunk of parameters. */
  update(b: GraphBuilder, values: UpdateValues): UpdatedValues;
  /**
   * The parameters that the model is evaluated and saved with.
   * @default those that are trained
   */
  evaluated?(b: GraphBuilder, values: Pick<UpdateValues, "p" | "state">): Value;
}
