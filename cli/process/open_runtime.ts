/** Opens ONNX Runtime as the flags and the environment say. */

import type { ModelConfig } from "../../model/config.ts";
import { deviceKindsFor } from "../../model/engine/assert_device.ts";
import { adoptReport } from "../../model/engine/check_webgpu.ts";
import { chooseDevice, type FindDevicesOptions } from "../../model/engine/find_devices.ts";
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

/** How a runtime is opened. */
export interface OpenRuntimeOptions extends Pick<FindDevicesOptions, "kinds"> {
  /** The model that is to run: `auto` passes over devices that have no kernels for it. */
  readonly config?: ModelConfig;
  /** Told of the device that `auto` turned out to be. @default nobody is */
  readonly say?: (line: string) => void;
}

/** Opens the library and the device. */
export function openRuntime(
  { device: name, threads }: RuntimeFlags,
  { say = () => {}, kinds, config }: OpenRuntimeOptions = {},
): Runtime {
  const libraryPath = ortLibrary();
  const able = config && deviceKindsFor(config);
  const { device, line, webgpu } = chooseDevice(name, {
    libraryPath,
    threads,
    kinds: able && kinds ? able.filter((kind) => kinds.includes(kind)) : able ?? kinds,
  });
  if (line !== undefined) say(line);
  const runtime = new Runtime({ threads, libraryPath, device });
  if (webgpu) adoptReport(runtime, webgpu);
  return runtime;
}
