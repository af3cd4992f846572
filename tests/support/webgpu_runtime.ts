/** The WebGPU device of a test file that runs in a process of its own (`tests/webgpu_test.ts`). */

import { parseDevice } from "../../ort/runtime/device.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";

/** Opened once a process: device webgpu, with the CPU beside it. */
export const runtime: Runtime = new Runtime({ threads: 2, device: parseDevice("webgpu") });
