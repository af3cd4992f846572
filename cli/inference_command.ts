/**
 * The command behind `deno task inference` and `deno task inference:lora`. In: flags. Out: replies on
 * standard output, thinking and answer apart.
 */

import type { Message } from "../data/message.ts";
import { loadTokenizer } from "../data/tokenizer.ts";
import { loadModel } from "../engine/load_model.ts";
import { createGenerator, type GenerateOptions } from "../infer/generator.ts";
import { readGenerationConfig } from "../infer/generation_config.ts";
import { readBaseModel } from "../lora/adapter_config.ts";
import { loadAdapter } from "../lora/load_adapter.ts";
import { count, countOrZero, device, positive, probability, seed } from "./flag_values.ts";
import { openRuntime } from "./open_runtime.ts";
import { type Output, reply, standardOutput } from "./reply.ts";
import type { Command } from "commander";
import type { CommandContext, CommandDefinition } from "./run_command.ts";
import { DEFAULT_SYSTEM } from "./training_arguments.ts";

/** Parsed flags of inference. */
export interface InferenceFlags {
  readonly model?: string;
  readonly adapter?: string;
  readonly question?: string;
  readonly system: string;
  readonly maxNewTokens: number;
  readonly temperature?: number;
  readonly topP?: number;
  readonly topK?: number;
  readonly greedy?: boolean;
  readonly seed?: number;
  readonly device: string;
  readonly threads?: number;
}

/** Inference on a model alone: the adapter is asked for by `inference:lora`. */
export const inference: CommandDefinition<InferenceFlags> = {
  name: "deno task inference",
  description: "Asks a model a question; without --question it chats.",
  flags: (command) => {
    command.requiredOption("--model <dir>", "model folder or checkpoint, in Hugging Face's layout");
    addFlags(command);
  },
  run,
};

/** Inference on a model with an adapter on it, which is not merged. */
export const inferenceLora: CommandDefinition<InferenceFlags> = {
  name: "deno task inference:lora",
  description: "Asks a model with a LoRA adapter a question; without --question it chats.",
  flags: (command) => {
    command
      .requiredOption("--adapter <dir>", "adapter folder or checkpoint, in PEFT's layout")
      .option("--model <dir>", "the base model (default: the one adapter_config.json names)");
    addFlags(command);
  },
  run,
};

function addFlags(command: Command): void {
  command
    .option("--question <text>", "what to ask; left out, questions are read line by line")
    .option("--system <text>", "system prompt; empty for none", DEFAULT_SYSTEM)
    .option("--max-new-tokens <n>", "most tokens of a reply", count, 2048)
    .option("--temperature <x>", "(default: the model's generation_config.json)", positive)
    .option("--top-p <x>", "(default: the model's)", probability)
    .option("--top-k <n>", "0 for no limit (default: the model's)", countOrZero)
    .option("--greedy", "always the likeliest token")
    .option("--seed <n>", "makes sampling repeatable", seed)
    .option("--device <name>", "cpu (cuda:N is not there yet)", device, "cpu")
    .option("--threads <n>", "processor threads (default: all cores)", count);
}

async function run({ options, signal }: CommandContext<InferenceFlags>): Promise<void> {
  const { adapter } = options;
  const model = options.model ?? await readBaseModel(adapter!);
  const tokenizer = await loadTokenizer(model);
  using resources = new DisposableStack();
  const runtime = resources.use(openRuntime(options));
  const { config, weights: base } = await loadModel(runtime, model, { signal });
  resources.use(base);
  const adapted = adapter === undefined
    ? undefined
    : resources.use(await loadAdapter(runtime, adapter, { config, base, signal }));
  const generation = await readGenerationConfig(model, { config, tokenizer });
  const generator = resources.use(
    createGenerator({
      runtime,
      config,
      weights: adapted?.weights ?? base,
      graph: adapted?.decodeGraph,
      generation,
    }),
  );
  const output = standardOutput(Boolean(Deno.env.get("NO_COLOR")));
  const { system, question, maxNewTokens, temperature, topP, topK, greedy } = options;
  const how: GenerateOptions = {
    maxNewTokens,
    ...(temperature !== undefined ? { temperature } : {}),
    ...(topP !== undefined ? { topP } : {}),
    ...(topK !== undefined ? { topK } : {}),
    ...(greedy ? { greedy } : {}),
    ...(options.seed !== undefined ? { seed: options.seed } : {}),
    signal,
  };
  const messages: Message[] = system ? [{ role: "system", content: system }] : [];
  const questions = question === undefined ? askedLines(output, signal) : [question];
  for await (const content of questions) {
    messages.push({ role: "user", content });
    const said = await reply({ generator, tokenizer }, { messages, output, ...how });
    await output.write("\n");
    if (signal.aborted) return;
    messages.push({
      role: "assistant",
      content: said.answer,
      reasoning_content: said.think,
    });
    console.error(
      `${said.newTokens} tokens, ${(said.newTokens / said.seconds).toFixed(1)} tokens/s` +
        (said.finishReason === "length" ? `, cut at --max-new-tokens ${maxNewTokens}` : ""),
    );
  }
}

/** Lines of standard input that are not empty, with a prompt where someone types them. */
async function* askedLines(output: Output, signal: AbortSignal): AsyncGenerator<string> {
  const typed = Deno.stdin.isTerminal();
  const prompt = () => typed ? output.write("\n> ") : Promise.resolve();
  if (typed) await output.write("Ask away; Ctrl-D ends.\n");
  await prompt();
  let rest = "";
  const text = Deno.stdin.readable.pipeThrough(new TextDecoderStream(), { signal });
  for await (const chunk of text) {
    const lines = (rest + chunk).split(/\r?\n/);
    rest = lines.pop()!;
    for (const line of lines) {
      if (line.trim() !== "") yield line.trim();
      await prompt();
    }
  }
  if (rest.trim() !== "") yield rest.trim();
}
