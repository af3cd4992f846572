/** Opens the WebGPU device, and ends well where there is one. */

import { runtime } from "../support/webgpu_runtime.ts";

runtime[Symbol.dispose]();
