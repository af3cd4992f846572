/**
 * An adapter's folder, checked against a model before any weight of either is read. In: the folder and
 * the model's config. Out: settings, and weights under Hugging Face's names.
 *
 * @module
 */

import { stat } from "node:fs/promises";
import { findRegularFile, isAbsent } from "../internal/regular_file.ts";
import { listFields } from "../internal/json/field_table.ts";
import type { ModelConfig } from "../model/config.ts";
import { misshapenTensors } from "../model/weights/compare_weights.ts";
import { modelParameters } from "../model/parameters.ts";
import type { ParameterSpec } from "../model/parts/parameter_spec.ts";
import { openSafetensors } from "../ort/tensor/safetensors_file.ts";
import { quoteNames } from "../ort/tensor/tensor_errors.ts";
import type { TensorSource } from "../ort/tensor/tensor_source.ts";
import {
  ADAPTER_CONFIG,
  ADAPTER_WEIGHTS,
  type AdapterConfig,
  readAdapterConfig,
} from "./adapter_config.ts";
import { loraParameters } from "./block_adapter.ts";
import { finiteSource } from "./finite_source.ts";
import { loraTargets, settingsWithoutLayer } from "./lora_targets.ts";
import { fromPeft } from "./peft_source.ts";

/** What older releases of PEFT saved weights in. */
const PICKLED_WEIGHTS = "adapter_model.bin";

/** An adapter's folder that fits a model. */
export interface AdapterFolder extends AsyncDisposable {
  /** Its settings, with notes on what of them is not honoured. */
  readonly lora: AdapterConfig;
  /** Its weights, `model.layers.0.self_attn.q_proj.lora_A.weight` and so on; reads fail at NaN. */
  readonly weights: TensorSource;
}

/**
 * Opens an adapter's folder for a model.
 *
 * @throws {RangeError} naming the settings that cannot be honoured
 * @throws {Error} naming together all tensors that do not fit the model
 */
export async function openAdapter(directory: string, config: ModelConfig): Promise<AdapterFolder> {
  const settings = await readAdapterConfig(directory);
  const path = `${directory}/${ADAPTER_CONFIG}`;
  loraTargets(config, settings, { from: path });
  const idle = settingsWithoutLayer(config, settings);
  const notes = idle.length === 0
    ? settings.notes
    : [...settings.notes, `${path}: ${listFields(idle)}, which no adapted layer of the model fits`];
  const lora = { ...settings, notes };
  const weights = await openAdapterWeights(directory, loraParameters(config, lora), config);
  return { lora, weights, [Symbol.asyncDispose]: () => weights[Symbol.asyncDispose]() };
}

/** Opens an adapter's weights, which must be those of `parameters`. */
export async function openAdapterWeights(
  directory: string,
  parameters: readonly ParameterSpec[],
  config?: ModelConfig,
): Promise<TensorSource & AsyncDisposable> {
  await assertNotPickled(directory);
  const path = `${directory}/${ADAPTER_WEIGHTS}`;
  const { problem } = await findRegularFile(path, { root: directory }).catch(absent);
  if (problem !== undefined) {
    throw new RangeError(
      `Cannot open adapter ${directory}: ${ADAPTER_WEIGHTS} ${problem}; put the file itself there`,
    );
  }
  const file = await openSafetensors(path);
  try {
    const source = fromPeft(file);
    assertFits(source, { parameters, directory, config });
    return {
      ...finiteSource(source, directory),
      [Symbol.asyncDispose]: () => file[Symbol.asyncDispose](),
    };
  } catch (cause) {
    await file[Symbol.asyncDispose]();
    throw cause;
  }
}

async function assertNotPickled(directory: string): Promise<void> {
  const isThere = async (name: string): Promise<boolean> => {
    try {
      return (await stat(`${directory}/${name}`)).isFile();
    } catch {
      return false;
    }
  };
  if (await isThere(ADAPTER_WEIGHTS) || !await isThere(PICKLED_WEIGHTS)) return;
  throw new Error(
    `Cannot load weights from ${directory}: there is no ${ADAPTER_WEIGHTS}, and ${PICKLED_WEIGHTS} is ` +
      "pickled, which runs what it holds; load it with PEFT and save it again (save_pretrained)",
  );
}

function assertFits(
  source: TensorSource,
  { parameters, directory, config }: {
    readonly parameters: readonly ParameterSpec[];
    readonly directory: string;
    readonly config?: ModelConfig;
  },
): void {
  const held = new Set(source.names());
  const known = new Set(parameters.map(({ name }) => name));
  const base = new Set(config ? modelParameters(config).map(({ name }) => name) : []);
  const missing = [...known].filter((name) => !held.has(name));
  const others = [...held].filter((name) => !known.has(name));
  const ofBase = others.filter((name) => base.has(name) || name === "lm_head.weight");
  const unknown = others.filter((name) => !ofBase.includes(name));
  const problems: string[] = [];
  if (missing.length > 0) problems.push(`missing: ${quoteNames(missing)}`);
  if (ofBase.length > 0) {
    problems.push(
      `weights of the model itself, which PEFT would put in place of the base's: ${
        quoteNames(ofBase)
      } (merge the adapter with PEFT)`,
    );
  }
  if (unknown.length > 0) {
    problems.push(`not part of the adapter that its settings describe: ${quoteNames(unknown)}`);
  }
  const present = parameters.filter(({ name }) => held.has(name));
  problems.push(...misshapenTensors(present, source, "the settings say"));
  if (problems.length === 0) return;
  throw new Error(
    `Cannot load weights from ${directory}: they do not fit its ${ADAPTER_CONFIG} and the model\n  ` +
      problems.join("\n  ") +
      "\nTake the adapter's files from one folder, and the model that it was trained on",
  );
}

/** Of a file that is not there its reader tells. */
function absent(cause: unknown): { readonly problem?: undefined } {
  if (isAbsent(cause)) return {};
  throw cause;
}
