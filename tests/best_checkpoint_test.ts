/** After a run that got worse the trainer holds the weights of its best evaluation. */

import assert from "node:assert/strict";
import { readExamples } from "../data/examples/read_examples.ts";
import { loadTokenizer } from "../data/text/tokenizer.ts";
import { DEFAULT_LORA } from "../lora/lora_options.ts";
import { fromPeft } from "../lora/peft_source.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { byteWidth, elementCount } from "../ort/tensor/dtype.ts";
import { openSafetensors } from "../ort/tensor/safetensors_file.ts";
import type { TensorSource } from "../ort/tensor/tensor_source.ts";
import type { EndEvent } from "../train/events.ts";
import { createFullTrainer } from "../train/trainers/full_trainer.ts";
import { createLoraTrainer } from "../train/trainers/lora_trainer.ts";
import { train } from "../train/loop/loop.ts";
import type { Trainer } from "../train/trainer.ts";
import { quickstartFolder, THREADS } from "./support/quickstart_folder.ts";

for (const method of ["full", "lora"] as const) {
  Deno.test(`after a ${method} run that got worse, the trainer holds the best weights`, async () => {
    await using folder = await quickstartFolder();
    const model = `${folder.path}/models/tiny`;
    const output = `${folder.path}/out`;
    const tokenizer = await loadTokenizer(model);
    const read = async (name: string, limit: number) =>
      (await readExamples(`${folder.path}/data/${name}.jsonl`, {
        tokenizer,
        maxLength: 512,
        limit,
      }))
        .examples;
    using runtime = new Runtime({ threads: THREADS });
    await using trainer: Trainer = method === "full"
      ? await createFullTrainer(model, { runtime })
      : await createLoraTrainer(model, { runtime, seed: 7, lora: DEFAULT_LORA });
    let end: EndEvent | undefined;
    const run = train(trainer, {
      examples: await read("train", 4),
      evalExamples: await read("val", 2),
      padId: tokenizer.padTokenId!,
      // Downhill at first, then uphill.
      schedule: () => (step) => step < 2 ? 1e-3 : -1,
      maxSteps: 4,
      evalSteps: 1,
      best: { load: true },
      output: { directory: output, facts: {} },
    });
    for await (const event of run) if (event.type === "end") end = event;
    assert.ok(end?.best?.loaded && end.best.step < 4, JSON.stringify(end));
    const open = (step: number) =>
      method === "full"
        ? openSafetensors(`${output}/checkpoint-${step}/model.safetensors`)
        : openSafetensors(`${output}/checkpoint-${step}/adapter_model.safetensors`);
    await using bestFile = await open(end.best.step);
    await using lastFile = await open(4);
    const [best, last] = [bestFile, lastFile].map((file) =>
      method === "full" ? file : fromPeft(file)
    );
    const name = best.names().find((each) => each.includes("layers.0"))!;
    assert.notDeepEqual(await bytes(best, name), await bytes(last, name));
    assert.deepEqual(await bytes(trainer.weights, name), await bytes(best, name));
  });
}

async function bytes(source: TensorSource, name: string): Promise<Uint8Array> {
  const { dtype, shape } = source.info(name);
  const into = new Uint8Array(elementCount(shape) * byteWidth(dtype));
  await source.read(name, into);
  return into;
}
