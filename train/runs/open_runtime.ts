/** Opens ONNX Runtime as the flags and the environment say. */

import { parseDevice } from "../../ort/runtime/device.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";

/** Flags that choose where graphs run. */
export interface RuntimeFlags {
  readonly device: string;
  readonly threads?: number;
}

/** Opens the library that ORTUNE_ORT_LIB or npm names, and the device. */
export function openRuntime({ device, threads }: RuntimeFlags): Runtime {
  const libraryPath = Deno.env.get("ORTUNE_ORT_LIB") || undefined;
  return new Runtime({ threads, libraryPath, device: parseDevice(device) });
}
