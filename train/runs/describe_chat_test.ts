import assert from "node:assert/strict";
import type { Message } from "../../data/text/message.ts";
import { toPythonJson } from "../../internal/json/to_python_json.ts";
import { describeChat } from "./describe_chat.ts";

const source = { file: "train.jsonl", line: 3 };

Deno.test("describeChat() shows a text's prompt and completion on a line each", () => {
  const record = { kind: "text", prompt: "The\nsky is", completion: "b".repeat(100) } as const;
  assert.deepEqual(describeChat(record, { messages: [], teach: "all", source }), [
    "first row (line 3), as text without a chat template:",
    "  prompt     The↵sky is",
    `  completion ${"b".repeat(46)} … ${"b".repeat(23)}  (learned)`,
  ]);
});

Deno.test("describeChat() shows each message with its thinking, its calls and whether it is learned", () => {
  const call = { type: "function", function: { name: "ping", arguments: {} } } as const;
  const messages: Message[] = [
    { role: "user", content: "Ping it." },
    { role: "assistant", content: "", tool_calls: [call] },
    { role: "tool", content: "pong" },
    { role: "assistant", content: "It answers.", reasoning_content: "Hm 🎉" },
  ];
  const tools = [{ type: "function", function: { name: "ping" } }, {}].map((
    tool,
  ) => toPythonJson(tool));
  const record = { kind: "chat", messages, tools } as const;
  assert.deepEqual(describeChat(record, { messages, teach: "last", source: undefined }), [
    "first row, as the chat that it becomes:",
    "  tools      ping, ?",
    "  user       Ping it.",
    "  assistant  [calls ping]  (not learned)",
    "  tool       pong",
    "  assistant  [thinking: 4 characters] It answers.  (learned)",
  ]);
  const long = Array.from({ length: 14 }, (): Message => ({ role: "user", content: "Hi" }));
  const lines = describeChat({ kind: "chat", messages: long }, {
    messages: long,
    teach: "all",
    source,
  });
  assert.equal(lines.length, 14);
  assert.equal(lines.at(-1), `  ${" ".repeat(10)} and 2 messages more`);
});
