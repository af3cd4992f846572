/**
 * ONNX Runtime by its C API: devices, tensors that stay on them, sessions, and ortune's own CUDA
 * kernels. Not promised: names and shapes here change with any version.
 *
 * ```ts
 * import { Runtime, Tensor } from "@ortune/ortune/unstable-ort";
 * import assert from "node:assert/strict";
 *
 * using runtime = new Runtime({ threads: 1 });
 * using tensor = Tensor.allocate(runtime, "float32", [2]);
 * tensor.write(Float32Array.of(1, 2));
 * assert.deepEqual([...tensor.float32()], [1, 2]);
 * ```
 *
 * @module
 */

export { type Place, Runtime, type RuntimeOptions } from "./runtime/runtime.ts";
export {
  cpu,
  type Device,
  deviceName,
  type DeviceTraits,
  deviceTraits,
  parseDevice,
  sameDevice,
} from "./runtime/device.ts";
export { findLibrary, libraryFile, type Platform } from "./runtime/library.ts";
export type { ToldMemory } from "./runtime/memory_budget.ts";
export type { SpareTensors } from "./runtime/spare_tensors.ts";
export { Binding, Session, type SessionOptions, type TensorMap } from "./runtime/session.ts";
export { Tensor } from "./runtime/tensor.ts";
export type { AllocatedTensor, MemoryStart, TensorMemory } from "./runtime/tensor_memory.ts";
export { TorchGenerator, type TorchGeneratorState, torchRandperm } from "./tensor/torch_random.ts";
export { MersenneTwister, type MersenneTwisterState } from "./tensor/mersenne_twister.ts";
export { PythonRandom } from "./tensor/python_random.ts";
export { assertClose, type AssertCloseOptions, type Closeness } from "./tensor/assert_close.ts";
export { Cuda, type DeviceMemory } from "./runtime/cuda.ts";
export { type ApiCall, type Argument, OrtApi, OutParameter } from "./runtime/api.ts";
export { Gpu, type GpuOptions, kernelsAvailable, openGpu } from "./kernels/gpu.ts";
export { CrossEntropyKernel } from "./kernels/cross_entropy_kernels.ts";
export {
  type AdamWConstants,
  type AdamWFormat,
  AdamWKernels,
  type AdamWPointers,
} from "./kernels/adamw_kernels.ts";
export type { ElementType } from "./kernels/element.ts";
export type { KernelSource } from "./kernels/nvrtc.ts";
export {
  CudaDriver,
  CudaKernel,
  CudaModule,
  type LaunchOptions,
  type ParameterType,
} from "./kernels/driver.ts";
