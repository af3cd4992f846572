/**
 * A second start compiles no kernel: driver and compiler are stand-ins, all between them is what a run opens.
 */

import assert from "node:assert/strict";
import { DEFAULT_LORA } from "../lora/lora_options.ts";
import { createLoraAdapter } from "../lora/block_adapter.ts";
import { parseDevice } from "../ort/runtime/device.ts";
import { findGpu, loadTrainingKernels } from "../train/trainers/training_kernels.ts";
import { repositoryPath } from "./support/run_script.ts";
import { tempFolder } from "./support/temp_folder.ts";
import { hostGpu } from "./support/test_gpu.ts";
import { tinyConfig } from "./support/tiny_model.ts";

const host = await hostGpu();
if (!host) console.warn("kernel cache test skipped: it needs Linux, gcc and g++");

const config = tinyConfig({ head_dim: 64, hidden_size: 64, intermediate_size: 128 });

Deno.test({
  name: "a second start compiles nothing, of all weights or of an adapter",
  ignore: !host,
  async fn() {
    await using folder = await tempFolder();
    const nvrtcLibrary = `${folder.path}/libnvrtc.so`;
    const { success } = await new Deno.Command("gcc", {
      args: [
        ...["-O1", "-shared", "-fPIC", "-o", nvrtcLibrary],
        `-DSTAND_IN_FOLDER="${folder.path}"`,
        `-DSTAND_IN_HEADER="${repositoryPath("tests/support/host_cuda.h")}"`,
        repositoryPath("tests/support/stand_in_nvrtc.c"),
      ],
    }).output();
    assert.ok(success);
    const counter = Deno.dlopen(nvrtcLibrary, {
      standInCompiled: { parameters: [], result: "u32" },
    });
    let before = 0;
    /** Opens a GPU and all that training launches, as a process does; how many sources were compiled. */
    const start = async (cacheDir: string | undefined, lora: boolean): Promise<number> => {
      const { driverLibrary } = host!;
      const options = { driverLibrary, nvrtcLibrary, cacheDir };
      const { gpu, reason } = await findGpu(parseDevice("cuda:0"), "bfloat16", options);
      assert.ok(gpu, reason);
      using _gpu = gpu;
      await loadTrainingKernels(gpu, {
        config,
        format: lora ? "float32" : "master",
        precision: "bfloat16",
        adapter: lora ? createLoraAdapter(config, DEFAULT_LORA) : undefined,
      });
      const compiled = counter.symbols.standInCompiled() - before;
      before += compiled;
      return compiled;
    };
    try {
      const cache = `${folder.path}/output/.kernels`;
      assert.equal(await start(cache, false), 7);
      assert.equal(await start(cache, false), 0);
      // An adapter has its own optimizer, and its products besides.
      assert.equal(await start(cache, true), 2);
      assert.equal(await start(cache, true), 0);
      assert.equal((await Array.fromAsync(Deno.readDir(cache))).length, 9);
      assert.equal(await start(undefined, false), 7);
    } finally {
      counter.close();
    }
  },
});
