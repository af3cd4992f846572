/** What `deno task export --format gguf` writes: GGUF files, an adapter's beside them, and a Modelfile for Ollama. */

import type { GgufFileType } from "../../gguf/mod.ts";
import { openChat, withTaughtEnds } from "../../infer/chat/chat_context.ts";
import { readGenerationConfig } from "../../infer/generate/generation_config.ts";
import { exportGgufAdapter } from "../../infer/gguf/export_gguf_adapter.ts";
import { exportGguf } from "../../infer/gguf/export_gguf.ts";
import { LlamaLibrary } from "../../infer/gguf/llama_library.ts";
import { formatModelfile } from "../../infer/gguf/modelfile.ts";
import { type GgufReport, verifyGguf } from "../../infer/gguf/verify_gguf.ts";
import type { LoraOptions } from "../../lora/lora_options.ts";
import type { ModelConfig } from "../../model/config.ts";
import type { TensorSource } from "../../ort/tensor/tensor_source.ts";
import { formatBytes, formatDuration } from "../../train/track/format_units.ts";
import { during } from "../../train/runs/wait_line.ts";
import { keepParity, type KeptExport } from "../export_report/parity_file.ts";
import { terminal } from "../terminal/terminal.ts";
import { describeParity } from "./describe_parity.ts";
import type { Comparison } from "./parity_questions.ts";

/** The file of the adapter, where it stays apart. */
const ADAPTER_FILE = "adapter.gguf";
const MODELFILE = "Modelfile";

/** What is written. */
export interface GgufFolderOptions {
  /** The model's folder. */
  readonly model: string;
  /** An adapter on it. @default none */
  readonly adapter?: {
    readonly directory: string;
    readonly lora: LoraOptions;
    readonly weights: TensorSource;
  };
  /** Whether the adapter is a file of its own, and `weights` are the model's alone. */
  readonly keepAdapter: boolean;
  readonly config: ModelConfig;
  /** Under Hugging Face's names. */
  readonly weights: TensorSource;
  readonly dtypes: readonly GgufFileType[];
  /** What programs show as the model's name. */
  readonly name: string;
  readonly threads?: number;
  /** Asks the checkpoint what llama.cpp is then asked. @default nothing is compared */
  readonly ask?: () => Promise<Comparison>;
  readonly signal: AbortSignal;
}

/** Writes the files and prints a line for each; answers the reports by dtype. */
export async function writeGgufFolder(
  folder: string,
  options: GgufFolderOptions,
): Promise<Record<string, KeptExport>> {
  const { model, adapter, keepAdapter, config, weights, dtypes, name, ask, signal } = options;
  const chat = await openChat({ model, adapter: adapter?.directory });
  const { tokenizer } = chat;
  const generation = withTaughtEnds(
    await readGenerationConfig(model, { config, tokenizer }),
    chat.eosTokenIds,
  );
  // The end that training taught comes first: programs that know one know this.
  const eosTokenIds = [...new Set([...chat.eosTokenIds, ...generation.eosTokenIds])];
  const apart = keepAdapter ? adapter : undefined;
  const beside: NonNullable<KeptExport["files"]>[number][] = [];
  if (apart) {
    const { lora, weights } = apart;
    const file = `${folder}/${ADAPTER_FILE}`;
    const written = await exportGgufAdapter(file, {
      ...{ config, adapter: weights, lora, signal },
      name: `${name} adapter`,
    });
    beside.push({ path: ADAPTER_FILE, ...written });
    console.log(`adapter: ${formatBytes(written.bytes)}, ${ADAPTER_FILE}`);
  }
  const fileOf = (dtype: GgufFileType): string => `model-${dtype}.gguf`;
  const reports: Record<string, KeptExport> = {};
  for (const dtype of dtypes) {
    const began = performance.now();
    const { notes, ...written } = await during(
      `writing ${dtype}`,
      () =>
        exportGguf(`${folder}/${fileOf(dtype)}`, {
          ...{ config, weights, model, tokenizer, dtype, name, eosTokenIds, signal },
        }),
      terminal,
    );
    if (dtype === dtypes[0]) { for (const note of notes) console.error(`note: ${note}`); }
    const seconds = (performance.now() - began) / 1000;
    console.log(
      `${dtype}: ${formatBytes(written.bytes)} in ${formatDuration(seconds)}, ${fileOf(dtype)}`,
    );
    const files = [{ path: fileOf(dtype), ...written }, ...beside];
    reports[dtype] = { bytes: files.reduce((sum, { bytes }) => sum + bytes, 0), files };
  }
  await Deno.writeTextFile(
    `${folder}/${MODELFILE}`,
    formatModelfile({
      ...chat,
      ...{ generation, eosTokenIds, file: fileOf(dtypes[0]), maxPositions: config.maxPositions },
      adapter: apart && ADAPTER_FILE,
    }),
  );
  console.log(`ollama: ollama create ${name} -f ${MODELFILE}, in the folder`);
  using llama = ask && await openLlama();
  if (!llama || !ask) return reports;
  const comparison = await ask();
  for (const dtype of dtypes) {
    const report = await during(
      `comparing ${dtype} in llama.cpp`,
      () =>
        verifyGguf(llama, `${folder}/${fileOf(dtype)}`, {
          ...comparison,
          ...{ tokenizer, eosTokenIds, threads: options.threads ?? navigator.hardwareConcurrency },
          texts: comparison.questions.texts,
          adapter: apart && `${folder}/${ADAPTER_FILE}`,
        }),
      terminal,
    );
    console.log(`${dtype} in llama.cpp: ${describeReport(report)}`);
    reports[dtype] = { ...reports[dtype], ...report, ...keepParity(report.parity, tokenizer) };
  }
  return reports;
}

/** llama.cpp; nothing, and a line that says why, where it is not to be had. */
async function openLlama(): Promise<LlamaLibrary | undefined> {
  try {
    return await LlamaLibrary.open();
  } catch (cause) {
    console.error(`note: not verified: ${(cause as Error).message}`);
  }
}

function describeReport({ template, texts, ends, parity }: GgufReport): string {
  const agreed = template && texts.same === texts.all && ends.same === ends.all;
  const facts = agreed ? "template, tokens and ends of replies agree" : [
    template ? "the template agrees" : "the template differs",
    `${texts.same} of ${texts.all} texts have the same tokens`,
    `${ends.same} of ${ends.all} ends of replies agree`,
  ].join(", ");
  return `${facts}; ${describeParity(parity)}`;
}
