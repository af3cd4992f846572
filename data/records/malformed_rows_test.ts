import assert from "node:assert/strict";
import { readRows } from "./read_rows.ts";
import { JsonlError, type RowLocation } from "./jsonl_error.ts";
import { parseRecord, toMessages } from "./record.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";

const bytes = (...parts: (string | number)[]): Uint8Array =>
  Uint8Array.from(
    parts.flatMap((part) =>
      typeof part === "number" ? [part] : [...new TextEncoder().encode(part)]
    ),
  );
const chat = (...messages: unknown[]): string => JSON.stringify({ messages });
const user = { role: "user", content: "Hi" };
const bot = { role: "assistant", content: "Yo" };
const noReply = (got: string): string =>
  `expected a reply of the assistant to learn, got ${got}; add it, or drop the row`;

const json = ": expected a JSON object, got invalid JSON";
const cut =
  "got the end of the line; it was cut, or goes on in the next line: write each row whole on " +
  "one line";

/** A bad second line, and the exact message after `rows.jsonl:2`. */
const corpus: [string | Uint8Array, string][] = [
  // Not JSON, or not one object.
  ['{"question":"a"', `${json} at character 16 after "{\\"question\\":\\"a\\"": ${cut}`],
  ["{", `${json} at character 2 after "{": ${cut}`],
  [" [ ", `${json} at character 4 after " [ ": ${cut}`],
  ["}", `${json} at character 1: expected a value, found "}"`],
  ["hello", `${json} at character 1: expected a value, found "h"`],
  [
    "{'question': 'a'}",
    `${json} at character 2 after "{": got "'question': "; this is how Python prints, not JSON: write rows with json.dumps`,
  ],
  [
    '{"a":1,}',
    `${json} at character 8 after "{\\"a\\":1,": got "}"; remove the comma before it`,
  ],
  [
    '{"a":NaN}',
    `${json} at character 6 after "{\\"a\\":": got "NaN}"; JSON has no such number: write null`,
  ],
  [
    '{"a":1}{"a":2}',
    `${json} at character 8 after "{\\"a\\":1}": got "{\\"a\\":2}"; a second value: write one a line`,
  ],
  [
    '{"a":"tab\there"}',
    `${json} at character 10 after "{\\"a\\":\\"tab": got "\\there\\"}"; a tab inside a string is written \\t`,
  ],
  ["\u2028", `${json} at character 1: expected a value, found "\u2028"`],
  [
    "\ufeff{}",
    `${json} at character 1: got "\\ufeff{}"; a byte order mark, as joined files have: remove it`,
  ],
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
    ": expected the columns of a question and its answer or of a chat, got no columns; name them with --columns question=NAME,answer=NAME",
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
  [chat(), ":messages: expected 1 to 1024 messages, got 0"],
  [chat(...Array(1025).fill(user)), ":messages: expected 1 to 1024 messages, got 1025"],
  [chat(user), `:messages: ${noReply("none")}`],
  [chat(user, { ...bot, content: "  " }), `:messages: ${noReply("only empty ones")}`],
  [chat(user, { role: "assistant" }, user), `:messages: ${noReply("only empty ones")}`],
  [chat(user, null), ":messages[1]: expected a message, got null"],
  [chat(user, [bot]), ":messages[1]: expected a message, got array of 1"],
  [chat(user, "Yo"), ':messages[1]: expected a message, got string "Yo"'],
  [
    chat(user, { ...bot, reasoning_content: 1 }),
    ":messages[1].reasoning_content: expected a string, got number 1",
  ],
  [
    chat(user, { ...bot, content: "<think>hm</think>" }),
    ":messages[1].content: expected an answer after the thinking, got none: learning it, the model would stop there",
  ],
  // What is said twice, or cannot be honoured.
  [
    '{"question":"a","think":"b","Reasoning":"c","answer":"d"}',
    ':Reasoning: expected the same as in think, which means the same, got string "c" beside string "b"; keep one of the two',
  ],
  [
    '{"question":"a","think":"b","answer":"<think>c</think>d"}',
    ": Cannot take the thinking: it stands apart and, as another text, in <think> tags inside the answer; keep one of the two",
  ],
  [
    chat(user, { ...bot, reasoning: "a", thinking: "b" }),
    ':messages[1].thinking: expected the same as in reasoning, which means the same, got string "b" beside string "a"; keep one of the two',
  ],
  [
    JSON.stringify({ system: "a", messages: [{ role: "system", content: "b" }, user, bot] }),
    ":system: expected the system message of messages, got another text; keep one of the two",
  ],
  [
    chat(user, { ...bot, weight: 0.5 }),
    ":messages[1].weight: expected true or false, or 1 or 0, got number 0.5; a reply is learned whole or not at all",
  ],
  [
    chat(user, { ...bot, weight: 0, train: true }),
    ":messages[1].train: expected what weight says, got boolean true: one has the reply learned and the other not; keep one",
  ],
  [
    chat(user, { ...bot, content: [{ type: "image_url", image_url: {} }] }),
    ':messages[1].content[0]: expected a part of type text, got string "image_url"; the model reads text only',
  ],
  [
    '{"question":"a","answer":"b","history":[["c"]]}',
    ":history[0]: expected [question, answer] or a message, got array of 1",
  ],
  [
    '{"question":"a","answer":"b","chat_template_kwargs":{"builtin_tools":[]}}',
    ":chat_template_kwargs: expected enable_thinking true or false and nothing else, got builtin_tools; remove the rest",
  ],
  [
    `{"question":${JSON.stringify("x".repeat(30))},"answer":[],"messages":null}`,
    ":answer: expected a string, got array of 0",
  ],
];

/** As encodeRows() reads a row, but for the tokens. */
function read(row: Record<string, unknown>, where: RowLocation): unknown {
  const record = parseRecord(row, where);
  try {
    return toMessages(record);
  } catch (cause) {
    throw new JsonlError(where, (cause as Error).message);
  }
}

Deno.test(`readRows() with parseRecord() names the fault of ${corpus.length} malformed rows exactly`, async () => {
  await using folder = await tempFolder();
  for (const [row, problem] of corpus) {
    const path = await folder.write(
      "rows.jsonl",
      bytes('{"question":"a","answer":"b"}\n', ...(typeof row === "string" ? [row] : row), "\n"),
    );
    await assert.rejects(
      Array.fromAsync(readRows(path, read)),
      { name: "JsonlError", message: `${path}:2${problem}` },
    );
  }
});

Deno.test("readRows() recognizes a UTF-16 file", async () => {
  await using folder = await tempFolder();
  const path = await folder.write("rows.jsonl", Uint8Array.of(0xff, 0xfe, 0x7b, 0, 0x7d, 0));
  await assert.rejects(Array.fromAsync(readRows(path, parseRecord)), {
    message: `${path}:1: expected UTF-8 text, got what looks like UTF-16; save the file as UTF-8`,
  });
});
