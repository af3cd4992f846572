/**
 * What a run works with, opened once. In: resolved arguments. Out: the device with its kernels, and
 * the tokenizer, checked against the model.
 */

import { loadTokenizer, type Tokenizer } from "../../data/text/tokenizer.ts";
import type { Layout } from "../../model/engine/without_padding.ts";
import { adoptReport, checkDevice, describeWebGpu } from "../../model/engine/check_webgpu.ts";
import type { ToldMemory } from "../../ort/runtime/memory_budget.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import type { Gpu } from "../../ort/kernels/gpu.ts";
import { describeIdleSettings } from "./idle_settings.ts";
import { describeKernels, layoutOf, openKernels } from "./open_kernels.ts";
import { readChatTemplate } from "../../infer/chat/read_chat_template.ts";
import type { ResolvedTraining } from "./resolve_training.ts";

/** How a run is opened. */
export interface OpenRunOptions {
  /** ONNX Runtime's library. @default npm's */
  readonly libraryPath?: string;
  /** A folder for compiled kernels. @default none: they are compiled anew */
  readonly kernelCacheDir?: string;
  /** Processor threads where the arguments do not say. @default all cores */
  readonly threads?: number;
}

/** An opened run; dispose of it when nothing of it is used any more. */
export interface OpenedRun extends ResolvedTraining, Disposable {
  readonly tokenizer: Tokenizer;
  /** Id of the padding token. */
  readonly padId: number;
  /** The chat template that takes the place of the model's, where the arguments name one. */
  readonly chatTemplate?: string;
  /** The GPU for ortune's own kernels, where they are used. */
  readonly gpu?: Gpu;
  /** What the driver of a WebGPU device tells of its memory before the run. */
  readonly told?: ToldMemory;
  /** How batches are laid out for what computes them. */
  readonly layout: Layout;
  /** Free bytes of the device's memory before the run; undefined on the host. */
  readonly deviceFree?: number;
  /** What a user should know of it before the run, a line each. */
  readonly lines: readonly string[];
  /** The runtime; on the host it is opened when first asked for. */
  runtime(): Runtime;
}

/**
 * Opens the device, its kernels and the tokenizer. A GPU that is not there is told of before
 * anything is read.
 *
 * @throws {Error} where the device, the kernels that the optimizer needs or the tokenizer are missing
 * @throws {RangeError} where model, tokenizer and arguments do not go together
 */
export async function openRun(
  resolved: ResolvedTraining,
  { libraryPath, kernelCacheDir, threads }: OpenRunOptions = {},
): Promise<OpenedRun> {
  using resources = new DisposableStack();
  const { args, device, config } = resolved;
  const open = () => new Runtime({ threads: args.threads ?? threads, libraryPath, device });
  let runtime = device.kind === "cpu" ? undefined : resources.use(open());
  const kernels = await openKernels(resolved, kernelCacheDir);
  if (kernels.gpu) resources.use(kernels.gpu);
  if (args.maxLength > config.maxPositions) {
    throw new RangeError(
      `Cannot train with --max-length ${args.maxLength}: ${args.model}/config.json has ` +
        `max_position_embeddings ${config.maxPositions}; give at most that`,
    );
  }
  const chatTemplate = await readChatTemplate(args.chatTemplate, { root: null });
  const tokenizer = await loadTokenizer(args.model, { chatTemplate });
  if (tokenizer.vocabSize > config.vocabSize) {
    throw new RangeError(
      `Cannot train ${args.model}: its tokenizer has ${tokenizer.vocabSize} tokens, its config.json ` +
        `vocab_size ${config.vocabSize}; copy both files from the same model`,
    );
  }
  const notes = [...resolved.notes, ...tokenizer.notes, ...describeIdleSettings(args)];
  const kernelsLine = describeKernels(kernels, resolved);
  const { matrices, quantization } = resolved.storage;
  const needed = { float16: matrices === "float16", quantized: quantization !== undefined };
  if (runtime && resolved.webgpu) adoptReport(runtime, resolved.webgpu);
  const found = runtime && checkDevice(runtime, needed);
  const owned = resources.move();
  return {
    ...resolved,
    tokenizer,
    padId: tokenizer.padTokenId ?? tokenizer.eosTokenId ?? 0,
    chatTemplate,
    gpu: kernels.gpu,
    layout: layoutOf(kernels, resolved),
    deviceFree: runtime?.cuda?.memory().leastFree,
    told: runtime?.toldMemory(),
    lines: [
      ...notes.map((note) => `note: ${note}`),
      ...kernelsLine ? [kernelsLine] : [],
      ...found ? [describeWebGpu(found)] : [],
    ],
    runtime: () => runtime ??= owned.use(open()),
    [Symbol.dispose]: () => owned.dispose(),
  };
}
