/**
 * What an adapter's base was kept in while it was trained.
 *
 * In: an adapter folder. Out: the settings of a base in 8 or 4 bits, of the training_args.json that
 * ortune's checkpoints have; nothing of any other folder.
 */

import { isRecord } from "../internal/json/is_record.ts";
import { readJson } from "../internal/json/read_json.ts";
import { BASE_STORAGES, type BaseStorage } from "../model/base_storage.ts";
import { BASE_BLOCK_SIZES, BASE_COMPUTES, type Quantization } from "../model/quantization.ts";

/** The file's name in a checkpoint. */
export const TRAINING_ARGS = "training_args.json";

/** How the adapter's base was rounded while it was trained, so that it can be again; undefined where it was not. */
export async function trainedRounding(
  adapter: string | undefined,
): Promise<Quantization | undefined> {
  return adapter === undefined ? undefined : (await trainedBase(adapter))?.quantization;
}

/** The storage of a base in 8 or 4 bits that the adapter was trained on; undefined of any other. */
export async function trainedBase(adapter: string): Promise<BaseStorage | undefined> {
  const facts = await readJson(
    `${adapter}/${TRAINING_ARGS}`,
    "copy it again from the checkpoint",
  );
  if (!isRecord(facts)) return undefined;
  const storage = [BASE_STORAGES.int8, BASE_STORAGES.int4]
    .find(({ name }) => name === facts.base_dtype);
  if (!storage) return undefined;
  const block = BASE_BLOCK_SIZES.find((size) => size === facts.base_block_size);
  const compute = BASE_COMPUTES.find((name) => name === facts.base_compute);
  if (block === undefined || compute === undefined) return undefined;
  return { ...storage, quantization: { ...storage.quantization!, block, compute } };
}
