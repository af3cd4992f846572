/** Opens ONNX Runtime as the flags and the environment say. */

import { parseDevice } from "../../ort/runtime/device.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";

/** Flags that choose where graphs run. */
export interface RuntimeFlags {
  readonly device: string;
  readonly threads?: number;
}

/** The library that ORTUNE_ORT_LIB names, in place of npm's. */
export function ortLibrary(): string | undefined {
  return Deno.env.get("ORTUNE_ORT_LIB") || undefined;
}

/** Opens the library and the device. */
export function openRuntime({ device, threads }: RuntimeFlags): Runtime {
  return new Runtime({ threads, libraryPath: ortLibrary(), device: parseDevice(device) });
}
