import assert from "node:assert/strict";
import { fakePointer, recordedApi, wordsOf } from "../../tests/support/recorded_api.ts";
import type { OrtApi } from "./api.ts";
import {
  appendWebGpuProvider,
  checkLoader,
  describeWebGpuMemory,
  explainWebGpu,
  webGpuMemory,
  webGpuSettings,
} from "./webgpu_provider.ts";

const what = "use device webgpu";

Deno.test("Vulkan is asked for where the system has another choice", () => {
  assert.equal(webGpuSettings("linux").dawnBackendType, "Vulkan");
  assert.equal(webGpuSettings("windows").dawnBackendType, "Vulkan");
  assert.equal(webGpuSettings("darwin").dawnBackendType, undefined);
});

Deno.test("no validation mode is set: any refuses outputs in place or hides failed allocations", () => {
  for (const os of ["linux", "windows", "darwin"]) {
    assert.equal(webGpuSettings(os).validationMode, undefined);
  }
});

Deno.test("a missing loader is named, with what to install", () => {
  assert.throws(() => checkLoader("libvulkan_of_nobody.so.1", what), {
    message: "Cannot use device webgpu: Vulkan's loader libvulkan_of_nobody.so.1 is missing; " +
      "install libvulkan1 and your GPU's driver, or pass --device cpu",
  });
  assert.throws(() => checkLoader("vulkan_of_nobody.dll", what), /install your GPU's driver, or/);
});

Deno.test("a refusal of the provider says what to do", () => {
  const explain = (said: string, os: string, arch = "x86_64"): string =>
    explainWebGpu(new Error(said), { what, version: "1.30.0", platform: { os, arch } }).message;
  const adapter = "was false. Failed to get a WebGPU adapter: No supported adapters";
  assert.match(
    explain(adapter, "linux"),
    /no GPU with a Vulkan driver was found; install libvulkan1/,
  );
  assert.match(
    explain(adapter, "darwin"),
    /no GPU was found that it can use; or|update the graphics/,
  );
  const build = "WebGPU execution provider is not supported in this build. ";
  assert.match(
    explain(build, "linux", "aarch64"),
    /^Cannot use device webgpu: npm's onnxruntime-node has no WebGPU for Linux on arm64; or pass --device cpu/,
  );
  assert.match(explain(build, "linux"), /has no WebGPU; unset ORTUNE_ORT_LIB/);
  assert.equal(explain("something new", "linux"), "something new");
});

Deno.test("a setting that the provider would ignore is refused by name", () => {
  const api = { version: "1.30.0" } as OrtApi;
  const settings = { validationmode: "full", powerPreference: "low-power" };
  assert.throws(
    () => appendWebGpuProvider(api, {} as Deno.PointerObject, { settings }),
    /^RangeError: Cannot use device webgpu: its provider has no setting validationmode; it has dawn/,
  );
});

const darwin = { os: "darwin", arch: "aarch64" };

Deno.test("the provider is added with its settings, for numbers that are the same each time", () => {
  const { api, take } = recordedApi();
  const settings = { powerPreference: "low-power" };
  appendWebGpuProvider(api, fakePointer(2), { platform: darwin, settings });
  assert.deepEqual(take().map(({ name, what, args }) => [name, what, ...wordsOf(args)]), [
    [
      "SessionOptionsAppendExecutionProvider",
      what,
      "@2",
      '"WebGPU"',
      "[preserveDevice,enableInt64,storageBufferCacheMode,powerPreference]",
      "[1,1,lazyRelease,low-power]",
      "4",
    ],
    ["SetDeterministicCompute", what, "@2", "true"],
    ["AddSessionConfigEntry", what, "@2", '"session.disable_cpu_ep_fallback"', '"1"'],
  ]);
  assert.equal(Deno.UnsafePointer.value(describeWebGpuMemory(api)), 0x100n);
  assert.deepEqual(take().map(({ name, what, args }) => [name, what, ...wordsOf(args)]), [
    ["CreateMemoryInfo", "describe device memory", '"WebGPU_Buffer"', "0", "0", "0"],
  ]);
  // Metal tells nothing.
  assert.equal(webGpuMemory(darwin), undefined);
});

Deno.test("a release that cannot copy tensors is refused", () => {
  for (
    const [version, taken] of [
      ["1.22.5", false],
      ["0.99.0", false],
      ["1.23.0", true],
      ["1.24.1", true],
      ["2.0.0", true],
    ] as const
  ) {
    const { api, take } = recordedApi(() => {}, version);
    const append = () => appendWebGpuProvider(api, fakePointer(2), { platform: darwin });
    if (taken) append();
    else {
      assert.throws(append, {
        message:
          `Cannot use device webgpu: ONNX Runtime ${version} cannot copy its tensors; it needs 1.23 or newer`,
      });
    }
    assert.equal(take().length, taken ? 3 : 0);
  }
});

Deno.test("a provider that refuses is explained for the platform, with its own words as the cause", () => {
  const cause = new Error("WebGPU execution provider is not supported in this build. ");
  const { api } = recordedApi(() => {
    throw cause;
  });
  assert.throws(
    () => appendWebGpuProvider(api, fakePointer(2), { platform: darwin }),
    (error: Error) => {
      assert.deepEqual([error.message, error.cause], [
        "Cannot use device webgpu: this build of ONNX Runtime has no WebGPU; unset ORTUNE_ORT_LIB to use the one from " +
        "npm:onnxruntime-node; or pass --device cpu (ONNX Runtime 1.30.0)",
        cause,
      ]);
      return true;
    },
  );
  const arm = (os: string, arch: string) =>
    explainWebGpu(cause, { what, version: "1.30.0", platform: { os, arch } }).message;
  const none = "npm's onnxruntime-node has no WebGPU for Linux on arm64";
  assert.ok(arm("linux", "aarch64").includes(none));
  assert.ok(!arm("darwin", "aarch64").includes(none));
  assert.ok(!arm("linux", "x86_64").includes(none));
  const adapter = new Error("Failed to get a WebGPU adapter");
  const explain = (os: string) =>
    explainWebGpu(adapter, { what, version: "1.30.0", platform: { os, arch: "x86_64" } }).message;
  assert.ok(explain("linux").includes("libvulkan1"));
  assert.ok(explain("windows").includes("update the graphics driver"));
});
