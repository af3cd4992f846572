import assert from "node:assert/strict";
import { parseEvalRow } from "./asked_row.ts";
import { parseChoiceRow } from "./choice_row.ts";

const where = { file: "test.jsonl", line: 7 };

Deno.test("parseChoiceRow() reads the columns of MMLU, C-Eval and CMB", () => {
  const cases: readonly (readonly [Record<string, unknown>, string, string])[] = [
    [
      { question: "1 + 1?", subject: "math", choices: ["1", "2", "3", "4"], answer: 1 },
      "B",
      "1 + 1?\n\nA. 1\nB. 2\nC. 3\nD. 4\n\nAnswer with the letter of the right option.",
    ],
    [
      {
        id: 0,
        question: "一加一等于几？",
        A: "一",
        B: "二",
        C: "三",
        D: "四",
        answer: "B",
        explanation: "",
      },
      "B",
      "一加一等于几？\n\nA. 一\nB. 二\nC. 三\nD. 四\n\n请回答正确选项的字母。",
    ],
    [
      {
        exam_type: "医师考试",
        question: "发热患者可用？",
        answer: "CA",
        question_type: "多项选择题",
        option: { A: "布洛芬", B: "青霉素", C: "对乙酰氨基酚", D: "胰岛素", E: "" },
      },
      "AC",
      "发热患者可用？\n\nA. 布洛芬\nB. 青霉素\nC. 对乙酰氨基酚\nD. 胰岛素\n\n请回答所有正确选项的字母。",
    ],
    [
      { Question: "1 + 1?", A: "1", B: "2", Answer: "b" },
      "B",
      "1 + 1?\n\nA. 1\nB. 2\n\nAnswer with the letter of the right option.",
    ],
    [
      { question: "1 + 1?", choices: ["1", "2"], answer: 1n },
      "B",
      "1 + 1?\n\nA. 1\nB. 2\n\nAnswer with the letter of the right option.",
    ],
    [
      { question: "1 + 1?", options: { A: "1", B: "2" }, answer: "2", answer_idx: "B" },
      "B",
      "1 + 1?\n\nA. 1\nB. 2\n\nAnswer with the letter of the right option.",
    ],
  ];
  for (const [row, right, question] of cases) {
    const { choice, record } = parseChoiceRow(row, where)!;
    assert.deepEqual([choice.right, record.answer, record.question], [right, right, question]);
  }
});

Deno.test("parseChoiceRow() refuses answers that are no option, with their place", () => {
  const row = { question: "1 + 1?", A: "1", B: "2" };
  const wrong: readonly (readonly [unknown, string])[] = [
    ["E", 'string "E"'],
    ["", "an empty string"],
    [4, "number 4"],
    [undefined, "nothing"],
  ];
  for (const [answer, got] of wrong) {
    assert.throws(() => parseChoiceRow({ ...row, answer }, where), (error: Error) => {
      assert.ok(
        error.message.startsWith("test.jsonl:7:answer: expected one or several of"),
        error.message,
      );
      assert.ok(error.message.includes(`got ${got}`), error.message);
      return true;
    });
  }
});

Deno.test("parseEvalRow() reads other rows as training does", () => {
  const row = parseEvalRow({ question: "1 + 1?", think: "Easy.", answer: "2" }, where);
  assert.deepEqual(row, {
    where,
    record: { kind: "question", question: "1 + 1?", think: "Easy.", answer: "2" },
  });
  assert.equal(
    parseEvalRow({ prompt: "The sky", completion: " is blue" }, where).record.kind,
    "text",
  );
});
