/**
 * The text model of a model of images and text whose text model can be read alone.
 *
 * In: a parsed config.json. Out: what a config.json of the text model alone would be, and what is left out.
 *
 * @module
 */

import { FieldTable, listFields, showValue } from "../../internal/json/field_table.ts";
import { isRecord } from "../../internal/json/is_record.ts";
import { type ConfigReader, configReader } from "./config_reader.ts";

/** A model around a text model. */
interface Wrapper {
  /** `model_type` of the text model. */
  readonly text: string;
  /** transformers' class of the text model alone, which is saved. */
  readonly architecture: string;
  /** The class of the whole. */
  readonly whole: string;
}

/** By `model_type` of the whole. */
const WRAPPERS: Readonly<Record<string, Wrapper>> = {
  qwen3_5: {
    text: "qwen3_5_text",
    architecture: "Qwen3_5ForCausalLM",
    whole: "Qwen3_5ForConditionalGeneration",
  },
};

/** The fields of the whole model. */
const FIELDS = new FieldTable({
  honoured: ["architectures", "model_type", "text_config", "tie_word_embeddings", "vision_config"],
  // Tokens of images, which no text has, and notes of the tools that wrote the file.
  ignored: [
    "_name_or_path",
    "dtype",
    "image_token_id",
    "torch_dtype",
    "transformers_version",
    "video_token_id",
    "vision_end_token_id",
    "vision_start_token_id",
  ],
  refused: {
    quantization_config: { remedy: "ortune trains float weights; use the unquantized model" },
  },
});

/** Reads a config.json, of its text model where it is of more. */
export function textReader(json: unknown, path: string): ConfigReader {
  const whole = configReader(json, path);
  const { raw, fail, note } = whole;
  const { model_type: type, text_config: text } = raw;
  if (typeof type !== "string" || !Object.hasOwn(WRAPPERS, type)) return whole;
  const wrapper = WRAPPERS[type];
  if (!isRecord(text)) fail("text_config", `must be an object, got ${showValue(text)}`);
  const own = text as Readonly<Record<string, unknown>>;
  const { refused: [refused], unknown } = FIELDS.review(raw);
  if (refused) fail(refused.field, refused.message.slice(refused.field.length + 1));
  if (JSON.stringify(raw.architectures ?? [wrapper.whole]) !== JSON.stringify([wrapper.whole])) {
    fail("architectures", `is ${showValue(raw.architectures)}: only ${wrapper.whole} is supported`);
  }
  if ((own.model_type ?? wrapper.text) !== wrapper.text) {
    fail("text_config.model_type", `is ${showValue(own.model_type)}, not ${wrapper.text}`);
  }
  const [tied, textTied] = [raw.tie_word_embeddings, own.tie_word_embeddings];
  if ((tied ?? textTied) !== (textTied ?? tied)) {
    fail(
      "tie_word_embeddings",
      `is ${showValue(tied)} and text_config.tie_word_embeddings is ${showValue(textTied)}: ` +
        "transformers' classes differ in which they take; remove the wrong one",
    );
  }
  note(
    `it is a model of images and text (${type}): its text model is read, its parts for images are left ` +
      "out, and what is saved is a text model",
  );
  if (unknown.length > 0) {
    note(
      `it holds fields that ortune does not know: ${
        listFields(unknown)
      }; if they change the model ` +
        "its results are wrong",
    );
  }
  const tie = textTied ?? tied;
  const reader = configReader({
    ...own,
    architectures: [wrapper.architecture],
    model_type: wrapper.text,
    ...tie === undefined ? {} : { tie_word_embeddings: tie },
  }, `${path}: text_config`);
  // Notes of both, in one list.
  return {
    ...reader,
    notes: whole.notes,
    note: (message) => note(`text_config: ${message}`),
  };
}
