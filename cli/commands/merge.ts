/**
 * `deno task merge`: adds an adapter to its base model. In: both folders. Out: a model folder that
 * needs no adapter, and how far its logits are from those of base and adapter.
 *
 * @module
 */

import { loadTokenizer, type Tokenizer } from "../../data/text/tokenizer.ts";
import { sequenceGrid } from "../../model/engine/batch.ts";
import { loadModel } from "../../model/engine/load_model.ts";
import { TrainingEngine, type TrainingEngineOptions } from "../../model/engine/training_engine.ts";
import { loadAdapter } from "../../lora/load_adapter.ts";
import { mergeAdapter } from "../../lora/merge_adapter.ts";
import type { NamedWeights } from "../../model/engine/layered_weights.ts";
import type { BaseStorage } from "../../model/base_storage.ts";
import type { ModelConfig } from "../../model/config.ts";
import { deviceTraits } from "../../ort/runtime/device.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import {
  count,
  DEVICE_WITHOUT_CUDA_HELP,
  deviceWithoutCuda,
  WITHOUT_CUDA,
} from "../arguments/flag_values.ts";
import { checkDevice, describeWebGpu } from "../../model/engine/check_webgpu.ts";
import { writeModelFolder } from "../../train/checkpoints/model_folder.ts";
import { checkAdapter, findFolders } from "../../train/runs/find_model.ts";
import { trainedBase } from "../../lora/trained_base.ts";
import { openRuntime } from "../process/open_runtime.ts";
import { runCommand } from "../process/run_command.ts";
import { mergedOrigin } from "../../internal/json/model_origin.ts";
import { stageFolder } from "../../train/checkpoints/staged_folder.ts";
import { createWaitLine } from "../../train/runs/wait_line.ts";
import { terminal } from "../terminal/terminal.ts";
import { keptChat } from "../../train/runs/taught_chat.ts";

interface MergeFlags {
  readonly model?: string;
  readonly adapter: string;
  readonly outputDir: string;
  readonly device: string;
  readonly threads?: number;
}

const PROBE = "医生，发烧了应该怎么办？ What helps against a fever?";

await runCommand<MergeFlags>({
  name: "deno task merge",
  description: "Merges a LoRA adapter into its base model.",
  flags: (command) =>
    command
      .requiredOption(
        "--adapter <dir>",
        "adapter folder or checkpoint in PEFT's layout, or the output folder of a run",
      )
      .option("--model <dir>", "the base model (default: the one adapter_config.json names)")
      .requiredOption("--output-dir <dir>", "a new folder for the merged model")
      .option("--device <name>", DEVICE_WITHOUT_CUDA_HELP, deviceWithoutCuda, "cpu")
      .option("--threads <n>", "processor threads (default: all cores)", count),
  run: async ({ options, signal }) => {
    const { outputDir } = options;
    const { model, adapter, config } = await findFolders(options);
    for (const note of await checkAdapter(adapter!, config)) console.error(`note: ${note}`);
    await using folder = await stageFolder(outputDir, "merge");
    const tokenizer = await loadTokenizer(model);
    const say = (line: string) => console.error(line);
    using runtime = openRuntime(options, { config, kinds: WITHOUT_CUDA, say });
    const checked = checkDevice(runtime);
    if (checked) say(`note: ${describeWebGpu(checked)}`);
    using waiting = createWaitLine(terminal);
    waiting.doing(`loading ${model}`);
    const trained = await trainedBase(adapter!);
    const rounded = trained?.quantization;
    const { weights: base } = await loadModel(runtime, model, { rounded, signal });
    using _base = base;
    waiting.done();
    for (const note of config.notes) console.error(`note: ${note}`);
    waiting.doing("merging");
    using adapted = await loadAdapter(runtime, adapter!, { config, base, signal });
    const probe = (options?: TrainingEngineOptions): Promise<Float32Array> =>
      probeLogits({ runtime, config, tokenizer, weights: base }, options);
    const before = await probe({ adapter: { block: adapted.block, weights: adapted.weights } });
    mergeAdapter(runtime, { config, base, adapted });
    const after = await probe();
    const difference = largestDifference(after, before);

    waiting.doing("comparing");
    const apart = trained && await quantizedLogits(trained, {
      ...{ runtime, model, adapter: adapter!, tokenizer, signal },
    });
    const kept = await keptChat(adapter, { model, eosTokenId: config.raw.eos_token_id });
    const texts = { ...kept.texts, ...await mergedOrigin(model) };
    waiting.doing(`writing ${outputDir}`);
    await writeModelFolder(folder.path, { model, config, ...kept, texts, weights: base, signal });
    await folder.finish();
    waiting.done();
    console.log(
      `${outputDir}: merged; the largest logit difference from base and adapter is ` +
        difference.toExponential(2) +
        (apart
          ? `; from those on the base in ${trained!.name} that it was trained on, ` +
            largestDifference(after, apart).toExponential(2)
          : ""),
    );
  },
});

function largestDifference(a: Float32Array, b: Float32Array): number {
  return a.reduce((most, each, i) => Math.max(most, Math.abs(each - b[i])), 0);
}

/** The same of the adapter on the base as it was trained on, in 8 or 4 bits. */
async function quantizedLogits(
  storage: BaseStorage,
  { runtime, model, adapter, tokenizer, signal }: {
    readonly runtime: Runtime;
    readonly model: string;
    readonly adapter: string;
    readonly tokenizer: Tokenizer;
    readonly signal: AbortSignal;
  },
): Promise<Float32Array | undefined> {
  // Elsewhere there are no products with such a base.
  if (!deviceTraits(runtime.device).hostMemory) return undefined;
  const { weights: base, config } = await loadModel(runtime, model, { storage, signal });
  using _base = base;
  using adapted = await loadAdapter(runtime, adapter, { config, base, signal });
  const { block, weights } = adapted;
  return await probeLogits({ runtime, config, tokenizer, weights }, {
    adapter: { block, weights },
  });
}

/** Logits of every position of a short prompt, [tokens, vocab]. */
async function probeLogits(
  { runtime, config, tokenizer, weights }: {
    readonly runtime: Runtime;
    readonly config: ModelConfig;
    readonly tokenizer: Tokenizer;
    readonly weights: NamedWeights;
  },
  options?: TrainingEngineOptions,
): Promise<Float32Array> {
  const ids = tokenizer.encode(PROBE);
  using engine = new TrainingEngine(runtime, config, weights, undefined, options);
  const logits = await engine.logits(sequenceGrid(ids), Int32Array.from(ids.keys()));
  return logits.slice();
}
