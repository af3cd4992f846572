/** ONNX Runtime's table of functions, and a runtime over a library of the test's: what it asks for, in which order. */

import assert from "node:assert/strict";
import { fakePointer, wordsOf } from "../../tests/support/recorded_api.ts";
import { type ApiCall, type Argument, OrtApi } from "./api.ts";
import { deviceLog } from "./device_log.ts";
import { cpu, type Device, parseDevice } from "./device.ts";
import { Runtime } from "./runtime.ts";

/** Functions by their places in `OrtApi` of onnxruntime_c_api.h, which only grows at its end. */
const TABLE: readonly (readonly [number, ApiCall, string, "pointer" | "void"])[] = [
  [2, "GetErrorMessage", "pointer", "pointer"],
  [7, "CreateSession", "pointer buffer pointer buffer", "pointer"],
  [8, "CreateSessionFromArray", "pointer buffer usize pointer buffer", "pointer"],
  [10, "CreateSessionOptions", "buffer", "pointer"],
  [12, "CloneSessionOptions", "pointer buffer", "pointer"],
  [17, "DisableMemPattern", "pointer", "pointer"],
  [23, "SetSessionGraphOptimizationLevel", "pointer i32", "pointer"],
  [30, "SessionGetInputCount", "pointer buffer", "pointer"],
  [31, "SessionGetOutputCount", "pointer buffer", "pointer"],
  [36, "SessionGetInputName", "pointer usize pointer buffer", "pointer"],
  [37, "SessionGetOutputName", "pointer usize pointer buffer", "pointer"],
  [39, "CreateRunOptions", "buffer", "pointer"],
  [48, "CreateTensorAsOrtValue", "pointer buffer usize i32 buffer", "pointer"],
  [
    49,
    "CreateTensorWithDataAsOrtValue",
    "pointer pointer usize buffer usize i32 buffer",
    "pointer",
  ],
  [51, "GetTensorMutableData", "pointer buffer", "pointer"],
  [68, "CreateMemoryInfo", "buffer i32 i32 i32 buffer", "pointer"],
  [69, "CreateCpuMemoryInfo", "i32 i32 buffer", "pointer"],
  [76, "AllocatorFree", "pointer pointer", "pointer"],
  [78, "GetAllocatorWithDefaultOptions", "buffer", "pointer"],
  [92, "ReleaseEnv", "pointer", "void"],
  [93, "ReleaseStatus", "pointer", "void"],
  [94, "ReleaseMemoryInfo", "pointer", "void"],
  [95, "ReleaseSession", "pointer", "void"],
  [96, "ReleaseValue", "pointer", "void"],
  [97, "ReleaseRunOptions", "pointer", "void"],
  [100, "ReleaseSessionOptions", "pointer", "void"],
  [119, "CreateEnvWithGlobalThreadPools", "i32 buffer pointer buffer", "pointer"],
  [120, "DisablePerSessionThreads", "pointer", "pointer"],
  [121, "CreateThreadingOptions", "buffer", "pointer"],
  [122, "ReleaseThreadingOptions", "pointer", "void"],
  [130, "AddSessionConfigEntry", "pointer buffer buffer", "pointer"],
  [131, "CreateAllocator", "pointer pointer buffer", "pointer"],
  [132, "ReleaseAllocator", "pointer", "void"],
  [133, "RunWithBinding", "pointer pointer pointer", "pointer"],
  [134, "CreateIoBinding", "pointer buffer", "pointer"],
  [135, "ReleaseIoBinding", "pointer", "void"],
  [136, "BindInput", "pointer buffer pointer", "pointer"],
  [137, "BindOutput", "pointer buffer pointer", "pointer"],
  [144, "CreateAndRegisterAllocator", "pointer pointer pointer", "pointer"],
  [147, "SetGlobalIntraOpNumThreads", "pointer i32", "pointer"],
  [149, "SetGlobalSpinControl", "pointer i32", "pointer"],
  [150, "AddInitializer", "pointer buffer pointer", "pointer"],
  [
    151,
    "CreateEnvWithCustomLoggerAndGlobalThreadPools",
    "function pointer i32 buffer pointer buffer",
    "pointer",
  ],
  [155, "SetGlobalDenormalAsZero", "pointer", "pointer"],
  [157, "ReleaseArenaCfg", "pointer", "void"],
  [164, "CreateArenaCfgV2", "buffer buffer usize buffer", "pointer"],
  [165, "AddRunConfigEntry", "pointer buffer buffer", "pointer"],
  [204, "SessionOptionsAppendExecutionProvider_CUDA_V2", "pointer pointer", "pointer"],
  [205, "CreateCUDAProviderOptions", "buffer", "pointer"],
  [206, "UpdateCUDAProviderOptions", "pointer buffer buffer usize", "pointer"],
  [208, "ReleaseCUDAProviderOptions", "pointer", "void"],
  [216, "SessionOptionsAppendExecutionProvider", "pointer buffer buffer buffer usize", "pointer"],
  [
    259,
    "CreateAndRegisterAllocatorV2",
    "pointer buffer pointer pointer buffer buffer usize",
    "pointer",
  ],
  [273, "SetDeterministicCompute", "pointer bool", "pointer"],
  [386, "CopyTensors", "pointer buffer buffer pointer usize", "pointer"],
];

/** Where functions of the test's begin; the place in the table is added. */
const FUNCTIONS = 0x10000n;

/** A table that only has addresses. */
const addresses = BigUint64Array.from({ length: 400 }, (_, slot) => FUNCTIONS + BigInt(slot));
const table = Deno.UnsafePointer.of(addresses)!;

type Call = (slot: number, args: readonly Argument[], signature: Deno.ForeignFunction) => unknown;

/** Puts functions of the test's in the place of native ones. */
function fakeFunctions(call: Call): Disposable {
  const { UnsafeFnPointer } = Deno;
  class FnPointer {
    readonly #slot: number;
    readonly #signature: Deno.ForeignFunction;
    constructor(pointer: Deno.PointerObject, signature: Deno.ForeignFunction) {
      this.#slot = Number(Deno.UnsafePointer.value(pointer) - FUNCTIONS);
      this.#signature = signature;
    }
    call(...args: Argument[]): unknown {
      return call(this.#slot, args, this.#signature);
    }
  }
  Object.assign(Deno, { UnsafeFnPointer: FnPointer });
  return { [Symbol.dispose]: () => void Object.assign(Deno, { UnsafeFnPointer }) };
}

Deno.test("functions are called by their places in the table, with their parameters", () => {
  const calls: unknown[] = [];
  using _functions = fakeFunctions((slot, args, { parameters, result }) => {
    calls.push([slot, parameters.join(" "), result, args]);
    return null;
  });
  const api = new OrtApi(table, "1.30.0");
  assert.equal(api.version, "1.30.0");
  for (const [slot, name, parameters, result] of TABLE) {
    for (const args of [[1], [2, 3]]) {
      api.raw(name, ...args);
      assert.deepEqual(calls.splice(0), [[slot, parameters, result, args]], name);
    }
  }
});

Deno.test("a status is an error in ONNX Runtime's words, and released", () => {
  const STATUS = fakePointer(0x777);
  const text = new TextEncoder().encode("it is broken\0");
  const calls: string[] = [];
  using _functions = fakeFunctions((slot, args) => {
    calls.push(`${slot} ${wordsOf(args).join(" ")}`);
    return slot === 2 ? Deno.UnsafePointer.of(text) : slot === 17 ? STATUS : null;
  });
  const api = new OrtApi(table, "1.30.0");
  assert.throws(() => api.call("DisableMemPattern", "set options", fakePointer(5)), {
    message: "Cannot set options: ONNX Runtime's DisableMemPattern says: it is broken",
  });
  assert.deepEqual(calls.splice(0), ["17 @5", "2 @777", "93 @777"]);
  api.call("ReleaseEnv", "release");
  assert.deepEqual(calls.splice(0), ["92 "]);
  // Once stopped, nothing is called and nothing released.
  api.stopped = () => "the device has failed";
  assert.throws(() => api.call("DisableMemPattern", "set options"), {
    message: "Cannot set options: the device has failed",
  });
  assert.equal(api.raw("ReleaseEnv", fakePointer(5)), null);
  assert.deepEqual(calls, []);
});

let libraries = 0;
/** Made once, for as long as the process lives. */
const log = deviceLog();

/** A runtime over a library of the test's, and its calls in words. */
function open(
  device: Device,
  { threads = 3, fails, settings }: {
    readonly threads?: number;
    readonly fails?: ApiCall;
    readonly settings?: Readonly<Record<string, string>>;
  } = {},
) {
  const text = (words: string) => new TextEncoder().encode(`${words}\0`);
  const [version, refusal] = [text("1.30.0"), text("already there")];
  const base = BigUint64Array.of(FUNCTIONS + 1000n, FUNCTIONS + 1001n);
  const calls: string[] = [];
  let made = 0x100n;
  const functions = fakeFunctions((slot, args, { result }) => {
    if (slot === 1000) {
      assert.deepEqual(args, [22]);
      return table;
    }
    if (slot === 1001) return Deno.UnsafePointer.of(version);
    const [, name] = TABLE.find(([each]) => each === slot)!;
    if (name === "GetErrorMessage") return Deno.UnsafePointer.of(refusal);
    if (name === "ReleaseStatus") return;
    // What tests/support/idle_threads.ts adds in processes of tests.
    if (name === "SetGlobalSpinControl") return null;
    const out = args.at(-1);
    const makes = /^(?:Create(?!AndRegister)|Get)/.test(name);
    calls.push([name, ...wordsOf(makes ? args.slice(0, -1) : args)].join(" "));
    if (name === fails) return fakePointer(0x666);
    // The graph that tells whether the log hears errors.
    if (name === "CreateSessionFromArray" && wordsOf(args)[1].includes("83,105,103,110")) {
      log.take();
      return null;
    }
    if (makes) (out as BigUint64Array)[0] = made++;
    return result === "void" ? undefined : null;
  });
  const { dlopen } = Deno;
  const opened: string[] = [];
  const cuda = new Proxy({}, {
    get: (_, name: string) => (...args: unknown[]) => {
      if (name === "cudaGetDeviceCount") (args[0] as Int32Array)[0] = 2;
      if (name === "cudaStreamCreateWithFlags") (args[0] as BigUint64Array)[0] = 0x5000n;
      if (name === "cudaStreamDestroy") calls.push("cudaStreamDestroy");
      return name === "vkCreateInstance" ? -1 : name === "vkGetInstanceProcAddr" ? null : 0;
    },
  });
  Object.assign(Deno, {
    dlopen(name: string) {
      opened.push(name);
      const symbols = name.startsWith("fake")
        ? { OrtGetApiBase: () => Deno.UnsafePointer.of(base) }
        : cuda;
      return { symbols, close() {} };
    },
  });
  try {
    const libraryPath = `fake ${libraries++}`;
    const runtime = new Runtime({ threads, libraryPath, device, webGpuSettings: settings });
    return { runtime, opened, take: () => calls.splice(0), functions };
  } catch (error) {
    functions[Symbol.dispose]();
    return { error: error as Error, opened, take: () => calls.splice(0), functions };
  } finally {
    Object.assign(Deno, { dlopen });
  }
}

const options = (at: string): string[] => [
  "CreateSessionOptions",
  `DisablePerSessionThreads @${at}`,
  `DisableMemPattern @${at}`,
  `SetSessionGraphOptimizationLevel @${at} 1`,
  `AddSessionConfigEntry @${at} "session.use_env_allocators" "1"`,
  `AddSessionConfigEntry @${at} "session.set_denormal_as_zero" "1"`,
];
const OPENED = [
  "CreateThreadingOptions",
  "SetGlobalIntraOpNumThreads @100 3",
  "SetGlobalDenormalAsZero @100",
  // ORT_LOGGING_LEVEL_FATAL.
  'CreateEnvWithGlobalThreadPools 4 "ortune" @100',
  "ReleaseThreadingOptions @100",
  "GetAllocatorWithDefaultOptions",
  // OrtArenaAllocator and OrtMemTypeDefault.
  "CreateCpuMemoryInfo 1 0",
  // kSameAsRequested.
  "CreateArenaCfgV2 [arena_extend_strategy] [1] 1",
  "CreateAndRegisterAllocator @101 @103 @104",
  "ReleaseArenaCfg @104",
  ...options("105"),
];

Deno.test("a runtime on the CPU shares threads, an arena and options, and releases what it made", () => {
  const { runtime, take, functions } = open(cpu);
  using _functions = functions;
  assert.ok(runtime);
  assert.deepEqual(take(), OPENED);
  assert.deepEqual([runtime.threads, runtime.device, runtime.cuda], [3, cpu, undefined]);
  assert.deepEqual([runtime.writesInPlace, runtime.tellsNonFinite], [true, true]);
  assert.equal(runtime.toldMemory(), undefined);
  const place = runtime.place(cpu);
  const address = (pointer: Deno.PointerValue) => Deno.UnsafePointer.value(pointer);
  assert.deepEqual(
    [address(runtime.env), address(runtime.cpuAllocator), address(place.memory)],
    [0x101n, 0x102n, 0x103n],
  );
  assert.deepEqual([address(place.sessionOptions), place.runOptions], [0x105n, null]);
  for (const name of ["cuda", "webgpu"]) {
    assert.throws(() => runtime.place(parseDevice(name)), {
      name: "RangeError",
      message:
        `Cannot use device ${
          name === "cuda" ? "cuda:0" : name
        }: this runtime was opened for cpu; make one with ` +
        "new Runtime({ device })",
    });
  }
  runtime[Symbol.dispose]();
  runtime[Symbol.dispose]();
  assert.deepEqual(take(), [
    "ReleaseSessionOptions @105",
    "ReleaseMemoryInfo @103",
    "ReleaseEnv @101",
  ]);
  assert.throws(() => runtime.place(cpu), {
    name: "ReferenceError",
    message: "Cannot use the runtime: it was disposed of",
  });
});

Deno.test("a runtime takes the arena that is there already", () => {
  const { runtime, take, functions } = open(cpu, { fails: "CreateAndRegisterAllocator" });
  using _functions = functions;
  assert.ok(runtime);
  assert.deepEqual(take(), OPENED);
});

Deno.test("a runtime on a CUDA device has its stream, an arena and runs that do not wait", () => {
  const { runtime, opened, take, functions } = open(parseDevice("cuda:1"));
  using _functions = functions;
  assert.ok(runtime);
  assert.ok(opened.includes("libcuda.so.1"));
  const added = [
    ...options("106"),
    "CreateCUDAProviderOptions",
    "UpdateCUDAProviderOptions @107 [device_id,has_user_compute_stream,user_compute_stream,arena_extend_strategy,use_tf32,enable_cudnn] " +
    "[1,1,20480,kSameAsRequested,0,0] 6",
    "SessionOptionsAppendExecutionProvider_CUDA_V2 @106 @107",
    'AddSessionConfigEntry @106 "session.disable_cpu_ep_fallback" "1"',
    'AddSessionConfigEntry @106 "session.use_device_allocator_for_initializers" "1"',
    "ReleaseCUDAProviderOptions @107",
    'CreateMemoryInfo "Cuda" 0 1 0',
    "CreateArenaCfgV2 [arena_extend_strategy] [1] 1",
    'CreateAndRegisterAllocatorV2 @101 "CUDAExecutionProvider" @108 @109 [0] [0] 0',
    "ReleaseArenaCfg @109",
    "CreateRunOptions",
    'AddRunConfigEntry @10a "disable_synchronize_execution_providers" "1"',
  ];
  assert.deepEqual(take(), [...OPENED, ...added]);
  assert.equal(runtime.cuda!.index, 1);
  const { tensors, runOptions } = runtime.place(parseDevice("cuda:1"));
  assert.equal(tensors!.viewsAtOffset, true);
  assert.equal(Deno.UnsafePointer.value(runOptions), 0x10an);
  assert.equal(runtime.place(cpu).tensors, undefined);
  assert.throws(() => runtime.place(parseDevice("cuda:0")), /opened for cuda:1; make one/);
  runtime[Symbol.dispose]();
  assert.deepEqual(take(), [
    "ReleaseSessionOptions @105",
    "ReleaseMemoryInfo @103",
    "ReleaseSessionOptions @106",
    "ReleaseMemoryInfo @108",
    "ReleaseRunOptions @10a",
    "ReleaseEnv @101",
    "cudaStreamDestroy",
  ]);
});

Deno.test("a provider that refuses leaves nothing behind", () => {
  const fails = "SessionOptionsAppendExecutionProvider_CUDA_V2";
  const { error, take } = open(parseDevice("cuda:0"), { fails });
  assert.match(error!.message, /says: already there$/);
  assert.deepEqual(take().slice(OPENED.length + options("").length + 3), [
    "ReleaseCUDAProviderOptions @107",
    "ReleaseSessionOptions @106",
    "ReleaseSessionOptions @105",
    "ReleaseMemoryInfo @103",
    "ReleaseEnv @101",
    "cudaStreamDestroy",
  ]);
  const gpu = open(parseDevice("webgpu"), { fails: "SessionOptionsAppendExecutionProvider" });
  assert.match(gpu.error!.message, /says: already there$/);
  assert.deepEqual(gpu.take().slice(OPENED.length + options("").length + 1), [
    "ReleaseSessionOptions @106",
    "ReleaseSessionOptions @105",
    "ReleaseMemoryInfo @103",
    "ReleaseEnv @101",
  ]);
  const kept = open(parseDevice("webgpu"), { fails: "CreateAllocator" });
  assert.match(kept.error!.message, /^Cannot use device webgpu: .* says: already there$/);
  assert.deepEqual(kept.take().slice(-5), [
    "ReleaseMemoryInfo @107",
    "ReleaseSessionOptions @106",
    "ReleaseSessionOptions @105",
    "ReleaseMemoryInfo @103",
    "ReleaseEnv @101",
  ]);
});

Deno.test("a runtime on WebGPU collects what is logged, and is stopped by the device's failure", () => {
  const settings = { powerPreference: "low-power", deviceId: "7" };
  const { runtime, opened, take, functions } = open(parseDevice("webgpu"), { settings });
  using _functions = functions;
  assert.ok(runtime);
  assert.ok(opened.includes("libvulkan.so.1"));
  const calls = take();
  const pointer = Deno.UnsafePointer.value(log.pointer).toString(16);
  // ORT_LOGGING_LEVEL_ERROR.
  assert.equal(
    calls[3],
    `CreateEnvWithCustomLoggerAndGlobalThreadPools @${pointer} null 3 "ortune" @100`,
  );
  const added = calls.slice(OPENED.length + options("").length);
  assert.deepEqual(added.slice(0, 5), [
    'SessionOptionsAppendExecutionProvider @106 "WebGPU" [preserveDevice,enableInt64,storageBufferCacheMode,' +
    "powerPreference,dawnBackendType,deviceId] [1,1,lazyRelease,low-power,Vulkan,7] 6",
    "SetDeterministicCompute @106 true",
    'AddSessionConfigEntry @106 "session.disable_cpu_ep_fallback" "1"',
    'CreateMemoryInfo "WebGPU_Buffer" 0 0 0',
    added[4],
  ]);
  assert.match(added[4], /^CreateSessionFromArray @101 /);
  assert.equal(added.at(-1), "CreateAllocator @108 @107");
  const place = runtime.place(parseDevice("webgpu"));
  assert.deepEqual([place.runOptions, place.tensors!.viewsAtOffset], [null, false]);
  // No driver tells of memory.
  log.failure = "gone";
  try {
    assert.throws(() => runtime.api.call("ReleaseEnv", "go on"), { message: "Cannot go on: gone" });
  } finally {
    log.failure = undefined;
  }
  runtime[Symbol.dispose]();
  assert.deepEqual(take(), [
    "ReleaseAllocator @109",
    "ReleaseSession @108",
    "ReleaseSessionOptions @105",
    "ReleaseMemoryInfo @103",
    "ReleaseSessionOptions @106",
    "ReleaseMemoryInfo @107",
    "ReleaseEnv @101",
  ]);
});

Deno.test("a setting that the provider does not know is refused before anything is added", () => {
  const { error } = open(parseDevice("webgpu"), { settings: { nothing: "1" } });
  assert.match(
    error!.message,
    /^Cannot use device webgpu: its provider has no setting nothing; it has dawnBackendType, /,
  );
});
