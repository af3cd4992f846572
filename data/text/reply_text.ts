/**
 * The prompt and the reply of one turn, as a chat template writes them.
 *
 * In: the messages of a chat, which of them is the reply, and a function that renders. Out: the text
 * of the prompt and the text of the reply, which stand end to end.
 */

import type { Message, Tool } from "./message.ts";
import { toolName } from "./tool_name.ts";
import { OPENED_BY_PROMPT, trimLeadingLineBreaks, trimLineBreaks } from "./thinking.ts";

/** What stands before the reply and what the model is to write. */
export interface ReplyText {
  readonly prompt: string;
  readonly reply: string;
  /** Whether the template dropped blanks at an end of thinking or answer. */
  readonly trimmed: boolean;
}

/** Renders messages, with the generation prompt or without. */
export type RenderMessages = (
  messages: readonly Message[],
  addGenerationPrompt: boolean,
) => string;

const CLOSED = /<think>\s*<\/think>\s*$/;
const OPENS = /^\s*<think>/;
/** Stands for an answer while its place is looked for; no template changes it. */
export const PLACEHOLDER = "ORTUNE0ANSWER0PLACE";
const ANYONE: Message = { role: "user", content: "Hi" };
const TEMPLATE_REMEDY = "give another chat template with --chat-template FILE";

/**
 * Takes prompt and reply apart.
 *
 * The prompt is what inference sends: the messages before the reply and the generation prompt. A
 * template may render earlier messages otherwise once the chat has gone on (two replies in a row, of
 * which the first then has no thinking block); then the prompt is the chat as it is rendered up to
 * the reply. A template that opens the thinking in the prompt and cuts it out of the chat, as
 * DeepSeek R1's, gets the thinking back.
 *
 * @throws {Error} where the template renders no such chat, or leaves thinking, answer, a call or a tool
 * out.
 */
export function replyText(
  messages: readonly Message[],
  turn: number,
  { render, tools = [] }: {
    readonly render: RenderMessages;
    /** Those that `render` gives to the template. @default {[]} */
    readonly tools?: readonly Tool[];
  },
): ReplyText {
  const before = messages.slice(0, turn);
  const message = messages[turn];
  const chat = render(messages.slice(0, turn + 1), false);
  // Templates look at the first message, so that a chat of none cannot be rendered.
  const prompt = turn === 0 ? "" : render(before, true);
  const found = turn > 0 && chat.startsWith(prompt)
    ? { prompt, reply: chat.slice(prompt.length) }
    : thinkingCutOut(chat, { prompt, message }) ??
      renderedInChat(chat, { before, message, render });
  if (found === undefined) {
    if (CLOSED.test(prompt) && (message.reasoning_content ?? "").trim() !== "") {
      throw new Error(
        `Cannot make an example of message ${turn}: its prompt asks for no thinking, and the reply has ` +
          "some; leave enable_thinking out, or drop the thinking",
      );
    }
    throw noPrompt(turn, prompt, chat);
  }
  assertTools(found.prompt, tools, turn);
  const trimmed = assertWhole(found.reply, message, turn);
  for (const earlier of before) assertCalls(found.prompt, "prompt", earlier, turn);
  assertCalls(found.reply, "reply", message, turn);
  return { ...found, trimmed };
}

/** The reply of a template whose prompt opens the thinking that the chat then does not show. */
function thinkingCutOut(
  chat: string,
  { prompt, message }: { readonly prompt: string; readonly message: Message },
): { prompt: string; reply: string } | undefined {
  const opened = OPENED_BY_PROMPT.exec(prompt);
  if (opened === null) return undefined;
  const start = prompt.slice(0, opened.index);
  if (!chat.startsWith(start)) return undefined;
  const rest = chat.slice(start.length);
  // It may show the thinking, and only break the line elsewhere.
  const shown = OPENS.exec(rest);
  if (shown !== null) return { prompt, reply: trimLeadingLineBreaks(rest.slice(shown[0].length)) };
  const think = trimLineBreaks(message.reasoning_content ?? "");
  return { prompt, reply: `${think}\n</think>\n\n${trimLeadingLineBreaks(rest)}` };
}

/** What a template writes where the assistant is to speak; empty where it knows no such thing. */
function generationPrompt(messages: readonly Message[], render: RenderMessages): string {
  const [prompt, plain] = [render(messages, true), render(messages, false)];
  return prompt.startsWith(plain) ? prompt.slice(plain.length) : "";
}

/** The reply where the chat renders what comes before it otherwise than the prompt does. */
function renderedInChat(
  chat: string,
  { before, message, render }: {
    readonly before: readonly Message[];
    readonly message: Message;
    readonly render: RenderMessages;
  },
): { prompt: string; reply: string } | undefined {
  const header = generationPrompt(before.length === 0 ? [ANYONE] : before, render);
  if (header === "") return undefined;
  const marked = { ...message, content: PLACEHOLDER };
  const shown = render([...before, marked], false);
  const answer = shown.indexOf(PLACEHOLDER);
  const at = shown.lastIndexOf(header, answer);
  if (at === -1) return undefined;
  const own = shown.slice(0, at + header.length);
  // Only thinking may stand between: else it is the header of an earlier reply.
  const between = shown.slice(own.length, answer).replace(/<\/?think>/g, "").trim();
  if (between !== (message.reasoning_content ?? "").trim()) return undefined;
  return chat.startsWith(own) ? { prompt: own, reply: chat.slice(own.length) } : undefined;
}

/** Refuses a reply without the thinking or the answer; answers whether blanks around one are gone. */
function assertWhole(reply: string, message: Message, turn: number): boolean {
  const { content, reasoning_content = "" } = message;
  let trimmed = false;
  let from = 0;
  const parts = [
    { name: "thinking", part: reasoning_content, text: trimLineBreaks(reasoning_content) },
    { name: "answer", part: content, text: trimLeadingLineBreaks(content) },
  ];
  for (const { name, part, text } of parts) {
    let at = reply.indexOf(text, from);
    let { length } = text;
    if (at === -1) {
      // Llama's templates trim what is said, and transformers trains on that.
      at = reply.indexOf(part.trim(), from);
      length = part.trim().length;
      trimmed = true;
    }
    if (at === -1) {
      throw new Error(
        `Cannot make an example of message ${turn}: the chat template leaves its ${name} out of the ` +
          `reply, or changes it; ${TEMPLATE_REMEDY}`,
      );
    }
    from = at + length;
  }
  return trimmed;
}

/** Refuses a prompt that does not tell of the tools. */
function assertTools(prompt: string, tools: readonly Tool[], turn: number): void {
  for (const tool of tools) {
    const name = toolName(tool);
    if (name === undefined || prompt.includes(name)) continue;
    throw new Error(
      `Cannot make an example of message ${turn}: the chat template leaves the tool ${
        JSON.stringify(name)
      } out of the prompt; ${TEMPLATE_REMEDY}, or leave the tools out with --columns tools=`,
    );
  }
}

/** Refuses a text without a message's calls: the name of each and those of its arguments. */
function assertCalls(
  text: string,
  name: "prompt" | "reply",
  { tool_calls = [] }: Message,
  turn: number,
): void {
  for (const { function: { name: called, arguments: made } } of tool_calls) {
    const parts = [called, ...made instanceof Map ? made.keys() : []];
    const lost = parts.find((part) =>
      !text.includes(part) && !text.includes(JSON.stringify(part).slice(1, -1))
    );
    if (lost === undefined) continue;
    throw new Error(
      `Cannot make an example of message ${turn}: the chat template leaves ${
        JSON.stringify(lost)
      } of the call of ${called} out of the ${name}; ${TEMPLATE_REMEDY}`,
    );
  }
}

function noPrompt(turn: number, prompt: string, chat: string): Error {
  let at = 0;
  while (at < prompt.length && prompt[at] === chat[at]) at++;
  const near = (text: string): string => JSON.stringify(text.slice(Math.max(0, at - 24), at + 24));
  return new Error(
    `Cannot make an example of message ${turn}: the chat template renders a chat that does not begin ` +
      `with its own prompt; they part at character ${at}, prompt ${near(prompt)}, chat ${
        near(chat)
      }; ` +
      TEMPLATE_REMEDY,
  );
}
