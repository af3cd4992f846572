/**
 * What is said in bad environments: without a driver, a library or a permission, and with old ones; and that
 * the device works in odd ones.
 */

import assert from "node:assert/strict";
import { isFile } from "../../internal/path_kind.ts";
import { findLibrary } from "../../ort/runtime/library.ts";
import { canRun } from "../support/can_run.ts";
import { canMount } from "../support/mounts.ts";
import { repositoryPath } from "../support/run_script.ts";
import { tempFolder } from "../support/temp_folder.ts";
import { testWebGpuCases, type WebGpuCase } from "../support/webgpu_cases.ts";

const OPEN = `tensor(open(), 1);`;
const NO_DRIVER =
  /^Cannot use device webgpu: no GPU with a Vulkan driver was found; install libvulkan1 and your GPU's driver/;

const folder = await tempFolder();
Deno.test.afterAll(async () => await folder[Symbol.asyncDispose]());
const { path } = folder;
const driver = Deno.env.get("VK_DRIVER_FILES") ?? "";
const OLD_DRIVER = "/usr/share/vulkan/icd.d/lvp_icd.x86_64.json";
const mounting = await canMount() ? undefined : "mounts need root";

/** Writes a driver's file that names a library. */
async function icd(name: string, library: string): Promise<string> {
  const json = {
    file_format_version: "1.0.0",
    ICD: { library_path: library, api_version: "1.3.0" },
  };
  return await folder.write(name, JSON.stringify(json));
}

const LOADER = "/usr/lib/x86_64-linux-gnu/libvulkan.so.1";
const stand = repositoryPath("tests/support/stand_in_ort.c");
const compiler = await canRun("cc", ["--version"]) ? undefined : "no C compiler";

/** Compiles an ONNX Runtime of another kind; its path. */
async function standIn(name: string, ...defines: readonly string[]): Promise<string> {
  const library = `${path}/${name}`;
  if (compiler) return library;
  const args = ["-shared", "-fPIC", "-o", library, ...defines.map((each) => `-D${each}`), stand];
  assert.ok(await canRun("cc", [...args, "-ldl"]), `cc ${args.join(" ")}`);
  return library;
}

const real = `REAL="${findLibrary()}"`;
const libraries = {
  cpuOnly: await standIn("libcpuonly.so", 'VERSION="1.30.0"', real),
  noCopies: await standIn("libnocopies.so", 'VERSION="1.22.0"', real),
  tooOld: await standIn("libtooold.so", 'VERSION="1.16.3"'),
};
const text = await folder.write("text.so", "not a library");
const at = (library: string): string => `open({ libraryPath: ${JSON.stringify(library)} });`;
const drivers = (files: string): Record<string, string> => ({
  VK_DRIVER_FILES: files,
  VK_ICD_FILENAMES: files,
});
await Deno.mkdir(`${path}/empty`);

const CASES: Readonly<Record<string, WebGpuCase>> = {
  "no Vulkan loader": {
    script: OPEN,
    setup: `mount --bind ${text} ${LOADER}`,
    mounts: true,
    skipped: mounting ?? (await isFile(LOADER) ? undefined : `no ${LOADER}`),
    says:
      /^Cannot use device webgpu: Vulkan's loader libvulkan\.so\.1 is missing; install libvulkan1/,
  },
  "a driver's file that is missing": {
    script: OPEN,
    env: drivers(`${path}/nothing.json`),
    says: NO_DRIVER,
  },
  "a driver's file that is no JSON": {
    script: OPEN,
    env: drivers(await folder.write("broken.json", '{"ICD": {')),
    says: NO_DRIVER,
  },
  "a driver whose library is missing": {
    script: OPEN,
    env: drivers(await icd("missing.json", `${path}/libnothing.so`)),
    says: NO_DRIVER,
  },
  "a driver whose library is none": {
    script: OPEN,
    env: drivers(await icd("text.json", text)),
    says: NO_DRIVER,
  },
  "a driver that is too old": {
    script: OPEN,
    env: drivers(OLD_DRIVER),
    skipped: await isFile(OLD_DRIVER) ? undefined : `no ${OLD_DRIVER}`,
    says: NO_DRIVER,
  },
  "a folder without drivers": { script: OPEN, env: drivers(`${path}/empty`), says: NO_DRIVER },
  "no drivers named, and none there": {
    script: OPEN,
    without: ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"],
    setup: "mount -t tmpfs tmpfs /usr/share/vulkan",
    mounts: true,
    skipped: mounting,
    says: NO_DRIVER,
  },
  "two drivers": {
    script: `
      const runtime = open();
      if (double(runtime, tensor(runtime, 1, 2))[1] !== 4) throw new Error("wrong");
      const adapters = vulkanAdapters("libvulkan.so.1");
      if (adapters.length !== 2) throw new Error(\`\${adapters.length} adapters\`);
      // Both compute on the processor, so that nobody knows which was taken.
      if (preferredAdapter(adapters)) throw new Error("one is preferred");
      if (runtime.toldMemory()) throw new Error("told");
    `,
    env: drivers(`${OLD_DRIVER}:${driver}`),
    skipped: await isFile(OLD_DRIVER) ? undefined : `no ${OLD_DRIVER}`,
  },
  "a library of ONNX Runtime that is missing": {
    script: at(`${path}/libonnxruntime.so`),
    says:
      /^Cannot open ONNX Runtime at .*libonnxruntime\.so: .*; reinstall with `deno install`, or set ORTUNE_ORT_LIB/,
  },
  "a library of ONNX Runtime that is none": {
    script: at(text),
    says: /^Cannot open ONNX Runtime at .*text\.so: .*; reinstall with/,
  },
  "a library that is not ONNX Runtime": {
    script: `open({ libraryPath: "libc.so.6" });`,
    says: /^Cannot open ONNX Runtime at libc\.so\.6: .*; reinstall with/,
  },
  "a build of ONNX Runtime without WebGPU": {
    script: at(libraries.cpuOnly),
    skipped: compiler,
    says:
      /^Cannot use device webgpu: this build of ONNX Runtime has no WebGPU; unset ORTUNE_ORT_LIB to use the one from npm/,
  },
  "a release of ONNX Runtime that is too old": {
    script: at(libraries.tooOld),
    skipped: compiler,
    says: /^Cannot use ONNX Runtime 1\.16\.3 at .*: ortune needs 1\.22 or newer/,
  },
  "a release of ONNX Runtime that cannot copy": {
    script: at(libraries.noCopies),
    skipped: compiler,
    says:
      /^Cannot use device webgpu: ONNX Runtime 1\.22\.0 cannot copy its tensors; it needs 1\.23 or newer/,
  },
  "no permission to call native code": {
    script: OPEN,
    permissions: ["--allow-read", "--allow-env"],
    says: /^Cannot call ONNX Runtime: native code needs --allow-ffi without a path/,
  },
  "a permission for one library only": {
    script: OPEN,
    permissions: [`--allow-ffi=${findLibrary()}`, "--allow-read", "--allow-env"],
    says: /^Cannot call ONNX Runtime: native code needs --allow-ffi without a path/,
  },
  "a worker thread": {
    script: `
      if (self.document === undefined && self.name === "inner") {
        let said = "opened";
        try { tensor(open(), 1); } catch (e) { said = e.message; }
        self.postMessage(said);
      } else {
        const runtime = open();
        const worker = new Worker(import.meta.url, { type: "module", name: "inner" });
        const said = await new Promise((resolve) => worker.onmessage = ({ data }) => resolve(data));
        worker.terminate();
        if (double(runtime, tensor(runtime, 1))[0] !== 2) throw new Error("wrong");
        throw new Error(said);
      }
    `,
    says: /^Cannot use device webgpu: ONNX Runtime was opened before in this process/,
  },
  "four processes at once": {
    script: `
      const runtime = open();
      if (Deno.args[0] !== "inner") {
        const args = ["run", "--no-check", "--cached-only", "--quiet", "--config=${
      repositoryPath("deno.json")
    }", "--allow-all", new URL(import.meta.url).pathname, "inner"];
        const ran = await Promise.all([1, 2, 3].map(() => new Deno.Command(Deno.execPath(), { args }).output()));
        const codes = ran.map(({ code }) => code);
        if (codes.join() !== "0,0,0") throw new Error(codes.join());
      }
      if (double(runtime, tensor(runtime, 1, 2))[1] !== 4) throw new Error("wrong");
    `,
  },
  "no XDG_RUNTIME_DIR": {
    script: `const r = open(); double(r, tensor(r, 1));`,
    without: ["XDG_RUNTIME_DIR"],
  },
  "no HOME": {
    script: `const r = open(); double(r, tensor(r, 1));`,
    env: { DENO_DIR: Deno.env.get("DENO_DIR") ?? `${Deno.env.get("HOME")}/.cache/deno` },
    without: ["HOME", "XDG_CACHE_HOME"],
  },
  "a TMPDIR that cannot be written": {
    script: `const r = open(); double(r, tensor(r, 1));`,
    env: { TMPDIR: "/proc/nothing" },
  },
  "32 open files": {
    script: `const r = open(); double(r, tensor(r, 1));`,
    setup: "ulimit -n 32",
  },
  "a platform without the provider": {
    script: `
      const api = { version: "1.30.0", call: () => {
        throw new Error("WebGPU execution provider is not supported in this build. ");
      } };
      appendWebGpuProvider(api, {}, { platform: { os: "linux", arch: "aarch64" } });
    `,
    says:
      /^Cannot use device webgpu: npm's onnxruntime-node has no WebGPU for Linux on arm64; or pass --device cpu/,
  },
};

testWebGpuCases(CASES, folder);
