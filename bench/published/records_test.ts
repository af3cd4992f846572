import assert from "node:assert/strict";
import { parseRecord, type QuestionRecord } from "../../data/records/record.ts";

async function read(file: string): Promise<QuestionRecord[]> {
  const text = await Deno.readTextFile(new URL(file, import.meta.url));
  return text.trimEnd().split("\n").map((line, index) => {
    const record = parseRecord(JSON.parse(line), { file, line: index + 1 });
    assert.equal(record.kind, "question");
    return record as QuestionRecord;
  });
}

Deno.test("every record has a question, thinking and an answer of several sentences, in English", async () => {
  for (
    const { question, think, answer } of [...await read("train.jsonl"), ...await read("val.jsonl")]
  ) {
    assert.match(question, /\?$/);
    assert.match(think!, /\.$/);
    assert.ok(answer.split(/[.?!](?: |$)/).length > 2, answer);
    assert.match(question + think + answer, /^[ -~]+$/);
  }
});

Deno.test("no question is asked twice, and none that is held out is trained on", async () => {
  const [train, val] = [await read("train.jsonl"), await read("val.jsonl")];
  assert.deepEqual([train.length, val.length], [100, 16]);
  const questions = [...train, ...val].map(({ question }) => question.toLowerCase());
  assert.equal(new Set(questions).size, questions.length);
});
