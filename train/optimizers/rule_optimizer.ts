/**
 * An optimizer of a rule, in ONNX Runtime's own operators. In: a rule, parameters and gradients. Out: an
 * `Optimizer`, on the host's memory or a device's.
 */

import type { Optimizer } from "../optimizer.ts";
import { DeviceOptimizer } from "./device_optimizer.ts";
import { deviceTraits } from "../../ort/runtime/device.ts";
import { GraphUpdate } from "./graph_update.ts";
import type { OptimizerOptions } from "./optimizer_description.ts";
import { TensorUpdate } from "./tensor_update.ts";
import type { UpdateRule } from "./update_rule.ts";

/**
 * Makes the optimizer.
 *
 * @throws {RangeError} where its format is for kernels alone
 */
export function ruleOptimizer(rule: UpdateRule, options: OptimizerOptions): Optimizer {
  const { format } = options;
  if (format === "bfloat16-8bit") {
    throw new RangeError("Cannot keep 8-bit state in operators: only own kernels have its codes");
  }
  const apart = !deviceTraits(options.runtime.device).viewsAtOffset;
  if (apart && format !== "float32") {
    throw new RangeError(`Cannot keep state as ${format} there: webgpu keeps float32 alone`);
  }
  return new DeviceOptimizer({
    ...options,
    state: Object.values(rule.state),
    makeUpdate: (made) =>
      apart ? new TensorUpdate(rule, made) : new GraphUpdate(rule, format, made),
  });
}
