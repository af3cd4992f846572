/**
 * Calls of tools and their answers in a request's messages: the prompt is that of transformers, for
 * every template whose text of such a chat `tests/fixtures/jinja/make.py` kept a digest of.
 */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { renderChat } from "../data/text/chat_template.ts";
import { parseMessages } from "../infer/serve/request_messages.ts";

const fixtures = new URL("./fixtures/jinja/", import.meta.url);

interface Chat {
  readonly messages: readonly Record<string, unknown>[];
  readonly tools: unknown;
}

interface Renderings {
  readonly options: readonly Readonly<Record<string, unknown>>[];
  readonly rows: readonly (readonly (string | null | readonly [string, string])[])[];
}

async function read<T>(name: string): Promise<T> {
  return JSON.parse(await Deno.readTextFile(new URL(name, fixtures)));
}

const chats = await read<readonly Chat[]>("conversations.json");
const renderings = await read<Readonly<Record<string, Renderings>>>("renderings.json");

const now = new Date(2026, 10, 21, 9, 5, 3);

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 12);
}

/** The same as a client of OpenAI's API sends it: arguments as JSON, no content beside calls. */
function sent({ messages }: Chat): Record<string, unknown>[] {
  return messages.map((message) => {
    const calls = message.tool_calls as { function: { arguments: unknown } }[] | undefined;
    if (!calls) return message;
    return {
      ...message,
      tool_calls: calls.map((call) => ({
        ...call,
        function: { ...call.function, arguments: JSON.stringify(call.function.arguments) },
      })),
    };
  });
}

Deno.test("a request's calls and answers of tools are rendered as transformers renders them", async () => {
  const numbers = [...chats.keys()].filter((number) => {
    const { messages, tools } = chats[number];
    return tools === null && messages.some(({ tool_calls }) => Array.isArray(tool_calls)) &&
      messages.every(({ content }) => typeof content === "string");
  });
  assert.ok(numbers.length >= 3, `${numbers.length}`);
  let compared = 0;
  for (const [name, { options, rows }] of Object.entries(renderings)) {
    const template = await Deno.readTextFile(new URL(`templates/${name}.jinja`, fixtures));
    for (const number of numbers) {
      const messages = parseMessages(sent(chats[number]));
      for (const [column, option] of options.entries()) {
        const expected = rows[number][column];
        const known = ["add_generation_prompt", "enable_thinking"];
        if (expected === null || Object.keys(option).some((key) => !known.includes(key))) continue;
        // Other templates get thinking under another name, or in the content.
        const folds = (!template.includes("reasoning_content") || name === "gptoss") &&
          messages.some(({ reasoning_content }) => reasoning_content !== undefined);
        if (folds) continue;
        const text = renderChat(template, messages, {
          addGenerationPrompt: option.add_generation_prompt === true,
          enableThinking: option.enable_thinking as boolean | undefined,
          bosToken: "<s>",
          eosToken: "</s>",
          now,
        });
        const [wanted] = Array.isArray(expected) ? expected : [expected];
        assert.equal(digest(text), wanted, `${name}, chat ${number}, ${JSON.stringify(option)}`);
        compared++;
      }
    }
  }
  assert.ok(compared > 60, `${compared}`);
});
