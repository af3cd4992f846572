/**
 * The number formats of an export. In: the name as transformers.js has it. Out: what weights and
 * activations are, and the suffix of the model's file.
 *
 * @module
 */

/** A `dtype` of transformers.js that ortune exports to. */
export type ExportDtype = "fp32" | "fp16" | "q4" | "q4f16";

/** What an exported graph computes with. */
export interface ExportFormat {
  /** Of activations, caches, norms and biases, and of matrices that are not quantized. */
  readonly float: "float32" | "float16";
  /**
   * Bits of matrices in blocks of {@linkcode BLOCK} with a scale each. The embedding and the head
   * have twice as many: with 4 they do as much harm as all blocks together (measured on
   * SmolLM2-135M: perplexity 63.0, blocks alone in 4 bits 74.6, all 80.1), with 8 none.
   * @default {matrices are floats}
   */
  readonly bits?: { readonly blocks: 4; readonly table: 8 };
  /**
   * Whether MatMulNBits may round activations to 8 bits (4) or not (0). On the CPU 4 is several times
   * as fast and errs far less than the 4-bit weights do; of float16 activations ONNX Runtime 1.30
   * makes nonsense at 4 on x86 (measured), and WebGPU needs it not.
   */
  readonly accuracyLevel: 0 | 4;
  /** What stands between `model` and `.onnx` in the file's name. */
  readonly suffix: string;
}

/** Numbers of a row that share a scale. */
export const BLOCK = 32;

const BITS = { blocks: 4, table: 8 } as const;

/** The formats by name; suffixes are those that transformers.js looks for. */
export const EXPORT_FORMATS: Readonly<Record<ExportDtype, ExportFormat>> = {
  fp32: { float: "float32", accuracyLevel: 0, suffix: "" },
  fp16: { float: "float16", accuracyLevel: 0, suffix: "_fp16" },
  q4: { float: "float32", bits: BITS, accuracyLevel: 4, suffix: "_q4" },
  q4f16: { float: "float16", bits: BITS, accuracyLevel: 0, suffix: "_q4f16" },
};

/** The name of the model's file inside the folder `onnx`. */
export function modelFile(dtype: ExportDtype): string {
  return `model${EXPORT_FORMATS[dtype].suffix}.onnx`;
}
