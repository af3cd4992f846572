/** The WebGPU device of a test file that runs in a process of its own (`tests/webgpu_test.ts`). */

import { parseDevice } from "../../ort/runtime/device.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";

/** Opened once a process: device webgpu, with the CPU beside it. */
export const runtime: Runtime = new Runtime({ threads: 2, device: parseDevice("webgpu") });

/** Models of the fixtures that it refuses: for layers that carry a state it has no kernels. */
export const REFUSED_MODELS: readonly string[] = ["qwen3_5_text"];
