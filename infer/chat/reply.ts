/** Answers one question: think and answer apart, streamed to an output and whole. */

import type { Message } from "../../data/text/message.ts";
import type { Tokenizer } from "../../data/text/tokenizer.ts";
import { chat, type ChatReply } from "./chat.ts";
import type { GenerateOptions, Generator } from "../generate/generator.ts";
import { renderTerminal } from "./render_terminal.ts";

/** Where a reply is streamed to, such as standard output. */
export interface Output {
  readonly write: (text: string) => Promise<void>;
  readonly isTty: boolean;
  readonly noColor?: boolean;
}

/** What was said. */
export interface Reply {
  readonly think: string;
  readonly answer: string;
  readonly newTokens: number;
  readonly promptTokens: number;
  readonly seconds: number;
  readonly finishReason: ChatReply["finishReason"];
}

/** Streams the reply to the messages and answers it whole. */
export async function reply(
  { generator, tokenizer }: { readonly generator: Generator; readonly tokenizer: Tokenizer },
  { messages, output, ...options }: GenerateOptions & {
    readonly messages: readonly Message[];
    /** Whether the prompt asks for thinking. @default as the chat template has it */
    readonly enableThinking?: boolean;
    readonly output: Output;
  },
): Promise<Reply> {
  const began = performance.now();
  const pieces = chat(generator, tokenizer, { messages, ...options });
  const said = { think: "", answer: "" };
  async function* gathered(): AsyncGenerator<{ kind: "think" | "answer"; text: string }> {
    for await (const piece of pieces) {
      said[piece.kind] += piece.text;
      yield piece;
    }
  }
  await renderTerminal(gathered(), output);
  const { newTokens, promptTokens, finishReason } = pieces;
  const seconds = (performance.now() - began) / 1000;
  return { ...said, newTokens, promptTokens, finishReason, seconds };
}
