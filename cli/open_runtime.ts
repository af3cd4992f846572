/** Opens ONNX Runtime as the flags and the environment say. */

import { assertSupported, parseDevice } from "../ort/device.ts";
import { Runtime } from "../ort/runtime.ts";

/** Flags that choose where graphs run. */
export interface RuntimeFlags {
  readonly device: string;
  readonly threads?: number;
}

/** Checks the device, then opens the library that ORTUNE_ORT_LIB or npm names. */
export function openRuntime({ device, threads }: RuntimeFlags): Runtime {
  assertSupported(parseDevice(device));
  return new Runtime({ threads, libraryPath: Deno.env.get("ORTUNE_ORT_LIB") || undefined });
}
