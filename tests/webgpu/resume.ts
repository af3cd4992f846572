/** Runs that were cut: resumed on WebGPU they end in the same bytes, and a checkpoint goes on elsewhere. */

import assert from "node:assert/strict";
import { loadTokenizer } from "../../data/text/tokenizer.ts";
import { DEFAULT_LORA } from "../../lora/lora_options.ts";
import { cpu } from "../../ort/runtime/device.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { openSafetensors } from "../../ort/tensor/safetensors_file.ts";
import { readFloat32 } from "../../ort/tensor/tensor_source.ts";
import { train } from "../../train/loop/loop.ts";
import { linearSchedule } from "../../train/schedules/schedules.ts";
import { createFullTrainer } from "../../train/trainers/full_trainer.ts";
import { createLoraTrainer } from "../../train/trainers/lora_trainer.ts";
import { folderHashes } from "../support/folder_hashes.ts";
import { fixturePath } from "../support/parity_fixture.ts";
import { fixtureExamples } from "../support/series.ts";
import { type TempFolder, tempFolder } from "../support/temp_folder.ts";
import { runtime } from "../support/webgpu_runtime.ts";

const host = new Runtime({ threads: 2, device: cpu });
const ADAPTER = "adapter_model.safetensors";
const UPDATES = 4;
/** Right after the first save, and before the last. */
const CUTS = [1, 3];

// Of a run that changes devices after its second update against one that does not: L2 a tensor, relative.
// Measured on lavapipe: 1.4e-8 of all weights, 4.1e-7 of an adapter; all updates on the other: 3.1e-8, 3.8e-6.
const FINAL_WEIGHTS = 4e-5;

const all = await fixtureExamples(await loadTokenizer(fixturePath("tokenizer")), 160);
const examples = all.slice(0, 8);

/** Trains into a folder, from a checkpoint or from the start. */
async function run(
  on: Runtime,
  folder: TempFolder,
  { file, dropout = 0, output, from }: {
    readonly file: string;
    /** @default {0} */
    readonly dropout?: number;
    readonly output: string;
    readonly from?: string;
  },
): Promise<string> {
  const model = fixturePath("qwen3");
  const lora = { ...DEFAULT_LORA, dropout };
  await using trainer = file === ADAPTER
    ? await createLoraTrainer(model, { runtime: on, seed: 3, lora })
    : await createFullTrainer(model, { runtime: on });
  const directory = `${folder.path}/${output}`;
  const events = train(trainer, {
    examples,
    padId: 0,
    accumulationSteps: 2,
    maxSteps: UPDATES,
    schedule: (totalSteps) => linearSchedule({ peak: 1e-3, totalSteps, warmupSteps: 1 }),
    loggingSteps: 1,
    saveSteps: 1,
    seed: 7,
    output: { directory, facts: { seed: 7 } },
    resumeFrom: from === undefined ? undefined : `${folder.path}/${from}`,
  });
  for await (const _ of events); // to its end
  return `${directory}/checkpoint-${UPDATES}`;
}

/** The largest relative L2 difference of two checkpoints' tensors. */
async function difference(a: string, b: string, file: string): Promise<number> {
  await using one = await openSafetensors(`${a}/${file}`);
  await using other = await openSafetensors(`${b}/${file}`);
  let worst = 0;
  for (const name of one.names()) {
    const [x, y] = [await readFloat32(one, name), await readFloat32(other, name)];
    const norm = (of: (i: number) => number): number =>
      Math.sqrt(x.reduce((sum, _, i) => sum + of(i) ** 2, 0));
    worst = Math.max(worst, norm((i) => x[i] - y[i]) / norm((i) => x[i]));
  }
  return worst;
}

for (const file of ["model.safetensors", ADAPTER]) {
  Deno.test(`${file}: a run cut after an update ends in the same bytes`, async () => {
    await using folder = await tempFolder();
    const options = { file, dropout: 0.1 };
    const whole = await run(runtime, folder, { ...options, output: "whole" });
    const wanted = await folderHashes(whole);
    assert.ok(Object.keys(wanted).includes(file));
    for (const cut of CUTS) {
      const output = `cut-${cut}`;
      const from = `whole/checkpoint-${cut}`;
      const resumed = await run(runtime, folder, { ...options, output, from });
      assert.deepEqual(await folderHashes(resumed), wanted, output);
    }
  });

  // Without dropout: its masks are others there, as on CUDA, since a graph makes them and not the host.
  Deno.test(`${file}: a checkpoint goes on elsewhere, to nearly the same numbers`, async () => {
    await using folder = await tempFolder();
    const whole = await run(runtime, folder, { file, output: "whole" });
    const hostWhole = await run(host, folder, { file, output: "cpu" });
    const onHost = await run(host, folder, { file, output: "a", from: "whole/checkpoint-2" });
    const back = await run(runtime, folder, { file, output: "b", from: "cpu/checkpoint-2" });
    const costs = {
      "to the cpu": await difference(onHost, whole, file),
      "from the cpu": await difference(back, hostWhole, file),
      "all on the other": await difference(hostWhole, whole, file),
    };
    if (Deno.env.get("ORTUNE_REPORT")) console.log(file, costs);
    for (const [way, cost] of Object.entries(costs)) {
      assert.ok(cost > 0 && cost < FINAL_WEIGHTS, `${way}: ${cost}`);
    }
  });
}
