/**
 * `deno task inference`: asks a model a question, or chats. In: a model folder or a checkpoint.
 * Out: its reply, thinking and answer apart.
 *
 * @module
 */

import { loadTokenizer } from "../data/tokenizer.ts";
import type { Message } from "../data/message.ts";
import { loadModel } from "../engine/load_model.ts";
import { createGenerator, type GenerateOptions } from "../infer/generator.ts";
import { readGenerationConfig } from "../infer/generation_config.ts";
import { count, countOrZero, device, positive, probability, seed } from "./flag_values.ts";
import { openRuntime } from "./open_runtime.ts";
import { type Output, reply, standardOutput } from "./reply.ts";
import { runCommand } from "./run_command.ts";
import { DEFAULT_SYSTEM } from "./training_arguments.ts";

interface InferenceFlags {
  readonly model: string;
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

await runCommand<InferenceFlags>({
  name: "deno task inference",
  description: "Asks a model a question; without --question it chats.",
  flags: (command) =>
    command
      .requiredOption("--model <dir>", "model folder or checkpoint, in Hugging Face's layout")
      .option("--question <text>", "what to ask; left out, questions are read line by line")
      .option("--system <text>", "system prompt; empty for none", DEFAULT_SYSTEM)
      .option("--max-new-tokens <n>", "most tokens of a reply", count, 2048)
      .option("--temperature <x>", "(default: the model's generation_config.json)", positive)
      .option("--top-p <x>", "(default: the model's)", probability)
      .option("--top-k <n>", "0 for no limit (default: the model's)", countOrZero)
      .option("--greedy", "always the likeliest token")
      .option("--seed <n>", "makes sampling repeatable", seed)
      .option("--device <name>", "cpu (cuda:N is not there yet)", device, "cpu")
      .option("--threads <n>", "processor threads (default: all cores)", count),
  run: async ({ options, signal }) => {
    const tokenizer = await loadTokenizer(options.model);
    using runtime = openRuntime(options);
    const { config, weights } = await loadModel(runtime, options.model, { signal });
    using _weights = weights;
    const generation = await readGenerationConfig(options.model, { config, tokenizer });
    using generator = createGenerator({ runtime, config, weights, generation });
    const output = standardOutput(Boolean(Deno.env.get("NO_COLOR")));
    const { system, question, maxNewTokens, temperature, topP, topK, greedy } = options;
    const how: GenerateOptions = {
      maxNewTokens,
      // A flag that asks for sampling turns it on where the model's own default is greedy.
      ...(temperature !== undefined || topP !== undefined || topK !== undefined
        ? { greedy: false }
        : {}),
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
  },
});

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
