import assert from "node:assert/strict";
import { shapedRow } from "../../../tests/support/shaped_row.ts";
import { ROW_SHAPES } from "../row_shapes.ts";
import { questionRecord } from "./question_record.ts";
import { questions } from "./question.ts";
import { shareGpt } from "./share_gpt.ts";

const QUESTION = { question: "question", answer: "answer" };
const INSTRUCTION = { question: "instruction", answer: "output" };

Deno.test("questionRecord() joins question and input, and keeps thinking, answer and history", () => {
  const record = (question: string, answer: string, think: string | null = null, more = {}) => ({
    ...{ kind: "question", question, think, answer },
    ...more,
  });
  const history = [
    { role: "user", content: "x" },
    { role: "assistant", content: "y" },
  ];
  const cases: readonly (readonly [Readonly<Record<string, unknown>>, unknown])[] = [
    [{ question: "q", answer: "a" }, record("q", "a")],
    [{ question: "q", answer: "a", input: null, think: null }, record("q", "a")],
    [{ question: "q", answer: "a", input: "", think: "" }, record("q", "a", "")],
    [{ question: "q", answer: "a", input: "i", think: "t" }, record("q\ni", "a", "t")],
    [{ question: "q", answer: "<think>t</think>a" }, record("q", "<think>t</think>a")],
    // With thinking apart an answer may be of thinking alone.
    [{ question: "q", answer: "<think>t", think: "s" }, record("q", "<think>t", "s")],
    [{ question: "q", answer: "a", history: [] }, record("q", "a")],
    [
      { question: "q", answer: "a", history: [["x", "y"]] },
      record("q", "a", null, { history }),
    ],
  ];
  for (const [values, expected] of cases) {
    assert.deepEqual(questionRecord(shapedRow(values), QUESTION), expected, JSON.stringify(values));
    const { question, answer, ...more } = values;
    const renamed = { instruction: question, output: answer, ...more };
    assert.deepEqual(questionRecord(shapedRow(renamed), INSTRUCTION), expected);
  }
  // An instruction may stand in its input alone.
  assert.deepEqual(
    questionRecord(shapedRow({ instruction: "", input: "i", output: "a" }), INSTRUCTION),
    record("i", "a"),
  );
  const unread: string[] = [];
  const odd = { question: "q", answer: "a", history: [{ ...history[0], odd: 1 }] };
  questionRecord(shapedRow(odd, { unread }), QUESTION);
  assert.deepEqual(unread, ["the history[].odd"]);
});

Deno.test("questionRecord() names the column that is no text, or says nothing", () => {
  const EMPTY = "expected some text, got an empty string";
  const NONE = "expected an answer after </think>, got none";
  const cases: readonly (readonly [Readonly<Record<string, unknown>>, string, string])[] = [
    [{ question: 4, answer: "a" }, "question", "expected a string, got number 4"],
    [{ question: "", answer: "a" }, "question", EMPTY],
    [{ question: "", answer: "a", input: "" }, "question", EMPTY],
    [{ question: "", answer: "a", input: "i" }, "question", EMPTY],
    [{ question: "q", answer: "" }, "answer", EMPTY],
    [{ question: "q", answer: 4, input: "i" }, "answer", "expected a string, got number 4"],
    [{ question: "q", answer: "a", input: 4 }, "input", "expected a string, got number 4"],
    [{ question: "q", answer: "a", think: 4 }, "think", "expected a string, got number 4"],
    [{ question: "q", answer: "<think>t</think>" }, "answer", NONE],
    [{ question: "q", answer: "<think>t", think: "" }, "answer", NONE],
    [{ question: "q", answer: "<think>t", think: null }, "answer", NONE],
    [
      { question: "q", answer: "a", history: 4 },
      "history",
      "expected an array of [question, answer], got number 4",
    ],
  ];
  for (const [values, column, problem] of cases) {
    assert.throws(() => questionRecord(shapedRow(values), QUESTION), {
      name: "JsonlError",
      message: `rows.jsonl:3:the ${column}: ${problem}`,
    }, JSON.stringify(values));
  }
  for (const values of [{ output: "a" }, { instruction: "", output: "a" }]) {
    assert.throws(
      () => questionRecord(shapedRow(values), INSTRUCTION),
      /:the instruction: expected/,
    );
  }
  assert.throws(
    () => questionRecord(shapedRow({ instruction: 4, input: "i", output: "a" }), INSTRUCTION),
    /:the instruction: expected a string, got number 4$/,
  );
});

Deno.test("questions and ShareGPT's chats are read from the columns that data sets name", () => {
  const think = [
    ...["think", "thinking", "thought", "thoughts", "reasoning", "reasoning_content"],
    ...["reasoning_trace", "cot", "complex_cot", "chain_of_thought"],
  ];
  const shared = {
    system: ["system", "system_prompt", "system_message"],
    tools: ["tools", "functions"],
    chat_template_kwargs: ["chat_template_kwargs"],
  };
  const columns = (question: string, answer: string, more = {}) => ({
    ...{ question: [question], think, answer: [answer], input: ["input"], history: ["history"] },
    ...{ ...shared, ...more },
  });
  assert.deepEqual(questions.map((shape) => shape.columns), [
    columns("question", "answer"),
    columns("question", "response"),
    columns("problem", "deepseek_solution", { think: ["deepseek_reasoning", ...think] }),
    columns("problem", "solution"),
    columns("query", "response"),
    columns("prompt", "response"),
    columns("instruction", "response", { input: ["input", "context"] }),
  ]);
  for (const { name, needs, parse } of questions) {
    assert.deepEqual([name, needs], ["question and answer", ["question", "answer"]]);
    const read = parse(shapedRow({ question: "q", answer: "a", input: "i" }));
    assert.deepEqual(read, { kind: "question", question: "q\ni", think: null, answer: "a" });
  }
  assert.deepEqual([shareGpt.name, shareGpt.needs], ["ShareGPT", ["conversations"]]);
  assert.deepEqual(shareGpt.columns, {
    ...{ conversations: ["conversations", "conversation"], think, history: ["history"] },
    ...shared,
  });
  const conversations = [{ from: "human", value: "Hi" }, { from: "gpt", value: "Yo" }];
  assert.deepEqual(shareGpt.parse(shapedRow({ conversations })), {
    kind: "chat",
    messages: [{ role: "user", content: "Hi" }, { role: "assistant", content: "Yo" }],
  });
  assert.ok(questions.every((shape) => ROW_SHAPES.includes(shape)));
});
