/**
 * What is said where a part of CUDA is missing, or a GPU is too small: one line that names it and says
 * what to do, and exit code 1. Where `tests/placement/build_folder.ts` made a folder, named by ORTUNE_PLACEMENT, each
 * part of it is taken away in turn; without one only the driver's absence is seen.
 */

import assert from "node:assert/strict";
import { denoArgs } from "./support/process.ts";
import { quickstartFolder } from "./support/quickstart_folder.ts";
import { repositoryPath } from "./support/run_script.ts";
import { tinyConfig } from "./support/tiny_model.ts";
import { tempFolder } from "./support/temp_folder.ts";

const folder = Deno.env.get("ORTUNE_PLACEMENT");
if (!folder) {
  console.warn(
    "most of the test of missing CUDA libraries skipped: no CUDA provider; make a folder of it " +
      "with tests/placement/build_folder.ts and name it by ORTUNE_PLACEMENT",
  );
}

/** Whether this machine has a library of its own, which would be found in place of the folder's. */
function has(name: string): boolean {
  try {
    Deno.dlopen(name, {}).close();
    return true;
  } catch {
    return false;
  }
}

/** Runs `deno task train --device` on a model of a config alone; the device is looked at before anything is read. */
async function train(
  env: Readonly<Record<string, string>>,
  device = "cuda:0",
): Promise<{ code: number; stderr: string }> {
  await using work = await tempFolder();
  await work.write("config.json", JSON.stringify(tinyConfig().raw));
  await work.write("rows.jsonl", "");
  const args = ["--model", ".", "--train-file", "rows.jsonl", "--device", device];
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: denoArgs(repositoryPath("cli/commands/train.ts"), { args }),
    cwd: work.path,
    env: { NO_COLOR: "1", ...env },
    stdout: "null",
  }).output();
  return { code, stderr: new TextDecoder().decode(stderr).trimEnd() };
}

const LIBRARIES =
  /install the CUDA 13 libraries \(or 12, whichever the provider was built for\) from NVIDIA's toolkit, or `pip install nvidia-cuda-runtime nvidia-cublas nvidia-curand` \(for CUDA 12 the names end in -cu12\), with their lib folders in LD_LIBRARY_PATH/;
const PROVIDER =
  /install ONNX Runtime's CUDA provider with `deno install --allow-scripts=npm:onnxruntime-node`, or set ORTUNE_ORT_LIB to a libonnxruntime with the provider of its own release beside it$/;
const DRIVER =
  /^error: Cannot use device cuda:0: NVIDIA's driver library libcuda\.so\.1 is missing \(.*\); install the driver of your GPU, or in a container pass the GPU through, or pass --device cpu$/;

/** What is said without each part. */
const PARTS: Readonly<Record<string, RegExp>> = {
  "libcuda.so.1": DRIVER,
  "libcudart.so.13": LIBRARIES,
  "libcublas.so.13": LIBRARIES,
  "libcublasLt.so.13": LIBRARIES,
  "libcurand.so.10": LIBRARIES,
  "libonnxruntime_providers_cuda.so": PROVIDER,
  "libonnxruntime_providers_shared.so": PROVIDER,
};

Deno.test({
  name: "without a driver --device cuda:0 says so in one line and ends with code 1",
  ignore: has("libcuda.so.1"),
  fn: async () => {
    const { code, stderr } = await train({});
    assert.match(stderr, DRIVER);
    assert.equal(code, 1);
  },
});

for (const [part, message] of Object.entries(PARTS)) {
  Deno.test({
    name: `without ${part} --device cuda:0 names it and ends with code 1`,
    ignore: !folder || has(part) || part === "libcudart.so.13" && has("libcudart.so.12"),
    fn: async () => {
      await using rest = await tempFolder();
      for await (const { name } of Deno.readDir(folder!)) {
        if (name !== part) await Deno.symlink(`${folder}/${name}`, `${rest.path}/${name}`);
      }
      const { code, stderr } = await train({
        LD_LIBRARY_PATH: rest.path,
        ORTUNE_ORT_LIB: `${rest.path}/libonnxruntime.so`,
      });
      assert.doesNotMatch(stderr, /\n/);
      assert.match(stderr, /^error: Cannot use device cuda:0: /);
      assert.ok(stderr.includes(part), stderr);
      assert.match(stderr, message);
      assert.equal(code, 1);
    },
  });
}

Deno.test({
  name: "a device that the machine does not have is told with what it has",
  ignore: !folder,
  fn: async () => {
    const env = { LD_LIBRARY_PATH: folder!, ORTUNE_ORT_LIB: `${folder}/libonnxruntime.so` };
    const { code, stderr } = await train(env, "cuda:1");
    assert.equal(
      stderr,
      "error: Cannot use device cuda:1: this machine has 1 CUDA device; pass --device cuda:0 or " +
        "--device cpu",
    );
    assert.equal(code, 1);
  },
});

Deno.test({
  name: "the core that npm installs says that its CUDA provider is missing",
  ignore: !folder,
  fn: async () => {
    const { code, stderr } = await train({ LD_LIBRARY_PATH: folder! });
    assert.match(stderr, PROVIDER);
    assert.equal(code, 1);
  },
});

Deno.test({
  name: "several processes are told that NCCL is missing before a model is read",
  ignore: !folder || has("libnccl.so.2"),
  fn: async () => {
    await using work = await tempFolder();
    await work.write("config.json", JSON.stringify(tinyConfig().raw));
    const script = await work.write(
      "script.ts",
      `
      import { soloComm } from "${repositoryPath("comm/solo_comm.ts")}";
      import { Runtime } from "${repositoryPath("ort/runtime/runtime.ts")}";
      import { createLoraTrainer } from "${repositoryPath("train/trainers/lora_trainer.ts")}";
      const libraryPath = ${JSON.stringify(`${folder}/libonnxruntime.so`)};
      using runtime = new Runtime({ threads: 1, libraryPath, device: { kind: "cuda", index: 0 } });
      const comm = { ...soloComm(), size: 2 };
      await createLoraTrainer(${JSON.stringify(work.path)}, { runtime, comm });
      `,
    );
    const { code, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-check", "-A", `--config=${repositoryPath("deno.json")}`, script],
      env: { LD_LIBRARY_PATH: folder!, NO_COLOR: "1" },
    }).output();
    assert.equal(code, 1);
    assert.match(
      new TextDecoder().decode(stderr),
      /Error: Cannot use NCCL: libnccl\.so\.2 is missing .*apt install libnccl2/,
    );
  },
});

Deno.test({
  name: "a GPU too small for the weights, or for a graph's values, is told with what is free",
  ignore: !folder,
  fn: async () => {
    await using work = await quickstartFolder();
    const run = async (bytes: number) => {
      const args = [
        ...["--model", "models/tiny", "--train-file", "data/train.jsonl", "--max-length", "512"],
        ...["--max-steps", "2", "--device", "cuda:0", "--report-to", "none"],
      ];
      const { code, stderr } = await new Deno.Command(Deno.execPath(), {
        args: denoArgs(repositoryPath("cli/commands/train.ts"), { args }),
        cwd: work.path,
        env: {
          NO_COLOR: "1",
          CUDA_STANDIN_MEMORY: `${bytes}`,
          LD_LIBRARY_PATH: folder!,
          ORTUNE_ORT_LIB: `${folder}/libonnxruntime.so`,
        },
        stdout: "null",
      }).output();
      assert.equal(code, 1);
      return new TextDecoder().decode(stderr);
    };
    const way = "; train shorter rows or fewer of them at once, an adapter, or a smaller model";
    assert.match(
      await run(12e6),
      /\nerror: Cannot allocate 3\.9 MiB on cuda:0: out of memory: 3\.\d MiB of 11\.4 MiB is free, and ortune's tensors hold 7\.8 MiB; /,
    );
    const inGraph = await run(17e6);
    assert.match(
      inGraph,
      /^error: Cannot run graph block_forward on cuda:0: out of memory: 0\.\d MiB of 16\.2 MiB is free/m,
    );
    assert.ok(inGraph.trimEnd().endsWith(way), inGraph);
  },
});
