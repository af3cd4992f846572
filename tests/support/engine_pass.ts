/** Losses and gradients of the training engine over a few batches, on any device. */

import assert from "node:assert/strict";
import { adaptModel } from "../../lora/load_adapter.ts";
import type { LoraOptions } from "../../lora/lora_options.ts";
import { BASE_STORAGES, type BaseDtype, storedTypes } from "../../model/base_storage.ts";
import type { ModelConfig } from "../../model/config.ts";
import { modelParameters } from "../../model/parameters.ts";
import type { LabelledGrid } from "../../model/engine/batch.ts";
import { loadQuantized } from "../../model/engine/load_quantized.ts";
import { loadWeights } from "../../model/engine/load_weights.ts";
import { layoutParameters, ParameterStore } from "../../model/engine/parameter_store.ts";
import { QuantizedStore } from "../../model/engine/quantized_store.ts";
import { TrainingEngine, type TrainingEngineOptions } from "../../model/engine/training_engine.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import { assertClose } from "../../ort/tensor/assert_close.ts";
import { resolveBaseStorage } from "../../train/resolve_base_storage.ts";
import { draws } from "./random.ts";
import { emptyStore, randomWeights } from "./tiny_model.ts";

/** What the batches gave. */
export interface EnginePass {
  readonly losses: Float32Array;
  readonly gradients: ReadonlyMap<string, Float32Array>;
}

/** What is run. */
export interface EngineCase {
  readonly config: ModelConfig;
  readonly batches: readonly LabelledGrid[];
  /** How the matrices of a frozen base are stored; products are in float32. @default "fp32" */
  readonly base?: BaseDtype;
  /** @default all weights are trained */
  readonly lora?: LoraOptions;
  readonly options?: TrainingEngineOptions;
}

/** In 8 and 4 bits with the smallest blocks, so that rows have several and no whole number of them. */
async function loadBase(
  on: Runtime,
  source: ParameterStore,
  { config, base }: { readonly config: ModelConfig; readonly base: BaseDtype },
): Promise<ParameterStore> {
  const specs = modelParameters(config);
  if (base !== "int8" && base !== "int4") {
    const dtypes = storedTypes(specs, BASE_STORAGES[base]);
    const weights = new ParameterStore(on, layoutParameters(specs), { dtypes });
    await loadWeights(on, weights, source);
    return weights;
  }
  const asked = { baseDtype: base, baseCompute: "fp32", baseBlockSize: 32 } as const;
  const storage = resolveBaseStorage(on.device, asked);
  const weights = new QuantizedStore(on, specs, { dtype: "float32", storage });
  await loadQuantized(on, weights, source, { specs });
  return weights;
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

/**
 * Runs batches with random weights, padding included unless options say otherwise.
 *
 * @param host the CPU, where weights are drawn
 */
export async function enginePass(
  on: Runtime,
  host: Runtime,
  { config, batches, base = "fp32", lora, options }: EngineCase,
): Promise<EnginePass> {
  using source = randomWeights(host, config);
  using weights = await loadBase(on, source, { config, base });
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
  for (const [i, batch] of batches.entries()) {
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

/** Holds one pass against another; answers the worst errors over a tensor's largest. */
export function assertSamePass(
  actual: EnginePass,
  expected: EnginePass,
  limits: { readonly losses: number; readonly gradients: number },
): { readonly losses: number; readonly gradients: number } {
  assert.ok(expected.losses.length > 100);
  const largest = (values: Float32Array): number =>
    values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const losses = assertClose(actual.losses, expected.losses, {
    label: "losses",
    relativeToMax: limits.losses,
  });
  let worst = 0;
  for (const [name, wanted] of expected.gradients) {
    const { maxAbsolute } = assertClose(actual.gradients.get(name)!, wanted, {
      label: name,
      relativeToMax: limits.gradients,
    });
    worst = Math.max(worst, maxAbsolute / (largest(wanted) || 1));
  }
  return { losses: losses.maxAbsolute / largest(expected.losses), gradients: worst };
}
