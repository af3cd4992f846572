/** Losses and gradients of the training engine on WebGPU against the CPU's. */

import assert from "node:assert/strict";
import { adaptModel } from "../../lora/load_adapter.ts";
import { DEFAULT_LORA, type LoraOptions } from "../../lora/lora_options.ts";
import type { LabelledGrid } from "../../model/engine/batch.ts";
import { loadWeights } from "../../model/engine/load_weights.ts";
import { ParameterStore } from "../../model/engine/parameter_store.ts";
import { TrainingEngine, type TrainingEngineOptions } from "../../model/engine/training_engine.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { assertClose } from "../../ort/tensor/assert_close.ts";
import { draws } from "../support/random.ts";
import {
  emptyStore,
  randomExamples,
  randomWeights,
  tinyBatch,
  tinyConfig,
} from "../support/tiny_model.ts";
import { runtime } from "../support/webgpu_runtime.ts";

const host = new Runtime({ threads: 2 });

// Times the largest element. Measured on lavapipe: gradients 2.9e-6 (of DoRA), losses 4.4e-7.
const GRADIENTS = 5e-6;
const LOSSES = 2e-6;

const [a, b, c, d] = randomExamples([40, 33, 17, 60], 64);
const BATCHES: readonly LabelledGrid[] = [
  tinyBatch([[a, c], [d]], 60),
  tinyBatch([[b], [c, c]], 40),
];

interface Result {
  readonly losses: Float32Array;
  readonly gradients: ReadonlyMap<string, Float32Array>;
}

interface Case {
  readonly tied: boolean;
  readonly lora?: LoraOptions;
  readonly options?: TrainingEngineOptions;
}

/** Fills an adapter at random; the same for the same names. */
function fill(store: ParameterStore): void {
  const draw = draws(5);
  for (const name of store.names()) {
    const tensor = store.tensor(name);
    const magnitude = name.endsWith("magnitude_vector");
    const values = Float32Array.from(
      { length: tensor.byteLength / 4 },
      () => magnitude ? draw(0.5, 1.5) : draw(-0.2, 0.2),
    );
    tensor.write(values);
  }
}

async function pass(on: Runtime, { tied, lora, options }: Case): Promise<Result> {
  const config = tinyConfig({ tie_word_embeddings: tied });
  using source = randomWeights(host, config);
  using weights = emptyStore(on, config);
  await loadWeights(on, weights, source);
  using adapted = lora && adaptModel(on, { config, base: weights, lora });
  if (adapted) {
    fill(adapted.trained);
    await adapted.refresh();
  }
  using gradients = adapted
    ? new ParameterStore(on, adapted.trained.layout)
    : emptyStore(on, config);
  using engine = new TrainingEngine(on, config, weights, gradients, {
    graphsOnly: true,
    headChunk: 24,
    skipPadding: false,
    ...adapted ? { adapter: { block: adapted.block, weights: adapted.weights } } : {},
    ...options,
  });
  const losses: number[] = [];
  for (const [i, batch] of BATCHES.entries()) {
    const how = { scale: 0.1, first: i === 0, dropoutSeed: i + 1 };
    losses.push(...(await engine.forwardBackward(batch, how)).losses);
  }
  return {
    losses: Float32Array.from(losses),
    gradients: new Map(
      gradients.names().map((name) => [name, gradients.tensor(name).hostFloat32().slice()]),
    ),
  };
}

const NO_DROPOUT: LoraOptions = { ...DEFAULT_LORA, dropout: 0 };
const CASES: Readonly<Record<string, Case>> = {
  "full, tied": { tied: true },
  "full, untied": { tied: false },
  "full, activations kept": { tied: true, options: { gradientCheckpointing: false } },
  "LoRA": { tied: true, lora: NO_DROPOUT },
  "LoRA with dropout": { tied: true, lora: { ...DEFAULT_LORA, dropout: 0.1 } },
  "DoRA": { tied: true, lora: { ...NO_DROPOUT, dora: true } },
};

for (const [title, given] of Object.entries(CASES)) {
  Deno.test(`losses and gradients on WebGPU are the CPU's: ${title}`, async () => {
    const expected = await pass(host, given);
    const actual = await pass(runtime, given);
    assert.ok(expected.losses.length > 100);
    const losses = assertClose(actual.losses, expected.losses, {
      label: "losses",
      relativeToMax: LOSSES,
    });
    const largest = (values: Float32Array): number =>
      values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    let worst = 0;
    for (const [name, wanted] of expected.gradients) {
      const { maxAbsolute } = assertClose(actual.gradients.get(name)!, wanted, {
        label: name,
        relativeToMax: GRADIENTS,
      });
      worst = Math.max(worst, maxAbsolute / (largest(wanted) || 1));
    }
    if (Deno.env.get("ORTUNE_REPORT")) {
      console.log(title, losses.maxAbsolute / largest(expected.losses), worst);
    }
  });
}
