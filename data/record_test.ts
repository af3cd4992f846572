import assert from "node:assert/strict";
import { parseRecord, toMessages } from "./record.ts";

const where = { file: "train.jsonl", line: 12 };
const user = { role: "user", content: "Hi" } as const;

Deno.test("parseRecord() keeps question, think and answer and ignores other columns", () => {
  assert.deepEqual(
    parseRecord({ Instruction: "x", question: "q", think: "t", answer: "a", metrics: 4 }, where),
    { kind: "question", question: "q", think: "t", answer: "a" },
  );
});

Deno.test("parseRecord() tells a null or missing think from an empty one", () => {
  const think = (value: Record<string, unknown>): unknown => {
    const record = parseRecord({ question: "q", answer: "a", ...value }, where);
    return record.kind === "question" ? record.think : undefined;
  };
  assert.deepEqual([think({}), think({ think: null }), think({ think: "" })], [null, null, ""]);
});

Deno.test("parseRecord() takes messages over the other columns, with known fields only", () => {
  const bot = {
    role: "assistant",
    content: "Yo",
    reasoning_content: "Hm",
    name: "x",
    tool_calls: [],
  };
  assert.deepEqual(parseRecord({ question: 4, messages: [{ ...user, name: "y" }, bot] }, where), {
    kind: "chat",
    messages: [user, { role: "assistant", content: "Yo", reasoning_content: "Hm" }],
  });
});

Deno.test("toMessages() prepends the system prompt to a question", () => {
  const record = { kind: "question", question: "q", think: "t", answer: "a" } as const;
  const chat = [
    { role: "user", content: "q" },
    { role: "assistant", content: "a", reasoning_content: "t" },
  ];
  assert.deepEqual(toMessages(record), chat);
  assert.deepEqual(toMessages(record, { system: "s" }), [
    { role: "system", content: "s" },
    ...chat,
  ]);
});

Deno.test("toMessages() gives an empty thinking for a think that is null or empty", () => {
  for (const think of [null, ""]) {
    const [, reply] = toMessages({ kind: "question", question: "q", think, answer: "a" });
    assert.deepEqual(reply, { role: "assistant", content: "a", reasoning_content: "" });
  }
});

Deno.test("toMessages() finds thinking inside the answer, and tags inside the think column", () => {
  const reply = { role: "assistant", content: "a", reasoning_content: "t" };
  for (
    const row of [
      { think: null, answer: "<think>\nt\n</think>\n\na" },
      { think: "<think>t</think>\n", answer: "a" },
      { think: "t", answer: "a" },
    ]
  ) {
    assert.deepEqual(toMessages({ kind: "question", question: "q", ...row })[1], reply);
  }
});

Deno.test("toMessages() prepends the system prompt to a chat only if the chat has none", () => {
  const bot = { role: "assistant", content: "<think>t</think>a" } as const;
  const split = { role: "assistant", content: "a", reasoning_content: "t" };
  const own = { role: "system", content: "own" } as const;
  const system = { role: "system", content: "s" };
  assert.deepEqual(toMessages({ kind: "chat", messages: [user, bot] }, { system: "s" }), [
    system,
    user,
    split,
  ]);
  assert.deepEqual(toMessages({ kind: "chat", messages: [own, user, bot] }, { system: "s" }), [
    own,
    user,
    split,
  ]);
});

Deno.test("toMessages() leaves tags in the content of a reply whose thinking is apart", () => {
  const bot = { role: "assistant", content: "use </think>", reasoning_content: "t" } as const;
  assert.deepEqual(toMessages({ kind: "chat", messages: [user, bot] })[1], bot);
});
