import assert from "node:assert/strict";
import { formatColumns, parseColumns } from "./columns_flag.ts";

Deno.test("parseColumns() reads meanings and names, and formatColumns() writes them again", () => {
  const columns = {
    question: "Question",
    think: "Complex_CoT",
    answer: "Response, final",
    system: "",
  };
  const text = "question=Question,think=Complex_CoT,answer=Response, final,system=";
  assert.deepEqual(parseColumns(text), columns);
  assert.equal(formatColumns(columns), text);
  assert.deepEqual(parseColumns("answer=a", { question: "q" }), { question: "q", answer: "a" });
});

Deno.test("parseColumns() names what no row has", () => {
  const faults: [string, RegExp][] = [
    ["Question", /It must be meanings and names of columns/],
    ["reply=a", /Cannot read reply from a column: what a row may hold is messages, think, /],
    ["question=a,answer=a", /Cannot read two things from the column a: name it once/],
    ["question=a,messages=b", /Cannot read question and messages from one row: no shape/],
  ];
  for (const [text, message] of faults) {
    assert.throws(() => parseColumns(text), { code: "commander.invalidArgument", message });
  }
});
