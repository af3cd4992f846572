/**
 * What is said in bad environments, and by bad use: one sentence that helps, exit code 1, and no
 * process that a signal ends. Each case is a process of its own.
 */

import assert from "node:assert/strict";
import { canRun } from "../support/can_run.ts";
import { canMount } from "../support/mounts.ts";
import { repositoryPath } from "../support/run_script.ts";
import { tempFolder } from "../support/temp_folder.ts";
import { isFile } from "../../internal/path_kind.ts";
import { findLibrary } from "../../ort/runtime/library.ts";

const url = (path: string): string => `file://${repositoryPath(path)}`;

/** What every script begins with. */
const IMPORTS = `
  import { GraphBuilder } from "${url("ort/graph/builder.ts")}";
  import * as ops from "${url("ort/graph/ops.ts")}";
  import { writeOnnx } from "${url("ort/graph/onnx_writer.ts")}";
  import { cpu, parseDevice } from "${url("ort/runtime/device.ts")}";
  import { deviceLog } from "${url("ort/runtime/device_log.ts")}";
  import { Runtime } from "${url("ort/runtime/runtime.ts")}";
  import { Session } from "${url("ort/runtime/session.ts")}";
  import { Tensor } from "${url("ort/runtime/tensor.ts")}";
  import { preferredAdapter, vulkanAdapters } from "${url("ort/runtime/vulkan.ts")}";
  import { appendWebGpuProvider } from "${url("ort/runtime/webgpu_provider.ts")}";
  const device = parseDevice("webgpu");
  const open = (options = {}) => new Runtime({ threads: 1, device, ...options });
  const tensor = (runtime, ...values) =>
    Tensor.from(runtime, "float32", [values.length], Float32Array.from(values));
  /** Doubles a tensor on its device. */
  const double = (runtime, x) => {
    const b = new GraphBuilder("double");
    const given = b.input("x", "float32", x.shape);
    b.output("y", ops.add(b, given, given));
    const y = Tensor.allocate(runtime, "float32", x.shape);
    using session = new Session(runtime, writeOnnx(b.build()));
    session.run({ inputs: { x }, outputs: { y } });
    return [...y.hostFloat32()];
  };
  /** Tells the device's log what a driver would. */
  const log = (message) => {
    const text = new TextEncoder().encode(message + "\\0");
    const parameters = ["pointer", "i32", "pointer", "pointer", "pointer", "buffer"];
    new Deno.UnsafeFnPointer(deviceLog().pointer, { parameters, result: "void" })
      .call(null, 3, null, null, null, text);
  };
  const engine = async (runtime) => {
    const { TrainingEngine } = await import("${url("model/engine/training_engine.ts")}");
    const { sequenceGrid } = await import("${url("model/engine/batch.ts")}");
    const { emptyStore, tinyConfig } = await import("${url("tests/support/tiny_model.ts")}");
    const config = tinyConfig();
    const [weights, gradients] = [emptyStore(runtime, config), emptyStore(runtime, config)];
    return { engine: new TrainingEngine(runtime, config, weights, gradients), sequenceGrid, config };
  };
  const train = async (runtime, change) => {
    const { engine: made, sequenceGrid, config } = await engine(runtime);
    const batch = sequenceGrid([1, 2, 3, 4]);
    change(batch, config);
    await made.forwardBackward(batch, { scale: 1, first: true });
  };
`;

interface Case {
  /** Statements that come after {@linkcode IMPORTS}. */
  readonly script: string;
  /** The sentence that the process ends with; none where it ends well. */
  readonly says?: RegExp;
  readonly env?: Readonly<Record<string, string>>;
  /** Variables that the process does not have. */
  readonly without?: readonly string[];
  /** @default all */
  readonly permissions?: readonly string[];
  /** Shell commands before it. */
  readonly setup?: string;
  /** Whether `setup` mounts something for the process alone. */
  readonly mounts?: boolean;
  /** Why it cannot be tried here. */
  readonly skipped?: string;
}

const OPEN = `tensor(open(), 1);`;
const NO_DRIVER =
  /^Cannot use device webgpu: no GPU with a Vulkan driver was found; install libvulkan1 and your GPU's driver/;
const FAILED = /the WebGPU device has failed and may not be used any more in this process: /;

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

const loader = [...Deno.build.os === "linux" ? ["/usr/lib/x86_64-linux-gnu/libvulkan.so.1"] : []];
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
  no_copies: await standIn("libnocopies.so", 'VERSION="1.22.0"', real),
  tooOld: await standIn("libtooold.so", 'VERSION="1.16.3"'),
};
const text = await folder.write("text.so", "not a library");
const at = (library: string): string => `open({ libraryPath: ${JSON.stringify(library)} });`;
const drivers = (files: string): Record<string, string> => ({
  VK_DRIVER_FILES: files,
  VK_ICD_FILENAMES: files,
});
await Deno.mkdir(`${path}/empty`);

const CASES: Readonly<Record<string, Case>> = {
  "no Vulkan loader": {
    script: OPEN,
    setup: loader.map((file) => `mount --bind ${text} ${file}`).join(" && "),
    mounts: true,
    skipped: mounting,
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
    script: at(libraries.no_copies),
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
  "a misspelt setting": {
    script: `open({ webGpuSettings: { validationmode: "full" } });`,
    says: /^Cannot use device webgpu: its provider has no setting validationmode; it has /,
  },
  "a wrong value of a setting": {
    script: `open({ webGpuSettings: { validationMode: "fully" } });`,
    says: /^Cannot use device webgpu: .*validation ?mode.*fully/i,
  },
  "a runtime on the CPU before": {
    script: `new Runtime({ threads: 1 }); open();`,
    says: /^Cannot use device webgpu: ONNX Runtime was opened before in this process/,
  },
  "a second runtime": {
    script: `
      const [first, second] = [open(), open()];
      const x = tensor(first, 1, 2);
      if (double(second, tensor(second, 3))[0] !== 6) throw new Error("wrong");
      second[Symbol.dispose]();
      if (double(first, x)[1] !== 4) throw new Error("wrong");
    `,
  },
  "a runtime that was disposed of": {
    script: `
      const runtime = open();
      const x = tensor(runtime, 1);
      runtime[Symbol.dispose]();
      for (const use of [() => tensor(runtime, 1), () => x.write(Float32Array.of(1))]) {
        let said = "";
        try { use(); } catch (e) { said = e.message; }
        if (said !== "Cannot use the runtime: it was disposed of") throw new Error(said);
      }
      x.hostFloat32();
    `,
    says: /^Cannot use the runtime: it was disposed of$/,
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
  // Let through, Mesa's lavapipe ends the process at the first copy of 2 GiB or more.
  "a tensor larger than a buffer may be": {
    script: `
      const runtime = open();
      Tensor.allocate(runtime, "float32", [runtime.toldMemory().largestBuffer / 4 + 1]);
    `,
    says:
      /^Cannot allocate a float32 tensor of shape \[\d+\] on webgpu: it has \d+ bytes, and a buffer of .* at most \d+; train shorter rows/,
  },
  "tensors larger than what is free": {
    script: `
      const runtime = open();
      const { free, largestBuffer } = runtime.toldMemory();
      if (free === undefined) throw new Error("not told");
      const { tensors } = runtime.place(device);
      // Counted as taken, and not asked for again, so that no memory needs to be.
      tensors.budget.tell = () => undefined;
      for (let left = free; left > 0; left -= largestBuffer) {
        tensors.budget.claim(Math.min(left, largestBuffer), "hold it");
      }
      Tensor.allocate(runtime, "float32", [2 ** 20]);
    `,
    says:
      /^Cannot allocate a float32 tensor of shape \[1048576\] on webgpu: it has 4194304 bytes, and .* has \d+ free of \d+, of which \d+ are this program's tensors; train/,
  },
  "a tensor of no elements": {
    script: `
      const runtime = open();
      const none = Tensor.allocate(runtime, "float32", [0]);
      none.write(new Float32Array(0));
      none.zero();
      if (none.hostFloat32().length !== 0) throw new Error("wrong");
      none[Symbol.dispose]();
    `,
  },
  "numbers that are not finite": {
    script: `
      const runtime = open();
      const got = double(runtime, tensor(runtime, NaN, Infinity, -Infinity, 1));
      if (got.join() !== "NaN,Infinity,-Infinity,2") throw new Error(got.join());
    `,
  },
  "an id outside of the vocabulary, in training": {
    script: `await train(open(), (batch) => batch.inputIds[2] = 1000n);`,
    says:
      /^Cannot run token 2: its id 1000 is not from 0 to below vocab_size \d+; use the tokenizer of this model/,
  },
  "a negative id, in training": {
    script: `await train(open(), (batch) => batch.inputIds[0] = -1n);`,
    says: /^Cannot run token 0: its id -1 is not from 0 to below vocab_size/,
  },
  "a target outside of the vocabulary": {
    script: `await train(open(), (batch) => batch.targets[1] = 1000);`,
    says: /^Cannot take the loss of token 1: its target 1000 is not below vocab_size \d+/,
  },
  "an id outside of the vocabulary, in generation": {
    script: `
      const { Decoder } = await import("${url("infer/generate/decoder.ts")}");
      const { emptyStore, tinyConfig } = await import("${url("tests/support/tiny_model.ts")}");
      const runtime = open();
      await new Decoder(runtime, tinyConfig(), emptyStore(runtime, tinyConfig())).prefill([1, 1000]);
    `,
    says: /^Cannot .*1000/,
  },
  "a device that is lost": {
    script: `
      const runtime = open();
      const x = tensor(runtime, 1);
      log("WebGPU device lost (1): the driver was reset");
      let said = "";
      try { double(runtime, x); } catch (e) { said = e.message; }
      if (!/the GPU was lost, as when a driver restarts .*; start again from the last checkpoint/.test(said)) {
        throw new Error("said: " + said);
      }
      runtime[Symbol.dispose]();
      x[Symbol.dispose]();
      open();
    `,
    says: FAILED,
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

const RUN = [
  "run",
  "--quiet",
  "--no-prompt",
  "--no-check",
  "--cached-only",
  `--config=${repositoryPath("deno.json")}`,
];

async function run(name: string, given: Case): Promise<void> {
  const { script, says, env = {}, without = [], permissions = ["--allow-all"] } = given;
  const file = await folder.write(
    `${name.replaceAll(/\W+/g, "_")}.ts`,
    `${IMPORTS}
try { ${script} } catch (e) { console.error("\\n" + e.message); Deno.exit(1); }`,
  );
  const setup = given.setup ?? ":";
  const command = [Deno.execPath(), ...RUN, ...permissions, file];
  const [program, ...args] = [
    ...given.mounts ? ["unshare", "--mount"] : [],
    ...["sh", "-c", `${setup} && exec "$@"`, "sh", ...command],
  ];
  const variables = { ...Deno.env.toObject(), NO_COLOR: "1", ...env };
  const { code, signal, stderr } = await new Deno.Command(program, {
    args,
    clearEnv: true,
    env: Object.fromEntries(Object.entries(variables).filter(([key]) => !without.includes(key))),
    stdin: "null",
    stdout: "null",
  }).output();
  const told = new TextDecoder().decode(stderr);
  assert.equal(signal, null, told);
  assert.equal(code, says ? 1 : 0, told);
  if (!says) return;
  const said = told.split("\n").filter((line) => line.startsWith("Cannot"));
  assert.ok(said.some((line) => says.test(line)), told);
}

for (const [name, given] of Object.entries(CASES)) {
  Deno.test({
    name: `${name}: ${given.says ? "an error that helps" : "it works"}` +
      (given.skipped ? `; skipped: ${given.skipped}` : ""),
    ignore: given.skipped !== undefined,
    fn: () => run(name, given),
  });
}
