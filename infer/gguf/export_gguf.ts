/**
 * Writes a model as a GGUF file, for llama.cpp, Ollama and what else is built on them.
 *
 * In: a model, its tokenizer and how it was taught to chat. Out: one file.
 *
 * @module
 */

import { MAX_FILE_BYTES, type Tokenizer } from "../../data/text/tokenizer.ts";
import {
  GGUF_FILE_TYPES,
  type GgufFileType,
  type GgufValue,
  tensorTypes,
  writeGguf,
  type WrittenBytes,
} from "../../gguf/mod.ts";
import { isRecord } from "../../internal/json/is_record.ts";
import { readCappedText } from "../../internal/regular_file.ts";
import type { ModelConfig } from "../../model/config.ts";
import type { TensorSource } from "../../ort/tensor/tensor_source.ts";
import { ggufTensors } from "./gguf_tensors.ts";
import { modelMetadata } from "./model_metadata.ts";
import { GGUF_ARCHITECTURES } from "./tensor_names.ts";
import { tokenizerMetadata } from "./tokenizer_metadata.ts";

/** The version of ggml's quantized types. */
const QUANTIZATION_VERSION = 2;

/** What {@linkcode exportGguf} writes. */
export interface ExportGgufOptions {
  /** Sizes and options of the model. */
  readonly config: ModelConfig;
  /** Its weights under Hugging Face's names. */
  readonly weights: TensorSource;
  /** The folder that tokenizer.json lies in. */
  readonly model: string;
  /** The tokenizer, with the template that shall be in the file. */
  readonly tokenizer: Tokenizer;
  /** How the numbers are stored. */
  readonly dtype: GgufFileType;
  /** `general.name`, which programs show. */
  readonly name: string;
  /** Ids that end a reply, the one that training taught first. @default the tokenizer's own */
  readonly eosTokenIds?: readonly number[];
  /** Called with the bytes written so far and in all. */
  readonly onBytes?: (written: number, total: number) => void;
  /** Stops between two runs of rows and leaves no file. */
  readonly signal?: AbortSignal;
}

/** A file that was written. */
export interface ExportedGguf extends WrittenBytes {
  /** What llama.cpp does otherwise, one sentence each. */
  readonly notes: readonly string[];
}

/**
 * Writes the file; what is held of weights at a time is some rows.
 *
 * @example
 * ```ts
 * import { byteTokenizerFiles, loadTokenizer, parseConfig, Runtime } from "@ortune/ortune";
 * import { openGguf } from "@ortune/ortune/gguf";
 * import { exportGguf } from "@ortune/ortune/infer";
 * import { layoutParameters, modelParameters, ParameterStore } from "@ortune/ortune/model";
 * import assert from "node:assert/strict";
 *
 * const model = await Deno.makeTempDir();
 * const { tokenizerJson, tokenizerConfig } = byteTokenizerFiles();
 * await Deno.writeTextFile(`${model}/tokenizer.json`, JSON.stringify(tokenizerJson));
 * await Deno.writeTextFile(`${model}/tokenizer_config.json`, JSON.stringify(tokenizerConfig));
 * const tokenizer = await loadTokenizer(model);
 * const config = parseConfig({ model_type: "qwen3", hidden_size: 16, intermediate_size: 32,
 *   num_hidden_layers: 1, num_attention_heads: 2, head_dim: 8, vocab_size: 261, eos_token_id: 258 });
 * using runtime = new Runtime({ threads: 1 });
 * using weights = new ParameterStore(runtime, layoutParameters(modelParameters(config)));
 * weights.flat.float32().fill(0.5);
 *
 * const path = `${model}/tiny.gguf`;
 * await exportGguf(path, { config, weights, model, tokenizer, dtype: "f16", name: "tiny" });
 * {
 *   await using file = await openGguf(path);
 *   assert.equal(file.tensor("blk.0.attn_q.weight").type, "f16");
 * }
 * await Deno.remove(model, { recursive: true });
 * ```
 *
 * @throws {RangeError} on a model or a tokenizer that llama.cpp has nothing like, before anything is written
 */
export async function exportGguf(path: string, options: ExportGgufOptions): Promise<ExportedGguf> {
  const { config, weights, model, tokenizer, dtype, onBytes, signal } = options;
  const sizes = modelMetadata(config);
  const tokenizerPath = `${model}/tokenizer.json`;
  const tokenizerJson = JSON.parse(
    await readCappedText(tokenizerPath, { maxBytes: MAX_FILE_BYTES, remedy: "copy it again" }),
  );
  const { eosTokenIds = [tokenizer.eosTokenId].filter((id) => id !== undefined) } = options;
  const words = tokenizerMetadata({
    tokenizer,
    tokenizerJson,
    path: tokenizerPath,
    rows: config.vocabSize,
    eosTokenIds,
    addBos: beginsWithBos(tokenizer, tokenizerJson),
  });
  const { name, note } = nameFor(options.name, tokenizerJson);
  const text = (value: string): GgufValue => ({ type: "string", value });
  const rows = ggufTensors(config, weights);
  const types = tensorTypes(dtype, rows);
  const isQuantized = !["f32", "f16", "bf16"].includes(dtype);
  const metadata = new Map<string, GgufValue>([
    ["general.architecture", text(GGUF_ARCHITECTURES[config.modelType].name)],
    ["general.type", text("model")],
    ["general.name", text(name)],
    ["general.file_type", { type: "uint32", value: GGUF_FILE_TYPES[dtype].number }],
    ...isQuantized
      ? [
        [
          "general.quantization_version",
          { type: "uint32", value: QUANTIZATION_VERSION },
        ] as const,
      ]
      : [],
    ...sizes.entries,
    ...words.entries,
  ]);
  const written = await writeGguf(path, {
    metadata,
    tensors: rows.map((tensor) => ({ ...tensor, type: types.get(tensor.name)! })),
    onBytes,
    signal,
  });
  return { ...written, notes: [...sizes.notes, ...words.notes, ...note ? [note] : []] };
}

/**
 * Whether programs shall begin each text with the token that begins a sequence: where chats do, as they were
 * trained; without a template, where the tokenizer's own settings say so.
 */
function beginsWithBos(
  tokenizer: Tokenizer,
  tokenizerJson: Readonly<Record<string, unknown>>,
): boolean {
  const { bosTokenId, chatTemplate } = tokenizer;
  if (bosTokenId === undefined) return false;
  if (chatTemplate !== undefined) {
    const chat = tokenizer.render([{ role: "user", content: "?" }], { addGenerationPrompt: true });
    return tokenizer.encode(chat)[0] === bosTokenId;
  }
  const { post_processor: after } = tokenizerJson;
  const steps = isRecord(after) && Array.isArray(after.processors) ? after.processors : [after];
  const [first] = steps.flatMap((step) =>
    isRecord(step) && step.type === "TemplateProcessing" && Array.isArray(step.single)
      ? step.single
      : []
  );
  return isRecord(first) && "SpecialToken" in first;
}

/** llama.cpp takes blanks off behind the special tokens of models of this name. */
const STRIPS = /phi-?3/i;

/** The name, so that llama.cpp treats blanks behind special tokens as the tokenizer does. */
function nameFor(
  name: string,
  { added_tokens: added }: Readonly<Record<string, unknown>>,
): { readonly name: string; readonly note?: string } {
  const tokens = Array.isArray(added) ? added.filter(isRecord) : [];
  const stripping = tokens.filter((token) => token.rstrip === true || token.lstrip === true);
  if (stripping.length === 0) return { name: name.replace(STRIPS, "phi 3") };
  // Phi-3's own tokens are the only ones that it knows.
  if (stripping.every(({ lstrip }) => lstrip !== true)) {
    return { name: STRIPS.test(name) ? name : `${name} (phi-3)` };
  }
  return {
    name,
    note: `the tokenizer takes blanks off beside ${stripping.length} of its tokens, such as ${
      JSON.stringify(stripping[0].content)
    }, and llama.cpp does not`,
  };
}
