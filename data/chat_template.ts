/**
 * The text of a chat, by a model's own Jinja template.
 *
 * In: the template's source and messages. Out: one string, special tokens written as text.
 *
 * @module
 */

import { Template } from "@huggingface/jinja";
import type { Message } from "./message.ts";
import { strftime } from "./strftime.ts";

/** Options of {@linkcode renderChat}. */
export interface RenderChatOptions {
  /** Whether to end where the assistant is to speak, as inference does. */
  readonly addGenerationPrompt: boolean;
  /**
   * Qwen3's switch: `false` ends the generation prompt with an empty thinking block. `undefined`
   * leaves it to the template.
   */
  readonly enableThinking?: boolean;
  /** Text of the token that begins a sequence, where the model has one. */
  readonly bosToken?: string;
  /** Text of the token that ends a sequence, where the model has one. */
  readonly eosToken?: string;
  /**
   * The date that templates such as Llama 3.2's print. Fix it to make the same text tomorrow.
   * @default {new Date()}
   */
  readonly now?: Date;
}

/** Longest template accepted: the largest in use are under 20,000 characters. */
const MAX_TEMPLATE_LENGTH = 1024 * 1024;
/** Parsed templates kept; a program uses one or two. */
const MAX_PARSED = 4;
const parsed = new Map<string, Template>();

/**
 * Renders a chat as text.
 *
 * A template that does not know `reasoning_content` (Qwen2.5's, Llama's) gets thinking as
 * `<think>…</think>` inside the content, under Qwen3's rule: only in replies to the last user
 * message, since a chat sends earlier replies back without it.
 *
 * @throws {Error} if the template is not valid, or refuses the messages.
 *
 * @example
 * ```ts
 * import { renderChat } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 *
 * const template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}" +
 *   "{% if add_generation_prompt %}<assistant>{% endif %}";
 * const messages = [{ role: "user", content: "Hi" }] as const;
 * const text = renderChat(template, messages, { addGenerationPrompt: true });
 * assert.equal(text, "<user>Hi<assistant>");
 * ```
 */
export function renderChat(
  template: string,
  messages: readonly Message[],
  options: RenderChatOptions,
): string {
  const { addGenerationPrompt, enableThinking, bosToken = "", eosToken = "", now = new Date() } =
    options;
  const compiled = parseTemplate(template);
  try {
    return compiled.render({
      messages: template.includes("reasoning_content")
        ? messages.map(plain)
        : foldThinking(messages),
      // Python passes both as None; some templates tell that from "not defined".
      tools: null,
      documents: null,
      add_generation_prompt: addGenerationPrompt,
      bos_token: bosToken,
      eos_token: eosToken,
      ...(enableThinking === undefined ? {} : { enable_thinking: enableThinking }),
      ortune_strftime_now: (format: string) => strftime(now, format),
    });
  } catch (cause) {
    throw new Error(
      `Cannot render the chat: the template refused ${messages.length} messages: ${
        messageOf(cause)
      }`,
      { cause },
    );
  }
}

function parseTemplate(template: string): Template {
  const known = parsed.get(template);
  if (known !== undefined) return known;
  if (template.length > MAX_TEMPLATE_LENGTH) {
    throw new RangeError(
      `Cannot parse the chat template: ${template.length} characters exceed ${MAX_TEMPLATE_LENGTH}`,
    );
  }
  let made: Template;
  try {
    // The library's own strftime_now reads the clock and cannot be passed in, so it is overwritten
    // from inside. The block's own line break is trimmed, so this line adds no text.
    made = new Template(`{% set strftime_now = ortune_strftime_now %}\n${template}`);
  } catch (cause) {
    throw new SyntaxError(
      `Cannot parse the chat template: ${messageOf(cause)}; copy it again from the base model`,
      { cause },
    );
  }
  if (parsed.size >= MAX_PARSED) parsed.clear();
  parsed.set(template, made);
  return made;
}

/** Only the known fields, and no `undefined`, which templates would take for defined. */
function plain({ role, content, reasoning_content }: Message): Record<string, string> {
  return reasoning_content === undefined ? { role, content } : { role, content, reasoning_content };
}

/** Moves thinking into the content, in the replies to the last user message only. */
function foldThinking(messages: readonly Message[]): Record<string, string>[] {
  const lastUser = messages.findLastIndex(({ role }) => role === "user");
  return messages.map(({ role, content, reasoning_content = "" }, index) => ({
    role,
    content: role === "assistant" && reasoning_content !== "" && index > lastUser
      ? `<think>\n${reasoning_content.replace(/^\n+|\n+$/g, "")}\n</think>\n\n${content}`
      : content,
  }));
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
