/**
 * The command behind `deno task inference` and `deno task inference:lora`. In: flags. Out: replies on
 * standard output, thinking and answer apart.
 */

import type { Message } from "../../data/text/message.ts";
import { exportedGenerator, findExported } from "../../infer/export/exported_generator.ts";
import type { Generator } from "../../infer/generate/generator.ts";
import type { GenerateOptions } from "../../infer/generate/generation.ts";
import { count, device, DEVICE_HELP, seed, words } from "../arguments/flag_values.ts";
import { addSamplingFlags } from "../arguments/sampling_flags.ts";
import {
  computePrecision,
  resolvePrecision,
  type TrainingPrecision,
} from "../../train/training_precision.ts";
import { openChat } from "../../infer/chat/chat_context.ts";
import { loadGenerator } from "../../infer/chat/open_chat_model.ts";
import { checkAdapter, findFolders } from "../../train/runs/find_model.ts";
import { openFile } from "../process/open_file.ts";
import { isFolder } from "../../internal/path_kind.ts";
import { openRuntime } from "../process/open_runtime.ts";
import { type Output, reply } from "../../infer/chat/reply.ts";
import { findFile } from "../../train/runs/find_file.ts";
import { during } from "../../train/runs/wait_line.ts";
import { terminal } from "../terminal/terminal.ts";
import { standardOutput } from "../terminal/standard_output.ts";
import { type Command, Option } from "commander";
import type { CommandContext, CommandDefinition } from "../process/run_command.ts";
import { UsageError } from "../../internal/usage_error.ts";

/** The question of Qwen3-Medical-SFT's inference.py. */
const DEFAULT_QUESTION =
  "医生，我最近被诊断为糖尿病，听说碳水化合物的选择很重要，我应该选择什么样的碳水化合物呢？";

/** What deno task train and train:lora leave where they are given no flags. */
const TRAINED = "output/Qwen3-1.7B";
const TRAINED_ADAPTER = "output/Qwen3-1.7B-lora";

/** Parsed flags of inference. */
export interface InferenceFlags {
  readonly model?: string;
  readonly adapter?: string;
  readonly question?: string;
  readonly file?: string;
  readonly chat?: boolean;
  readonly system?: string;
  readonly chatTemplate?: string;
  readonly maxNewTokens?: number;
  readonly temperature?: number;
  readonly topP?: number;
  readonly topK?: number;
  readonly minP?: number;
  readonly repetitionPenalty?: number;
  readonly greedy?: boolean;
  readonly seed?: number;
  readonly device: string;
  readonly precision?: TrainingPrecision;
  readonly threads?: number;
}

/** Inference on a model alone: the adapter is asked for by `inference:lora`. */
export const inference: CommandDefinition<InferenceFlags> = {
  name: "deno task inference",
  description: "Asks a model a question, or chats.",
  flags: (command) => {
    command.option(
      "--model <dir>",
      "model folder or checkpoint in Hugging Face's layout, the output folder of a run, or a model's " +
        "id below models/; a folder of deno task export runs as exported, 4-bit weights where it has them",
      TRAINED,
    );
    addFlags(command);
  },
  run,
};

/** Inference on a model with an adapter on it, which is not merged. */
export const inferenceLora: CommandDefinition<InferenceFlags> = {
  name: "deno task inference:lora",
  description: "Asks a model with a LoRA adapter a question, or chats.",
  flags: (command) => {
    command
      .option(
        "--adapter <dir>",
        "adapter folder or checkpoint in PEFT's layout, or the output folder of a run",
        TRAINED_ADAPTER,
      )
      .option("--model <dir>", "its base model (default: the one adapter_config.json names)");
    addFlags(command);
  },
  run,
};

function addFlags(command: Command): void {
  command
    .option("--question <text>", `what to ask (default: ${DEFAULT_QUESTION})`, words)
    .option(
      "--file <path>",
      "ask each line of a file, apart from the others; - reads standard input",
    )
    .option("--chat", "go on asking, line by line, in one conversation")
    .option(
      "--system <text>",
      "system prompt; empty for none (default: the one it was trained with, else none)",
    )
    .option("--chat-template <path>", "Jinja file of a chat template in place of the model's")
    .option(
      "--max-new-tokens <n>",
      "most tokens of a reply (default: the model's generation_config.json, or 2048)",
      count,
    );
  addSamplingFlags(command)
    .option("--greedy", "always the likeliest token")
    .option("--seed <n>", "makes sampling repeatable", seed)
    .option("--device <name>", DEVICE_HELP, device, "cpu")
    .addOption(
      new Option("--precision <name>", "what it computes in (default: bf16 on cuda, fp32 on cpu)")
        .choices(["fp32", "bf16"]),
    )
    .option("--threads <n>", "processor threads (default: all cores)", count);
}

async function run({ options, signal }: CommandContext<InferenceFlags>): Promise<void> {
  const ways = [options.question !== undefined, options.file !== undefined, options.chat];
  if (ways.filter(Boolean).length > 1) {
    throw new UsageError("Cannot ask in more than one way: give --question, --file or --chat");
  }
  await assertTrained(options);
  const { model, adapter, config } = await findFolders(options);
  if (model !== options.model) console.error(`model: ${model}`);
  if (adapter !== options.adapter) console.error(`adapter: ${adapter}`);
  const adapterNotes = adapter === undefined ? [] : await checkAdapter(adapter, config);
  for (const note of adapterNotes) console.error(`note: ${note}`);
  const chat = await openChat({ ...options, model, adapter });
  const { tokenizer, system, enableThinking } = chat;
  for (const note of chat.notes) console.error(note);
  using resources = new DisposableStack();
  const runtime = resources.use(
    openRuntime(options, { config, say: (line) => console.error(line) }),
  );
  const exported = adapter === undefined ? await findExported(model) : undefined;
  if (exported) console.error(`exported: ${exported}`);
  if (exported && runtime.device.kind !== "cpu") {
    throw new UsageError(
      `Cannot run the export ${model} on ${options.device}: exports run on the cpu; give the ` +
        "checkpoint that it was made from",
    );
  }
  const note = (text: string) => console.error(`note: ${text}`);
  // Said after the line of what is loaded.
  const notes: string[] = [];
  const onNote = (text: string) => void notes.push(text);
  let generator: Generator;
  if (exported) {
    generator = resources.use(
      await during(
        `loading ${model}`,
        () => exportedGenerator(runtime, model, { dtype: exported, tokenizer, onNote }),
        terminal,
      ),
    );
    notes.forEach(note);
  } else {
    const precision = computePrecision(resolvePrecision(runtime.device, options.precision));
    const loaded = resources.use(
      await during(
        `loading ${model}`,
        () => loadGenerator(model, chat, { runtime, adapter, precision, signal }),
        terminal,
      ),
    );
    loaded.notes.forEach(note);
    generator = loaded.generator;
  }
  const output = standardOutput(Boolean(Deno.env.get("NO_COLOR")));
  const { maxNewTokens, temperature, topP, topK, minP, repetitionPenalty, greedy } = options;
  const how: GenerateOptions & { readonly enableThinking?: boolean } = {
    ...enableThinking === undefined ? {} : { enableThinking },
    ...(maxNewTokens !== undefined ? { maxNewTokens } : {}),
    ...(temperature !== undefined ? { temperature } : {}),
    ...(topP !== undefined ? { topP } : {}),
    ...(topK !== undefined ? { topK } : {}),
    ...(minP !== undefined ? { minP } : {}),
    ...(repetitionPenalty !== undefined ? { repetitionPenalty } : {}),
    ...(greedy ? { greedy } : {}),
    ...(options.seed !== undefined ? { seed: options.seed } : {}),
    signal,
  };
  const opening: readonly Message[] = system ? [{ role: "system", content: system }] : [];
  if (!ways.some(Boolean)) {
    console.error(`question: ${DEFAULT_QUESTION}; --question asks another, --chat goes on asking`);
  }
  let messages = opening;
  let questions = 0;
  for await (const content of asked(options, { output, signal })) {
    questions++;
    if (!options.chat) messages = opening;
    if (options.file !== undefined) await output.write(`\n${content}\n\n`);
    const turn: readonly Message[] = [...messages, { role: "user", content }];
    const said = await reply({ generator, tokenizer }, { messages: turn, output, ...how });
    await output.write("\n");
    if (signal.aborted) return;
    messages = [
      ...turn,
      { role: "assistant", content: said.answer, reasoning_content: said.think },
    ];
    console.error(
      `${said.newTokens} tokens, ${(said.newTokens / said.seconds).toFixed(1)} tokens/s` +
        (said.finishReason === "length" ? `, cut at ${limitOf(maxNewTokens)}` : ""),
    );
  }
  if (options.file !== undefined && questions === 0 && !signal.aborted) {
    const source = options.file === "-" ? "standard input" : options.file;
    throw new Error(`Cannot ask: ${source} has no question; write one a line`);
  }
}

/** What cut a reply. */
function limitOf(maxNewTokens: number | undefined): string {
  return maxNewTokens === undefined
    ? "the model's limit; --max-new-tokens sets another"
    : `--max-new-tokens ${maxNewTokens}`;
}

/** Says where the defaults come from when they are not there. */
async function assertTrained({ model, adapter }: InferenceFlags): Promise<void> {
  const [folder, task, flag] = adapter === undefined
    ? [model, "train", "model"]
    : [adapter, "train:lora", "adapter"];
  if (folder !== TRAINED && folder !== TRAINED_ADAPTER || await isFolder(folder)) return;
  throw new Error(
    `Cannot find ${folder}, the run of deno task ${task}: train first, or give --${flag}`,
  );
}

/** The questions, in the way that the flags ask for. */
async function* asked(
  { question = DEFAULT_QUESTION, file, chat }: InferenceFlags,
  { output, signal }: { readonly output: Output; readonly signal: AbortSignal },
): AsyncGenerator<string> {
  if (chat) yield* typedLines(output, signal);
  else if (file === "-") yield* filledLines(Deno.stdin.readable, signal);
  else if (file !== undefined) {
    const { readable } = await openFile(await findFile(file, { flag: "--file" }), "questions");
    yield* filledLines(readable, signal);
  } else yield question;
}

/** Lines of standard input that are not empty, with a prompt where someone types them. */
async function* typedLines(output: Output, signal: AbortSignal): AsyncGenerator<string> {
  const typed = Deno.stdin.isTerminal();
  const prompt = () => typed ? output.write("\n> ") : Promise.resolve();
  if (typed) await output.write("Ask away; Ctrl-D ends.\n");
  await prompt();
  for await (const line of filledLines(Deno.stdin.readable, signal)) {
    yield line;
    await prompt();
  }
}

/** Lines that are not empty. */
async function* filledLines(
  bytes: ReadableStream<Uint8Array<ArrayBuffer>>,
  signal: AbortSignal,
): AsyncGenerator<string> {
  let rest = "";
  for await (const chunk of bytes.pipeThrough(new TextDecoderStream(), { signal })) {
    const lines = (rest + chunk).split(/\r?\n/);
    rest = lines.pop()!;
    for (const line of lines) if (line.trim() !== "") yield line.trim();
  }
  if (rest.trim() !== "") yield rest.trim();
}
