/**
 * Ollama's Modelfile: what `ollama create` is told beside the GGUF file.
 *
 * In: the file's name and how the model was taught to chat. Out: the text.
 *
 * https://github.com/ollama/ollama/blob/main/docs/modelfile.md
 *
 * @module
 */

import type { Tokenizer } from "../../data/text/tokenizer.ts";
import type { GenerationConfig } from "../generate/generation_config.ts";
import { goTemplate } from "./go_template.ts";

/** Tokens of context that take little memory; Ollama's own default is 4096. */
const CONTEXT = 8192;

/** What {@linkcode formatModelfile} is made of. */
export interface ModelfileOptions {
  /** The model's file, beside the Modelfile. */
  readonly file: string;
  /** The adapter's file beside it. @default none */
  readonly adapter?: string;
  /** The tokenizer, with its template. */
  readonly tokenizer: Tokenizer;
  /** The system prompt that the model was trained with; empty for none. */
  readonly system: string;
  /** Whether it was taught not to think. */
  readonly enableThinking: boolean | undefined;
  /** How it is sampled. */
  readonly generation: GenerationConfig;
  /** Ids that end a reply. */
  readonly eosTokenIds: readonly number[];
  /** Most tokens of a sequence. */
  readonly maxPositions: number;
}

/** The text of the file. */
export function formatModelfile(options: ModelfileOptions): string {
  const { file, adapter, tokenizer, generation, eosTokenIds, maxPositions } = options;
  const { greedy, temperature = 1, topK = 0, topP = 1, minP = 0, repetitionPenalty = 1 } =
    generation.sampling;
  const template = tokenizer.chatTemplate === undefined
    ? undefined
    : goTemplate(tokenizer, options);
  const system = options.system || template?.system;
  const canWrite = (text: string): boolean => !text.includes('"""');
  const block = (name: string, text: string | undefined): string[] =>
    text !== undefined && canWrite(text) ? [`${name} """${text}"""`] : [];
  const parameters: readonly (readonly [string, number | string])[] = [
    ["temperature", greedy ? 0 : temperature],
    // Ollama's own defaults are others.
    ["top_k", topK],
    ["top_p", topP],
    ["min_p", minP],
    ["repeat_penalty", repetitionPenalty],
    ["num_ctx", Math.min(maxPositions, CONTEXT)],
    ...eosTokenIds.map((id) => ["stop", JSON.stringify(tokenizer.idToToken(id))] as const),
  ];
  return [
    `FROM ./${file}`,
    ...adapter === undefined ? [] : [`ADAPTER ./${adapter}`],
    ...template && canWrite(template.text) ? block("TEMPLATE", template.text) : [
      "# Ollama's templates are not Jinja, and this model's chats are more than texts around messages. Ollama",
      "# takes the nearest of those that it knows; compare its prompts, or write a TEMPLATE here.",
    ],
    ...block("SYSTEM", system || undefined),
    ...parameters.map(([name, value]) => `PARAMETER ${name} ${value}`),
    "",
  ].join("\n");
}
