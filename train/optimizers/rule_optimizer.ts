/**
 * An optimizer of a rule, in ONNX Runtime's own operators. In: a rule, parameters and gradients. Out: an
 * `Optimizer`, on the host's memory or a device's.
 */

import type { Optimizer } from "../optimizer.ts";
import type { AdamWOptions } from "./adamw_graph.ts";
import { DeviceOptimizer } from "./device_optimizer.ts";
import { deviceTraits } from "../../ort/runtime/device.ts";
import { GraphUpdate } from "./graph_update.ts";
import type { OptimizerDescription, OptimizerOptions } from "./optimizer_description.ts";
import { type GraphStateFormat, STATE_TYPES } from "./state_format.ts";
import { keptShapes, type TensorRule } from "./tensor_rule.ts";
import { TensorUpdate } from "./tensor_update.ts";
import type { UpdateRule } from "./update_rule.ts";
import { wholeTensorGraphs, WholeTensorUpdate } from "./whole_tensor_update.ts";

/**
 * Makes the optimizer of a rule over elements.
 *
 * @throws {RangeError} where its format is for kernels alone
 */
export function ruleOptimizer(rule: UpdateRule, options: OptimizerOptions): Optimizer {
  const { apart, format } = graphFormat(options);
  const { evaluated } = rule;
  return new DeviceOptimizer({
    ...options,
    state: Object.values(rule.state),
    evaluated: evaluated && { state: rule.state, evaluated },
    makeUpdate: (made) =>
      apart ? new TensorUpdate(rule, made) : new GraphUpdate(rule, format, made),
  });
}

/**
 * Makes the optimizer of a rule over tensors.
 *
 * @throws {RangeError} where its format is for kernels alone, or rounds at random
 */
function tensorRuleOptimizer(rule: TensorRule, options: OptimizerOptions): Optimizer {
  const { format } = graphFormat(options);
  if (STATE_TYPES[format].rounding === "stochastic") {
    throw new RangeError("Cannot round whole tensors at random: take another format");
  }
  const { specs } = options.parameters.layout;
  return new DeviceOptimizer({
    ...options,
    state: [...new Set(specs.flatMap((spec) => Object.values(rule.partOf(spec).state)))],
    shapes: (spec) => keptShapes(rule, spec),
    makeUpdate: (made) => new WholeTensorUpdate(rule, format, made, options.sizes),
  });
}

/** A rule over tensors as parts of a row of `optimizers.ts`. */
export function describeTensorRule(
  makeRule: (constants?: AdamWOptions) => TensorRule,
): Pick<OptimizerDescription, "shapes" | "wholeTensors" | "several" | "make"> {
  const usual = makeRule();
  return {
    shapes: (parameter) => keptShapes(usual, parameter),
    wholeTensors: (parameters, format) =>
      wholeTensorGraphs(usual, parameters, format as GraphStateFormat),
    several: true,
    make: (options) => tensorRuleOptimizer(makeRule(options.constants), options),
  };
}

/** The format, and whether each tensor is a buffer of its own. */
function graphFormat({ format, runtime }: OptimizerOptions): {
  readonly format: GraphStateFormat;
  readonly apart: boolean;
} {
  if (format === "bfloat16-8bit") {
    throw new RangeError("Cannot keep 8-bit state in operators: only own kernels have its codes");
  }
  const apart = !deviceTraits(runtime.device).viewsAtOffset;
  if (apart && format !== "float32") {
    throw new RangeError(`Cannot keep state as ${format} there: webgpu keeps float32 alone`);
  }
  return { format, apart };
}
