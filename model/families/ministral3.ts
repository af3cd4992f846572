/**
 * Ministral 3, the text model: Mistral's block, YaRN, and queries that grow with their positions as Llama
 * 4's. The published checkpoints hold it inside a model of images (`Mistral3ForConditionalGeneration`),
 * whose text model is to be saved alone.
 *
 * https://github.com/huggingface/transformers/blob/v5.24.0/src/transformers/models/ministral3/modeling_ministral3.py
 *
 * @module
 */

import { showValue } from "../../internal/json/field_table.ts";
import { isRecord } from "../../internal/json/is_record.ts";
import type { QueryGrowth } from "../parts/layer_kind.ts";
import type { ConfigReader } from "./config_reader.ts";
import type { Family } from "./family.ts";
import { layersByWindow, readWindow } from "./layer_types.ts";
import { mistral } from "./mistral.ts";

const ORIGINAL = "original_max_position_embeddings";
/** Fields of the rotary dictionary that only this family's classes read, or leave unread. */
const OF_ROPE = ["llama_4_scaling_beta", ORIGINAL, "max_position_embeddings"];

/** `model_type` ministral3. */
export const ministral3: Family = {
  ...mistral,
  className: "Ministral3",
  defaults: { maxPositions: 262144, headDim: 128, rmsNormEps: 1e-5, padTokenId: 11 },
  read: (reader, { layers, readRope }) => ({
    layerKinds: layersByWindow(reader, layers, {
      window: readWindow(reader),
      rope: readRope({ alsoRead: OF_ROPE }),
      queryGrowth: readGrowth(reader),
    }),
  }),
};

/** The class has no default for either field where there is a dictionary without them. */
function readGrowth({ raw, fail }: ConfigReader): QueryGrowth {
  const field = isRecord(raw.rope_parameters) ? "rope_parameters" : "rope_scaling";
  const dictionary = raw[field];
  if (!isRecord(dictionary)) {
    return fail(
      "rope_parameters",
      `must be an object with llama_4_scaling_beta and original_max_position_embeddings, got ${
        showValue(raw.rope_parameters)
      }`,
    );
  }
  const number = (name: string): number => {
    // The field beside the dictionary comes first, as everywhere; parseRope refuses two that differ.
    const value = (name === ORIGINAL ? raw[name] : undefined) ?? dictionary[name];
    if (typeof value === "number" && value >= 0 && Number.isFinite(value)) return value;
    return fail(`${field}.${name}`, `must be a number from 0, got ${showValue(value)}`);
  };
  const span = number(ORIGINAL);
  if (span === 0) fail(`${field}.${ORIGINAL}`, "must be above 0, got 0");
  return { beta: number("llama_4_scaling_beta"), span };
}
