/**
 * ONNX Runtime's CUDA provider on a stream of ours.
 *
 * In: the C API, session options, an opened device. Out: options under which every node runs on
 * that device and stream, or an error that names the library that is missing.
 */

import { cString, type OrtApi, StringArray } from "./api.ts";
import { type Cuda, CUDA_LIBRARIES } from "./cuda.ts";
import { byteWidth, elementCount } from "../tensor/dtype.ts";
import type { MemoryStart, TensorMemory } from "./tensor_memory.ts";
import { wrapMemory } from "./wrap_memory.ts";

// OrtAllocatorType and OrtMemType of onnxruntime_c_api.h.
const DEVICE_ALLOCATOR = 0;
const MEMORY_DEFAULT = 0;

/** Adds the provider to session options; nodes without a kernel there are an error. */
export function appendCudaProvider(
  api: OrtApi,
  sessionOptions: Deno.PointerObject,
  cuda: Cuda,
): void {
  const what = `use device cuda:${cuda.index}`;
  const settings: Readonly<Record<string, string>> = {
    device_id: `${cuda.index}`,
    has_user_compute_stream: "1",
    user_compute_stream: `${Deno.UnsafePointer.value(cuda.stream)}`,
    arena_extend_strategy: "kSameAsRequested",
    // float32 means float32: TensorFloat-32 keeps 10 bits of each factor.
    use_tf32: "0",
    // No graph here has an operator that needs it (tests/placement), and a handle a session takes memory.
    enable_cudnn: "0",
  };
  const options = api.create("CreateCUDAProviderOptions", what);
  try {
    const keys = new StringArray(Object.keys(settings));
    const values = new StringArray(Object.values(settings));
    const count = Object.keys(settings).length;
    api.call("UpdateCUDAProviderOptions", what, options, keys.bytes, values.bytes, count);
    api.call("SessionOptionsAppendExecutionProvider_CUDA_V2", what, sessionOptions, options);
    for (
      const [key, value] of [
        // A node that ran on the host would copy its tensors there and back at every run.
        ["session.disable_cpu_ep_fallback", "1"],
        // A graph's constants stay for good: in the arena they would split what runs reuse.
        ["session.use_device_allocator_for_initializers", "1"],
      ]
    ) api.call("AddSessionConfigEntry", what, sessionOptions, cString(key), cString(value));
  } catch (cause) {
    throw explained(cause as Error, { what, version: api.version });
  } finally {
    api.raw("ReleaseCUDAProviderOptions", options);
  }
}

/** OrtMemoryInfo of memory on the device. */
export function describeCudaMemory(api: OrtApi, index: number): Deno.PointerObject {
  return api.create(
    "CreateMemoryInfo",
    "describe device memory",
    cString("Cuda"),
    DEVICE_ALLOCATOR,
    index,
    MEMORY_DEFAULT,
  );
}

/** OrtRunOptions that leave the host free: it waits only where it reads. */
export function cudaRunOptions(api: OrtApi): Deno.PointerObject {
  const what = "set run options";
  const options = api.create("CreateRunOptions", what);
  const [key, value] = ["disable_synchronize_execution_providers", "1"].map(cString);
  api.call("AddRunConfigEntry", what, options, key, value);
  return options;
}

/** The provider's libraries by what a loader's message says of them, and where they come from. */
const MISSING: readonly (readonly [pattern: RegExp, way: string])[] = [
  [
    /(libonnxruntime_providers_(?:cuda|shared)\.so): cannot open/,
    "install ONNX Runtime's CUDA provider with `deno install --allow-scripts=npm:onnxruntime-node`, " +
    "or set ORTUNE_ORT_LIB to a libonnxruntime with the provider of its own release beside it",
  ],
  [
    /(libcudnn[\w.]*): cannot open/,
    "install cuDNN 9, such as `pip install nvidia-cudnn-cu13`, with its lib folder in " +
    "LD_LIBRARY_PATH",
  ],
  [
    /(lib(?:cuda|cudart|cublas|cublasLt|curand|cufft)\.so[\w.]*): cannot open/,
    `install ${CUDA_LIBRARIES}`,
  ],
];

function explained(
  cause: Error,
  { what, version }: { readonly what: string; readonly version: string },
): Error {
  const { message } = cause;
  // Without the paths and line numbers of ONNX Runtime's sources.
  const said = message.replace(/\s+/g, " ").trim();
  for (const [pattern, way] of MISSING) {
    const library = pattern.exec(said)?.[1];
    if (library) return new Error(`Cannot ${what}: ${library} is missing; ${way}`, { cause });
  }
  if (/not enabled in this build/.test(said)) {
    return new Error(
      `Cannot ${what}: this build of ONNX Runtime ${version} has no CUDA; set ORTUNE_ORT_LIB to one ` +
        "that has, or unset it to use the one from npm:onnxruntime-node",
      { cause },
    );
  }
  return cause;
}

/** Tensors in memory that ortune allocates itself, described by an OrtMemoryInfo. */
export function cudaMemory(
  api: OrtApi,
  cuda: Cuda,
  memory: Deno.PointerObject,
): TensorMemory {
  const at = ({ address, offset }: MemoryStart): bigint => address + BigInt(offset);
  return {
    viewsAtOffset: true,
    allocate: (dtype, shape, what) => {
      const address = cuda.allocate(elementCount(shape) * byteWidth(dtype));
      return { value: wrapMemory(api, { memory, address, dtype, shape }, what), address };
    },
    free: (address) => cuda.free(address),
    upload: (to, bytes) => cuda.upload(at(to), bytes),
    download: (from, into) => cuda.download(at(from), into),
    copy: (to, from, bytes) => cuda.copy(at(to), at(from), bytes),
    zero: (address, bytes) => cuda.zero(address, bytes),
    throwErrors: () => {},
  };
}
