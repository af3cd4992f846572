import assert from "node:assert/strict";
import { readJsonl } from "./jsonl.ts";
import { parseRecord } from "./record.ts";
import { tempFolder } from "../tests/support/temp_folder.ts";

const bytes = (...parts: (string | number)[]): Uint8Array =>
  Uint8Array.from(
    parts.flatMap((part) =>
      typeof part === "number" ? [part] : [...new TextEncoder().encode(part)]
    ),
  );
const chat = (...messages: unknown[]): string => JSON.stringify({ messages });
const user = { role: "user", content: "Hi" };
const bot = { role: "assistant", content: "Yo" };
const toolHint = "training on tool calls is not supported, drop the row";

/** A bad second line, and the exact message after `rows.jsonl:2`. */
const corpus: [string | Uint8Array, string][] = [
  // Not JSON, or not one object.
  ['{"question":"a"', ': expected a JSON object, got invalid JSON "{\\"question\\":\\"a\\""'],
  ["{", ": expected a whole JSON object on one line, got only its start; write one object a line"],
  [
    " [ ",
    ": expected a whole JSON object on one line, got only its start; write one object a line",
  ],
  ["}", ': expected a JSON object, got invalid JSON "}"'],
  ["hello", ': expected a JSON object, got invalid JSON "hello"'],
  ["{'question': 'a'}", ": expected a JSON object, got invalid JSON \"{'question': 'a'}\""],
  ['{"a":1,}', ': expected a JSON object, got invalid JSON "{\\"a\\":1,}"'],
  ['{"a":NaN}', ': expected a JSON object, got invalid JSON "{\\"a\\":NaN}"'],
  ['{"a":1}{"a":2}', ': expected a JSON object, got invalid JSON "{\\"a\\":1}{\\"a\\":2}"'],
  ['{"a":"tab\there"}', ': expected a JSON object, got invalid JSON "{\\"a\\":\\"tab\\there\\"}"'],
  ["\u2028", ': expected a JSON object, got invalid JSON "\u2028"'],
  ["\ufeff{}", ': expected a JSON object, got invalid JSON "\ufeff{}"'],
  ["[1,2]", ": expected a JSON object, got array of 2"],
  ["null", ": expected a JSON object, got null"],
  ["true", ": expected a JSON object, got boolean true"],
  ["4", ": expected a JSON object, got number 4"],
  ['"text"', ': expected a JSON object, got string "text"'],
  ['""', ": expected a JSON object, got an empty string"],
  [`${"[".repeat(100_000)}${"]".repeat(100_000)}`, ": expected a JSON object, got array of 1"],
  // Not UTF-8.
  [bytes('{"a":"', 0xff, '"}'), ": expected UTF-8 text, got other bytes; save the file as UTF-8"],
  [
    bytes('{"a":"', 0xe6, 0x82, '"}'),
    ": expected UTF-8 text, got other bytes; save the file as UTF-8",
  ],
  [
    bytes('{"a":"', 0xc0, 0x80, '"}'),
    ": expected UTF-8 text, got other bytes; save the file as UTF-8",
  ],
  [
    bytes('{"a":"', 0xed, 0xa0, 0x80, '"}'),
    ": expected UTF-8 text, got other bytes; save the file as UTF-8",
  ],
  // Wrong columns.
  [
    "{}",
    ": expected the columns question and answer, or messages, got no columns; rename the columns",
  ],
  [
    '{"instruction":"a","output":"b"}',
    ": expected the columns question and answer, or messages, got instruction, output; rename the columns",
  ],
  ['{"question":"a"}', ":answer: expected a string, got nothing"],
  ['{"answer":"a"}', ":question: expected a string, got nothing"],
  ['{"question":"a","answer":4}', ":answer: expected a string, got number 4"],
  ['{"question":null,"answer":"b"}', ":question: expected a string, got null"],
  ['{"question":["a"],"answer":"b"}', ":question: expected a string, got array of 1"],
  ['{"question":{"a":1},"answer":"b"}', ":question: expected a string, got object"],
  ['{"question":"","answer":"b"}', ":question: expected some text, got an empty string"],
  ['{"question":"a","answer":" \\n\\u3000"}', ":answer: expected some text, got only blank space"],
  ['{"question":"a","think":false,"answer":"b"}', ":think: expected a string, got boolean false"],
  ['{"question":"a","think":{},"answer":"b"}', ":think: expected a string, got object"],
  ['{"question":"a","answer":"b\\ud83d"}', ":answer: expected valid Unicode, got a lone surrogate"],
  [
    '{"question":"\\udc00a","answer":"b"}',
    ":question: expected valid Unicode, got a lone surrogate",
  ],
  [
    '{"question":"a","answer":"<think>hm</think>\\n"}',
    ":answer: expected an answer after </think>, got none",
  ],
  ['{"question":"a","answer":"<think>hm"}', ":answer: expected an answer after </think>, got none"],
  // Bad chats.
  ['{"messages":"Hi"}', ':messages: expected an array of messages, got string "Hi"'],
  ['{"messages":{}}', ":messages: expected an array of messages, got object"],
  [chat(), ":messages: expected 2 to 1024 messages, got 0"],
  [chat(...Array(1025).fill(user)), ":messages: expected 2 to 1024 messages, got 1025"],
  [chat(bot), ":messages[0].role: expected system or user to speak first, got assistant"],
  [chat(user), ":messages[0].role: expected the last message to be the assistant's, got user"],
  [
    chat(user, bot, user),
    ":messages[2].role: expected the last message to be the assistant's, got user",
  ],
  [chat(user, null), ":messages[1]: expected a message, got null"],
  [chat(user, [bot]), ":messages[1]: expected a message, got array of 1"],
  [chat(user, "Yo"), ':messages[1]: expected a message, got string "Yo"'],
  [
    chat({ from: "human", value: "Hi" }, bot),
    ":messages[0].role: expected system, user or assistant, got nothing",
  ],
  [
    chat({ role: "human", content: "Hi" }, bot),
    ':messages[0].role: expected system, user or assistant, got string "human"',
  ],
  [
    chat(user, { role: "tool", content: "4" }, bot),
    `:messages[1].role: expected system, user or assistant, got string "tool"; ${toolHint}`,
  ],
  [
    chat(user, { ...bot, tool_calls: [{}] }),
    `:messages[1].tool_calls: expected no tool calls, got some; ${toolHint}`,
  ],
  [chat(user, { role: "assistant" }), ":messages[1].content: expected a string, got nothing"],
  [
    chat(user, { role: "assistant", content: null }),
    ":messages[1].content: expected a string, got null",
  ],
  [
    chat({ role: "user", content: [{ type: "text", text: "Hi" }] }, bot),
    ":messages[0].content: expected a string, got array of 1",
  ],
  [
    chat({ role: "system", content: "" }, user, bot),
    ":messages[0].content: expected some text, got an empty string",
  ],
  [
    chat(user, { ...bot, content: "  " }),
    ":messages[1].content: expected some text, got only blank space",
  ],
  [
    chat(user, { ...bot, reasoning_content: 1 }),
    ":messages[1].reasoning_content: expected a string, got number 1",
  ],
  [
    chat(user, { ...bot, content: "<think>hm</think>" }),
    ":messages[1].content: expected an answer after </think>, got none",
  ],
  [
    `{"question":${JSON.stringify("x".repeat(30))},"answer":[],"messages":null}`,
    ":answer: expected a string, got array of 0",
  ],
];

Deno.test(`readJsonl() with parseRecord() names the fault of ${corpus.length} malformed rows exactly`, async () => {
  await using folder = await tempFolder();
  for (const [row, problem] of corpus) {
    const path = await folder.write(
      "rows.jsonl",
      bytes('{"question":"a","answer":"b"}\n', ...(typeof row === "string" ? [row] : row), "\n"),
    );
    await assert.rejects(
      Array.fromAsync(readJsonl(path, parseRecord)),
      { name: "JsonlError", message: `${path}:2${problem}` },
    );
  }
});

Deno.test("readJsonl() recognizes a UTF-16 file", async () => {
  await using folder = await tempFolder();
  const path = await folder.write("rows.jsonl", Uint8Array.of(0xff, 0xfe, 0x7b, 0, 0x7d, 0));
  await assert.rejects(Array.fromAsync(readJsonl(path, parseRecord)), {
    message: `${path}:1: expected UTF-8 text, got what looks like UTF-16; save the file as UTF-8`,
  });
});
