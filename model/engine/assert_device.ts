/**
 * Which devices have kernels for a model's blocks.
 *
 * In: a config. Out: kinds of devices, or an error that says why one is not among them.
 */

import { type Device, deviceTraits } from "../../ort/runtime/device.ts";
import type { ModelConfig } from "../config.ts";

const KINDS: readonly Device["kind"][] = ["cuda", "webgpu", "cpu"];

/** The kinds of devices that can run a model, in the order in which they are tried. */
export function deviceKindsFor(
  { layerKinds }: Pick<ModelConfig, "layerKinds">,
): readonly Device["kind"][] {
  return layerKinds.some(({ delta }) => delta)
    ? KINDS.filter((kind) => deviceTraits({ kind }).everyOperation)
    : KINDS;
}

/** @throws {RangeError} where the device has no kernel for a layer of the model */
export function assertDevice(
  config: Pick<ModelConfig, "layerKinds" | "modelType">,
  { kind }: Pick<Device, "kind">,
): void {
  if (deviceKindsFor(config).includes(kind)) return;
  throw new RangeError(
    `Cannot run ${config.modelType} on ${kind}: ONNX Runtime has no kernel there for Scan, by which ` +
      "layers of linear_attention go from token to token; pass --device cpu",
  );
}
