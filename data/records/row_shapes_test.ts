import assert from "node:assert/strict";
import { assertRowColumns, COLUMN_MEANINGS } from "./row_shapes.ts";

const MEANINGS = [
  ...["messages", "think", "history", "system", "tools", "chat_template_kwargs", "conversations"],
  ...["instruction", "input", "output", "prompt", "completion", "question", "chosen", "rejected"],
  "answer",
];

Deno.test("COLUMN_MEANINGS are those of all shapes, each once", () => {
  assert.deepEqual(COLUMN_MEANINGS, MEANINGS);
});

Deno.test("assertRowColumns() takes columns that a shape has together", () => {
  const good: readonly Readonly<Record<string, string>>[] = [
    {},
    ...MEANINGS.map((name) => ({ [name]: "x" })),
    { question: "q", answer: "a", think: "t", input: "i", history: "h", system: "s", tools: "t2" },
    { messages: "m", system: "s" },
    { prompt: "p", chosen: "c", rejected: "r" },
    // What is empty is not read, and may stand beside anything, as often as one likes.
    { messages: "m", question: "", answer: "" },
    { completion: "", conversations: "", output: "" },
  ];
  for (const columns of good) assert.equal(assertRowColumns(columns), undefined);
});

Deno.test("assertRowColumns() refuses columns that no shape has, or none has together", () => {
  const shapes =
    "messages, or conversations, or instruction and output, or prompt and completion, or chosen and rejected, or " +
    "question and answer";
  const bad: readonly (readonly [Readonly<Record<string, string>>, string])[] = [
    [
      { question: "q", foo: "a", bar: "b" },
      `Cannot read foo from a column: what a row may hold is ${MEANINGS.join(", ")}`,
    ],
    [
      { foo: "" },
      `Cannot read foo from a column: what a row may hold is ${MEANINGS.join(", ")}`,
    ],
    [{ question: "a", answer: "a" }, "Cannot read two things from the column a: name it once"],
    [
      { think: "", question: "b", answer: "a", input: "a", history: "b" },
      "Cannot read two things from the column a: name it once",
    ],
    [
      { messages: "m", question: "q", answer: "" },
      `Cannot read messages and question from one row: no shape of row has them together; of one are ${shapes}`,
    ],
    [
      { completion: "c", chosen: "d", output: "e" },
      `Cannot read completion and chosen and output from one row: no shape of row has them together; of one are ${shapes}`,
    ],
  ];
  for (const [columns, message] of bad) {
    assert.throws(() => assertRowColumns(columns), { name: "RangeError", message });
  }
});
