import assert from "node:assert/strict";
import type { OrtApi } from "./api.ts";
import {
  appendWebGpuProvider,
  checkLoader,
  explainWebGpu,
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
