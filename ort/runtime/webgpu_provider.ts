/**
 * ONNX Runtime's WebGPU provider, which npm's library has inside: Dawn on Vulkan, Metal or D3D12.
 *
 * In: the C API, session options. Out: options under which every node runs on the GPU, or an error
 * that says what is missing.
 */

import { cString, type OrtApi, StringArray } from "./api.ts";
import type { Platform } from "./library.ts";
import type { ToldMemory } from "./memory_budget.ts";
import { preferredAdapter, VULKAN_LOADER, vulkanAdapters } from "./vulkan.ts";

// OrtAllocatorType and OrtMemType of onnxruntime_c_api.h.
const DEVICE_ALLOCATOR = 0;
const MEMORY_DEFAULT = 0;

/** The release whose C API copies tensors between devices. */
const OLDEST_RELEASE = [1, 23] as const;

/** Options of the provider. */
export function webGpuSettings(os: string): Readonly<Record<string, string>> {
  return {
    // Without it the device goes with the first session options that are released.
    preserveDevice: "1",
    enableInt64: "1",
    // The default rounds each size up to the next bucket: 60 tensors of 4.3 MiB took 605 MiB.
    storageBufferCacheMode: "lazyRelease",
    powerPreference: "high-performance",
    // D3D12 knows no buffer that one dispatch both reads and writes, as in-place outputs need.
    ...os === "darwin" ? {} : { dawnBackendType: "Vulkan" },
    // No validationMode: with any value but none, a dispatch in place is refused, or a run on a
    // buffer that could not be allocated gives zeros.
  };
}

/** Those that ONNX Runtime 1.30 knows. */
const KNOWN_SETTINGS: ReadonlySet<string> = new Set([
  ...["dawnBackendType", "powerPreference", "deviceId", "enableInt64", "validationMode"],
  ...["preserveDevice", "enableRobustness", "maxStorageBufferBindingSize", "preferredLayout"],
  ...["maxNumPendingDispatches", "storageBufferCacheMode", "uniformBufferCacheMode"],
  ...["queryResolveBufferCacheMode", "defaultBufferCacheMode", "enableGraphCapture"],
  ...["sessionBufferPoolGenerations", "forceCpuNodeNames", "kvCacheQuantizationBits"],
]);

/** How the provider is added. */
export interface WebGpuProviderOptions {
  /** @default this machine's */
  readonly platform?: Platform;
  /** Options of the provider that win over {@linkcode webGpuSettings}. @default none */
  readonly settings?: Readonly<Record<string, string>>;
}

/**
 * Adds the provider to session options; nodes without a kernel there are an error.
 *
 * @throws {RangeError} where settings have a name that the provider would ignore
 * @throws {Error} that says what is missing
 */
export function appendWebGpuProvider(
  api: OrtApi,
  sessionOptions: Deno.PointerObject,
  { platform = Deno.build, settings: given = {} }: WebGpuProviderOptions = {},
): void {
  const what = "use device webgpu";
  checkRelease(api, what);
  const unknown = Object.keys(given).filter((key) => !KNOWN_SETTINGS.has(key));
  if (unknown.length > 0) {
    throw new RangeError(
      `Cannot ${what}: its provider has no setting ${unknown.join(", ")}; it has ` +
        [...KNOWN_SETTINGS].join(", "),
    );
  }
  const loader = VULKAN_LOADER[platform.os];
  if (loader !== undefined) checkLoader(loader, what);
  const settings = { ...webGpuSettings(platform.os), ...given };
  const keys = new StringArray(Object.keys(settings));
  const values = new StringArray(Object.values(settings));
  const count = Object.keys(settings).length;
  try {
    const name = cString("WebGPU");
    const args = [sessionOptions, name, keys.bytes, values.bytes, count];
    api.call("SessionOptionsAppendExecutionProvider", what, ...args);
  } catch (cause) {
    throw explainWebGpu(cause as Error, { what, version: api.version, platform });
  }
  api.call("SetDeterministicCompute", what, sessionOptions, true);
  // A node that ran on the host would copy its tensors there and back at every run.
  const entry = ["session.disable_cpu_ep_fallback", "1"].map(cString);
  api.call("AddSessionConfigEntry", what, sessionOptions, ...entry);
}

/** What Vulkan tells of the GPU's memory; undefined on Metal, and where GPUs are alike. */
export function webGpuMemory({ os }: Platform): ToldMemory | undefined {
  const loader = VULKAN_LOADER[os];
  return loader === undefined ? undefined : preferredAdapter(vulkanAdapters(loader));
}

/** OrtMemoryInfo of memory on the device. */
export function describeWebGpuMemory(api: OrtApi): Deno.PointerObject {
  return api.create(
    "CreateMemoryInfo",
    "describe device memory",
    cString("WebGPU_Buffer"),
    DEVICE_ALLOCATOR,
    0,
    MEMORY_DEFAULT,
  );
}

function checkRelease({ version }: OrtApi, what: string): void {
  const [major, minor] = version.split(".").map(Number);
  const [oldestMajor, oldestMinor] = OLDEST_RELEASE;
  if (major > oldestMajor || major === oldestMajor && minor >= oldestMinor) return;
  throw new Error(
    `Cannot ${what}: ONNX Runtime ${version} cannot copy its tensors; it needs ` +
      `${OLDEST_RELEASE.join(".")} or newer`,
  );
}

/**
 * Opens Vulkan's loader, without which the provider finds no adapter and does not say why.
 *
 * @throws {Error} that says what to install
 */
export function checkLoader(loader: string, what: string): void {
  try {
    Deno.dlopen(loader, {}).close();
  } catch (cause) {
    if (cause instanceof Deno.errors.NotCapable) throw cause;
    throw new Error(
      `Cannot ${what}: Vulkan's loader ${loader} is missing; install ` +
        `${
          loader.endsWith(".dll") ? "your GPU's driver" : "libvulkan1 and your GPU's driver"
        }, or ` +
        "pass --device cpu",
      { cause },
    );
  }
}

/** What the provider says, and what to do about it. */
const EXPLAINED: readonly (readonly [pattern: RegExp, says: (platform: Platform) => string])[] = [
  [
    /No supported adapters|Failed to get a WebGPU adapter/,
    ({ os }) =>
      os === "linux"
        ? "no GPU with a Vulkan driver was found; install libvulkan1 and your GPU's driver (Mesa " +
          "or NVIDIA's, in a container with the graphics capability), and check with `vulkaninfo`"
        : "no GPU was found that it can use; update the graphics driver",
  ],
  [
    /not (?:supported|enabled) in this build|Unknown provider name|has not been built/i,
    ({ os, arch }) =>
      os === "linux" && arch === "aarch64"
        ? "npm's onnxruntime-node has no WebGPU for Linux on arm64"
        : "this build of ONNX Runtime has no WebGPU; unset ORTUNE_ORT_LIB to use the one from " +
          "npm:onnxruntime-node",
  ],
];

/** The provider's refusal with what to do about it, where it is a known one. */
export function explainWebGpu(
  cause: Error,
  { what, version, platform }: {
    readonly what: string;
    readonly version: string;
    readonly platform: Platform;
  },
): Error {
  const known = EXPLAINED.find(([pattern]) => pattern.test(cause.message));
  if (!known) return cause;
  return new Error(
    `Cannot ${what}: ${known[1](platform)}; or pass --device cpu (ONNX Runtime ${version})`,
    { cause },
  );
}
