import assert from "node:assert/strict";
import { fakePointer, recordedApi, wordsOf } from "../../tests/support/recorded_api.ts";
import type { Cuda } from "./cuda.ts";
import {
  appendCudaProvider,
  cudaMemory,
  cudaRunOptions,
  describeCudaMemory,
} from "./cuda_provider.ts";

const OPTIONS = fakePointer(2);

/** A device that writes down what it is asked for. */
function recordedCuda(index = 3): { cuda: Cuda; lines: string[] } {
  const lines: string[] = [];
  const note = (name: string) => (...args: unknown[]) =>
    void lines.push(`${name} ${args.join(" ")}`);
  const names = ["free", "upload", "download", "copy", "zero"] as const;
  const cuda = {
    index,
    stream: fakePointer(0x5000),
    ...Object.fromEntries(names.map((name) => [name, note(name)])),
    allocate(bytes: number): bigint {
      note("allocate")(bytes);
      return 0x7000n;
    },
  };
  return { cuda: cuda as unknown as Cuda, lines };
}

Deno.test("the provider is added with the device's stream, and no node may run on the host", () => {
  const { api, take } = recordedApi();
  appendCudaProvider(api, OPTIONS, recordedCuda().cuda);
  const what = "use device cuda:3";
  assert.deepEqual(take().map(({ name, what, args }) => [name, what, ...wordsOf(args)]), [
    ["CreateCUDAProviderOptions", what],
    [
      "UpdateCUDAProviderOptions",
      what,
      "@100",
      "[device_id,has_user_compute_stream,user_compute_stream,arena_extend_strategy,use_tf32,enable_cudnn]",
      "[3,1,20480,kSameAsRequested,0,0]",
      "6",
    ],
    ["SessionOptionsAppendExecutionProvider_CUDA_V2", what, "@2", "@100"],
    ["AddSessionConfigEntry", what, "@2", '"session.disable_cpu_ep_fallback"', '"1"'],
    [
      "AddSessionConfigEntry",
      what,
      "@2",
      '"session.use_device_allocator_for_initializers"',
      '"1"',
    ],
    ["ReleaseCUDAProviderOptions", undefined, "@100"],
  ]);
});

Deno.test("a missing library of the provider's is named, with what to install", () => {
  const toolkit =
    "install the CUDA 13 libraries (or 12, whichever the provider was built for) from NVIDIA's toolkit, or `pip " +
    "install nvidia-cuda-runtime nvidia-cublas nvidia-curand` (for CUDA 12 the names end in -cu12), with their lib " +
    "folders in LD_LIBRARY_PATH";
  for (
    const [says, message] of [
      ["something\n new", "something\n new"],
      [
        "x.cc:12\n libonnxruntime_providers_cuda.so: cannot open shared object file",
        "Cannot use device cuda:0: libonnxruntime_providers_cuda.so is missing; install ONNX Runtime's CUDA provider with " +
        "`deno install --allow-scripts=npm:onnxruntime-node`, or set ORTUNE_ORT_LIB to a libonnxruntime with the provider " +
        "of its own release beside it",
      ],
      [
        "libcudnn.so.9:\tcannot open shared object file",
        "Cannot use device cuda:0: libcudnn.so.9 is missing; install cuDNN 9, such as `pip install nvidia-cudnn-cu13`, " +
        "with its lib folder in LD_LIBRARY_PATH",
      ],
      [
        "libcublasLt.so.13: cannot open shared object file",
        `Cannot use device cuda:0: libcublasLt.so.13 is missing; ${toolkit}`,
      ],
      [
        "CUDA execution provider is not enabled in this build. ",
        "Cannot use device cuda:0: this build of ONNX Runtime 1.30.0 has no CUDA; set ORTUNE_ORT_LIB to one that has, or " +
        "unset it to use the one from npm:onnxruntime-node",
      ],
    ]
  ) {
    const cause = new Error(says);
    const { api, take } = recordedApi(({ name }) => {
      if (name === "SessionOptionsAppendExecutionProvider_CUDA_V2") throw cause;
    });
    assert.throws(() => appendCudaProvider(api, OPTIONS, recordedCuda(0).cuda), (error: Error) => {
      assert.equal(error.message, message);
      assert.ok(error === cause || error.cause === cause);
      return true;
    });
    assert.equal(take().at(-1)!.name, "ReleaseCUDAProviderOptions");
  }
});

Deno.test("memory and runs are described as the C API has them", () => {
  const { api, take } = recordedApi();
  assert.equal(Deno.UnsafePointer.value(describeCudaMemory(api, 3)), 0x100n);
  assert.equal(Deno.UnsafePointer.value(cudaRunOptions(api)), 0x101n);
  assert.deepEqual(take().map(({ name, what, args }) => [name, what, ...wordsOf(args)]), [
    ["CreateMemoryInfo", "describe device memory", '"Cuda"', "0", "3", "0"],
    ["CreateRunOptions", "set run options"],
    [
      "AddRunConfigEntry",
      "set run options",
      "@101",
      '"disable_synchronize_execution_providers"',
      '"1"',
    ],
  ]);
});

Deno.test("tensors lie in memory of the device, from a byte on", () => {
  const { api, take } = recordedApi();
  const { cuda, lines } = recordedCuda();
  const tensors = cudaMemory(api, cuda, fakePointer(4));
  assert.equal(tensors.viewsAtOffset, true);
  const { value, address } = tensors.allocate("int64", [2, 3], "make a tensor");
  assert.deepEqual([Deno.UnsafePointer.value(value), address], [0x100n, 0x7000n]);
  assert.deepEqual(take().map(({ name, what, args }) => [name, what, ...wordsOf(args)]), [
    // ONNX's number of int64 is 7.
    ["CreateTensorWithDataAsOrtValue", "make a tensor", "@4", "@7000", "48", "[2,3]", "2", "7"],
  ]);
  const bytes = Uint8Array.of(1, 2);
  const at = (address: bigint, offset: number) => ({ address, offset, byteLength: 100 });
  tensors.upload(at(0x1000n, 5), bytes);
  tensors.download(at(0x1000n, 6), bytes);
  tensors.copy(at(0x1000n, 7), at(0x2000n, 8), 9);
  tensors.zero(0x3000n, 10);
  tensors.free(0x3000n);
  tensors.throwErrors("nothing");
  assert.deepEqual(lines, [
    "allocate 48",
    `upload ${0x1005} 1,2`,
    `download ${0x1006} 1,2`,
    `copy ${0x1007} ${0x2008} 9`,
    `zero ${0x3000} 10`,
    `free ${0x3000}`,
  ]);
});
