/**
 * Exports of one checkpoint beside each other.
 *
 * In: what export folders say of themselves. Out: a row for each exported model, the largest first, and JSON of them.
 */

import type { GgufReport } from "../../infer/gguf/verify_gguf.ts";
import type { KeptParity, KeptQuestions, ParityFile } from "./parity_file.ts";

/** An export folder. */
export interface ExportFolder {
  /** As it was given; empty on its own page. */
  readonly folder: string;
  readonly file: ParityFile;
}

/** One exported model. */
export interface ComparedExport {
  /** Format and dtype, such as `GGUF q8_0`. */
  readonly name: string;
  readonly folder: string;
  readonly format: ParityFile["exportFormat"];
  /** Of all its files. */
  readonly bytes: number;
  /** Bits of its files for each number of the model. */
  readonly bitsPerWeight: number;
  /** @default it was not compared */
  readonly compared?: {
    readonly parity: KeptParity;
    /** How much more its perplexity is than the checkpoint's, as a share of that. */
    readonly change: number;
    /** What it went on with after each prompt. */
    readonly replies: readonly string[];
  };
  /** What llama.cpp makes of the file besides, where it was asked. */
  readonly llama?: Pick<GgufReport, "template" | "texts" | "ends">;
}

/** A checkpoint and its exports. */
export interface ComparedExports {
  /** The folder or folders of the checkpoint. */
  readonly checkpoint: string;
  readonly bytes: number;
  readonly parameters: number;
  readonly bitsPerWeight: number;
  /** @default nothing was compared */
  readonly perplexity?: number;
  /** Tokens that perplexity is measured on. */
  readonly textTokens?: number;
  readonly questions?: KeptQuestions;
  readonly exports: readonly ComparedExport[];
}

const FORMAT_NAMES: Readonly<Record<ParityFile["exportFormat"], string>> = {
  onnx: "ONNX",
  hf: "safetensors",
  gguf: "GGUF",
};
/** Hexadecimal digits of a hash that an error shows. */
const HASH_DIGITS = 12;

/**
 * Puts the folders' exports together.
 *
 * @throws {Error} where they are not of one checkpoint, or were not asked the same
 */
export function compareExports(folders: readonly ExportFolder[]): ComparedExports {
  const [first] = folders;
  assertOneCheckpoint(folders);
  const asked = folders.filter(({ file }) => file.questions !== undefined);
  assertSameQuestions(asked);
  const { checkpoint: { bytes, parameters } } = first.file;
  const bits = (size: number): number => 8 * size / parameters;
  const exports = folders.flatMap(({ folder, file: { exportFormat, exports, adapterKept } }) =>
    Object.entries(exports).map(([dtype, kept]): ComparedExport => {
      const { bytes, parity, replies = [], template, texts, ends } = kept;
      const format = FORMAT_NAMES[exportFormat];
      return {
        name: `${format} ${exportFormat === "hf" ? "fp32" : dtype}${
          adapterKept ? ", adapter apart" : ""
        }`,
        folder,
        format: exportFormat,
        bytes,
        bitsPerWeight: bits(bytes),
        ...parity
          ? {
            compared: {
              parity,
              change: parity.perplexity.difference / parity.perplexity.checkpoint,
              replies,
            },
          }
          : {},
        ...texts && ends ? { llama: { template: template === true, texts, ends } } : {},
      };
    })
  ).toSorted((a, b) => b.bytes - a.bytes);
  const { perplexity } = exports.find(({ compared }) => compared)?.compared?.parity ?? {};
  return {
    checkpoint: nameOf(first.file),
    bytes,
    parameters,
    bitsPerWeight: bits(bytes),
    ...perplexity ? { perplexity: perplexity.checkpoint, textTokens: perplexity.tokens } : {},
    ...asked.length > 0 ? { questions: asked[0].file.questions } : {},
    exports,
  };
}

/** The comparison as JSON; what is not finite is null. */
export function exportsJson(
  { exports, questions, checkpoint, perplexity, ...facts }: ComparedExports,
): string {
  const json = {
    format: "ortune-exports-1",
    checkpoint: {
      name: checkpoint,
      bytes: facts.bytes,
      parameters: facts.parameters,
      bits_per_weight: facts.bitsPerWeight,
      perplexity: perplexity ?? null,
    },
    exports: exports.map(({ name, folder, bytes, bitsPerWeight, compared, llama }) => ({
      name,
      folder,
      bytes,
      bits_per_weight: bitsPerWeight,
      ...compared
        ? {
          perplexity: compared.parity.perplexity.export,
          perplexity_change: compared.change,
          max_logit_difference: compared.parity.maxAbsolute,
          mean_logit_difference: compared.parity.meanAbsolute,
          largest_logit: compared.parity.largestLogit,
          positions: compared.parity.positions,
          greedy_tokens: compared.parity.greedy.tokens,
          greedy_same: compared.parity.greedy.same,
          replies: compared.replies,
        }
        : {},
      ...llama ? { llama_cpp: llama } : {},
    })),
    prompts: questions?.prompts.map(({ text, reply }) => ({ text, checkpoint: reply })) ?? [],
  };
  return `${JSON.stringify(json, null, 1)}\n`;
}

/** Folders that a checkpoint is made of. */
function nameOf({ model, adapter }: ParityFile): string {
  return adapter === undefined ? model : `${adapter} on ${model}`;
}

function assertOneCheckpoint(folders: readonly ExportFolder[]): void {
  const [first] = folders;
  const tell = ({ folder, file }: ExportFolder): string =>
    `${folder} is of ${nameOf(file)} (sha256 ${file.checkpoint.sha256.slice(0, HASH_DIGITS)})`;
  const other = folders.find(({ file }) => file.checkpoint.sha256 !== first.file.checkpoint.sha256);
  if (other === undefined) return;
  throw new Error(
    `Cannot compare exports of different checkpoints: ${tell(first)}, and ${
      tell(other)
    }; export both from one`,
  );
}

function assertSameQuestions(asked: readonly ExportFolder[]): void {
  const [first] = asked;
  const other = asked.find(({ file }) => file.questions!.sha256 !== first.file.questions!.sha256);
  if (other === undefined) return;
  const tell = ({ folder, file: { questions } }: ExportFolder): string =>
    `${folder} ${questions!.greedyTokens} tokens after each prompt and the text ${questions!.text}`;
  throw new Error(
    `Cannot compare answers to different questions: ${tell(first)}, ${
      tell(other)
    }; export again with the same --parity-file and --parity-tokens, chat template and tokenizer`,
  );
}
