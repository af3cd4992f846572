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
  /** Whether matrices are 4-bit numbers in blocks of {@linkcode BLOCK} with a scale each. */
  readonly quantized: boolean;
  /** What stands between `model` and `.onnx` in the file's name. */
  readonly suffix: string;
}

/** Numbers of a row that share a scale. */
export const BLOCK = 32;

/** The formats by name; suffixes are those that transformers.js looks for. */
export const EXPORT_FORMATS: Readonly<Record<ExportDtype, ExportFormat>> = {
  fp32: { float: "float32", quantized: false, suffix: "" },
  fp16: { float: "float16", quantized: false, suffix: "_fp16" },
  q4: { float: "float32", quantized: true, suffix: "_q4" },
  q4f16: { float: "float16", quantized: true, suffix: "_q4f16" },
};

/** The name of the model's file inside the folder `onnx`. */
export function modelFile(dtype: ExportDtype): string {
  return `model${EXPORT_FORMATS[dtype].suffix}.onnx`;
}
