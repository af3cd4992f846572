/**
 * The text of a chat, by a model's own Jinja template.
 *
 * In: the template's source and messages. Out: one string, special tokens written as text, equal to
 * what transformers' `apply_chat_template` gives byte for byte, or an error.
 *
 * @module
 */

import { PythonError, TemplateLimitError, UnsupportedError } from "./jinja/errors.ts";
import { Template } from "./jinja/template.ts";
import type { Message, Tool } from "./message.ts";
import { strftime } from "./strftime.ts";
import { trimLineBreaks } from "./thinking.ts";

/** Options of {@linkcode renderChat}. */
export interface RenderChatOptions {
  /** Whether to end where the assistant is to speak, as inference does. */
  readonly addGenerationPrompt: boolean;
  /**
   * Qwen3's switch: `false` ends the generation prompt with an empty thinking block. `undefined`
   * leaves it to the template.
   */
  readonly enableThinking?: boolean;
  /**
   * Tools that the assistant may call.
   * @default none
   */
  readonly tools?: readonly Tool[];
  /** Text of the token that begins a sequence, where the model has one. */
  readonly bosToken?: string;
  /** Text of the token that ends a sequence, where the model has one. */
  readonly eosToken?: string;
  /**
   * Texts of further special tokens, such as `pad_token`, by the names that templates know.
   * @default {{}}
   */
  readonly specialTokens?: Readonly<Record<string, string>>;
  /**
   * The date that templates such as Llama 3.2's print. Fix it to make the same text tomorrow.
   * @default {new Date()}
   */
  readonly now?: Date;
}

/** Longest template accepted: the largest in use are under 20,000 characters. */
const MAX_TEMPLATE_LENGTH = 1024 * 1024;
/** Compiled templates kept; a program uses one or two. */
const MAX_COMPILED = 4;
const compiled = new Map<string, Template>();
/** Characters of a template by which messages name it. */
const MAX_SHOWN = 40;
const WAY_OUT = "give another template with --chat-template FILE";

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
 * import { renderChat } from "@ortune/ortune/data";
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
  const { addGenerationPrompt, enableThinking, tools, bosToken, eosToken, now = new Date() } =
    options;
  const code = compileTemplate(template);
  try {
    return code.render({
      ...options.specialTokens,
      messages: WRITES_THINKING.test(template) ? messages.map(plain) : foldThinking(messages),
      // Python passes both as None; some templates tell that from "not defined".
      tools: tools ?? null,
      documents: null,
      add_generation_prompt: addGenerationPrompt,
      // What is undefined here is not defined in the template, as in transformers.
      bos_token: bosToken,
      eos_token: eosToken,
      enable_thinking: enableThinking,
    }, { strftime: (format) => strftime(now, format) });
  } catch (cause) {
    throw renderError(template, messages.length, cause);
  }
}

/**
 * Checks that a chat template can be rendered exactly as transformers does it, so that a tokenizer
 * with another is refused when it is loaded. A template that refuses some chats of its own accord,
 * by `raise_exception`, is fine.
 *
 * @throws {SyntaxError} if Jinja cannot parse it either
 * @throws {TypeError} if it uses what could be rendered otherwise than Python does
 * @throws {RangeError} if it is too long or nests too deeply
 *
 * @example
 * ```ts
 * import { checkChatTemplate } from "@ortune/ortune/data";
 * import assert from "node:assert/strict";
 *
 * checkChatTemplate("{% for m in messages %}{{ m.content }}{% endfor %}");
 * assert.throws(() => checkChatTemplate("{{ messages | pprint }}"), /line 1: the filter pprint/);
 * ```
 */
export function checkChatTemplate(template: string): void {
  compileTemplate(template);
}

function compileTemplate(template: string): Template {
  const known = compiled.get(template);
  if (known !== undefined) return known;
  if (template.length > MAX_TEMPLATE_LENGTH) {
    throw new RangeError(
      `Cannot parse the chat template: ${template.length} characters exceed ${MAX_TEMPLATE_LENGTH}; ${WAY_OUT}`,
    );
  }
  let made: Template;
  try {
    made = new Template(template);
  } catch (cause) {
    throw compileError(template, cause);
  }
  if (compiled.size >= MAX_COMPILED) compiled.clear();
  compiled.set(template, made);
  return made;
}

function compileError(template: string, cause: unknown): Error {
  if (cause instanceof UnsupportedError) {
    return new TypeError(
      `Cannot use the chat template ${
        shown(template)
      }: ${cause.message} would not be rendered exactly as transformers does; ${WAY_OUT}`,
      { cause },
    );
  }
  if (cause instanceof TemplateLimitError) {
    return new RangeError(
      `Cannot use the chat template ${shown(template)}: ${cause.message}; ${WAY_OUT}`,
      {
        cause,
      },
    );
  }
  return new SyntaxError(
    `Cannot parse the chat template: ${
      messageOf(cause)
    }; copy it again from the base model, or ${WAY_OUT}`,
    { cause },
  );
}

function renderError(template: string, count: number, cause: unknown): Error {
  if (cause instanceof TemplateLimitError) {
    return new RangeError(
      `Cannot render the chat with the template ${
        shown(template)
      }: ${cause.message}; it is damaged or hostile, so ${WAY_OUT}`,
      { cause },
    );
  }
  if (cause instanceof UnsupportedError) {
    return new TypeError(
      `Cannot render the chat with the template ${
        shown(template)
      }: ${cause.message} would not be rendered exactly as transformers does; ${WAY_OUT}`,
      { cause },
    );
  }
  if (!(cause instanceof PythonError)) throw cause;
  return new Error(
    `Cannot render the chat: the template refused ${count} messages: ${cause.message}`,
    { cause },
  );
}

/** The beginning of a template, by which a message names it. */
function shown(template: string): string {
  const start = template.slice(0, MAX_SHOWN).toWellFormed();
  return JSON.stringify(template.length > MAX_SHOWN ? `${start}…` : start);
}

/** Templates that write thinking by themselves: `thinking` is gpt-oss's name of it. */
const WRITES_THINKING = /reasoning_content|[.'"]thinking\b/;

/** Only the known fields, and no `undefined`, which templates would take for defined. */
function plain(message: Message): Record<string, unknown> {
  const { role, content, reasoning_content, name, tool_calls, tool_call_id } = message;
  return {
    role,
    content,
    // Under both names, as transformers 5 gives it.
    ...reasoning_content === undefined ? {} : { thinking: reasoning_content, reasoning_content },
    ...name === undefined ? {} : { name },
    ...tool_calls === undefined ? {} : { tool_calls },
    ...tool_call_id === undefined ? {} : { tool_call_id },
  };
}

/** Moves thinking into the content, in the replies to the last user message only. */
function foldThinking(messages: readonly Message[]): Record<string, unknown>[] {
  const lastUser = messages.findLastIndex(({ role }) => role === "user");
  return messages.map(({ reasoning_content = "", ...message }, index) => {
    const { role, content } = message;
    const folds = role === "assistant" && reasoning_content !== "" && index > lastUser;
    return plain({
      ...message,
      content: folds
        ? `<think>\n${trimLineBreaks(reasoning_content)}\n</think>\n\n${content}`
        : content,
    });
  });
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
