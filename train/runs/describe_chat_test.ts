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

Deno.test("describeChat() shows twelve messages, of texts both ends, and no tools where there are none", () => {
  const chat = (count: number, tools: string[] | undefined) => {
    const messages = Array.from({ length: count }, (_, i): Message => ({
      role: i % 2 === 0 ? "user" : "assistant",
      content: i === 1 ? "y".repeat(73) : `${i}`,
    }));
    const record = { kind: "chat", messages, tools } as const;
    return describeChat(record, { messages, teach: "all", source: { file: "a.csv", line: 7 } });
  };
  const lines = [
    "first row (line 7), as the chat that it becomes:",
    "  user       0",
    `  assistant  ${"y".repeat(46)} … ${"y".repeat(23)}  (learned)`,
    ...[2, 4, 6, 8, 10].flatMap((
      i,
    ) => [`  user       ${i}`, `  assistant  ${i + 1}  (learned)`]),
  ];
  assert.deepEqual(chat(12, undefined), lines);
  assert.deepEqual(chat(12, []), lines);
  assert.deepEqual(chat(13, undefined), [...lines, "             and 1 messages more"]);
});

Deno.test("describeChat() shows 72 characters of a prompt and of a completion whole", () => {
  const text = (length: number) => {
    const [prompt, completion] = ["p", "c"].map((each) => each.repeat(length));
    const record = { kind: "text", prompt, completion } as const;
    return describeChat(record, { messages: [], teach: "all", source: undefined });
  };
  const cut = (each: string) => `${each.repeat(46)} … ${each.repeat(23)}`;
  const title = "first row, as text without a chat template:";
  assert.deepEqual(text(72), [
    title,
    `  prompt     ${"p".repeat(72)}`,
    `  completion ${"c".repeat(72)}  (learned)`,
  ]);
  assert.deepEqual(text(73), [
    title,
    `  prompt     ${cut("p")}`,
    `  completion ${cut("c")}  (learned)`,
  ]);
});
