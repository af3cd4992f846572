/**
 * Replies of an exported model.
 *
 * In: the folder of an export. Out: a `Generator` over its ONNX file, which needs no checkpoint: with
 * 4-bit weights it reads a fifth of the bytes a token.
 *
 * @module
 */

import { isFile } from "../../internal/path_kind.ts";
import { readGenerationConfig } from "../generate/generation_config.ts";
import { decoderGenerator, type Generator } from "../generate/generator.ts";
import { readConfig } from "../../model/weights/open_model.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import { ExportedDecoder } from "./exported_decoder.ts";
import { type ExportDtype, modelFile } from "./export_format.ts";

/** Of the models of a folder the first of these is taken: the fewest bytes a token on a CPU. */
const PREFERRED: readonly ExportDtype[] = ["q4", "fp32", "fp16", "q4f16"];

// A folder with these is a checkpoint, whatever others put beside it: SmolLM2's has a folder onnx too.
const CHECKPOINT: readonly string[] = ["model.safetensors", "model.safetensors.index.json"];

/**
 * Which model of an export's folder to run; undefined where the folder is none, or a checkpoint.
 *
 * @param wanted @default the one that is fastest on a CPU
 */
export async function findExported(
  directory: string,
  wanted: readonly ExportDtype[] = PREFERRED,
): Promise<ExportDtype | undefined> {
  for (const name of CHECKPOINT) if (await isFile(`${directory}/${name}`)) return undefined;
  for (const dtype of wanted) {
    if (await isFile(`${directory}/onnx/${modelFile(dtype)}`)) return dtype;
  }
  return undefined;
}

/** What {@linkcode exportedGenerator} opens. */
export interface ExportedGeneratorOptions {
  /** Which model of the folder. */
  readonly dtype: ExportDtype;
  /** The tokenizer's end of a reply, where the folder's settings have none. */
  readonly tokenizer?: { readonly eosTokenId: number | undefined };
  /** Is told what of the folder's settings is not honoured. @default {nothing} */
  readonly onNote?: (note: string) => void;
}

/**
 * Opens an export for generation.
 *
 * @throws {Error} where a file is missing or ONNX Runtime refuses the model
 */
export async function exportedGenerator(
  runtime: Runtime,
  directory: string,
  { dtype, tokenizer, onNote }: ExportedGeneratorOptions,
): Promise<Generator> {
  const config = await readConfig(directory);
  const generation = await readGenerationConfig(directory, { config, tokenizer });
  for (const note of [...config.notes, ...generation.notes]) onNote?.(note);
  return decoderGenerator(new ExportedDecoder(runtime, directory, { config, dtype }), {
    config,
    generation,
  });
}
