/**
 * What is said of bad use: of runtimes, tensors, ids and targets that cannot be, and of a device that is lost.
 */

import { tempFolder } from "../support/temp_folder.ts";
import { moduleUrl, testWebGpuCases, type WebGpuCase } from "../support/webgpu_cases.ts";

const FAILED = /the WebGPU device has failed and may not be used any more in this process: /;

const CASES: Readonly<Record<string, WebGpuCase>> = {
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
      const { Decoder } = await import("${moduleUrl("infer/generate/decoder.ts")}");
      const { emptyStore, tinyConfig } = await import("${
      moduleUrl("tests/support/tiny_model.ts")
    }");
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
};

const folder = await tempFolder();
Deno.test.afterAll(async () => await folder[Symbol.asyncDispose]());
testWebGpuCases(CASES, folder);
