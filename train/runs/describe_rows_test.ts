import assert from "node:assert/strict";
import type { ReadExamplesReport } from "../../data/examples/read_examples_report.ts";
import {
  describeLines,
  describeRows,
  type DescribeRowsOptions,
  describeShapes,
} from "./describe_rows.ts";

const nothing: ReadExamplesReport = {
  ...{ rows: 40, examples: 40, truncated: [], unterminated: [], unlabelled: [], dropped: [] },
  ...{ tokens: 0, supervisedTokens: 0, refusedRows: 0, refused: [], shapes: [], unread: [] },
  ...{ systems: [], otherSystems: 0, pairs: 0, replies: 50, withoutThinking: 0, thinkingOff: 0 },
  ...{ unlearnedReplies: 0, unlearned: [], tagged: [], trimmed: [], terminators: [] },
};
const tokenizer = { chatTemplate: "a <think> b", idToToken: () => undefined };
const range = (count: number): number[] => Array.from({ length: count }, (_, i) => 2 * i + 1);

/** What is said of a report, without the file in front. */
function said(
  change: Partial<ReadExamplesReport>,
  options: Partial<DescribeRowsOptions> = {},
): string[] {
  const lines = describeRows({ ...nothing, ...change }, {
    ...{ path: "a.jsonl", args: {}, tokenizer, training: true },
    ...options,
  });
  return lines.map((line) => {
    assert.ok(line.startsWith("a.jsonl: "));
    return line.slice("a.jsonl: ".length);
  });
}

Deno.test("describeLines() lists up to ten numbers", () => {
  assert.equal(describeLines([7]), "line 7");
  assert.equal(describeLines([7, 9], "row"), "rows 7, 9");
  assert.equal(describeLines(range(10)), "lines 1, 3, 5, 7, 9, 11, 13, 15, 17, 19");
  assert.equal(
    describeLines(range(11)),
    "lines 1, 3, 5, 7, 9, 11, 13, 15, 17, 19 and 1 more",
  );
  assert.equal(describeLines(range(13), "row").slice(-10), "and 3 more");
});

Deno.test("describeRows() says nothing of rows that are as they should be", () => {
  assert.deepEqual(said({}), []);
  assert.deepEqual(said({ systems: [{ text: "", rows: 40 }] }), []);
});

Deno.test("describeRows() gives the first three reasons for rows that are left out", () => {
  const refused = [1, 5, 6, 9].map((line) => ({ line, reason: `why ${line}` }));
  const three = "line 1: why 1; line 5: why 5; line 6: why 6";
  const left = "of 40 rows are left out (--drop-refused-rows): ";
  assert.deepEqual(said({ refused: refused.slice(0, 3), refusedRows: 3 }), [`3 ${left}${three}`]);
  assert.deepEqual(said({ refused, refusedRows: 4 }), [
    `4 ${left}${three}; and 1 more, in report.html`,
  ]);
  assert.deepEqual(said({ refused, refusedRows: 2000 }, { unit: "row", training: false }), [
    `2000 ${left}${three.replaceAll("line", "row")}; and 1997 more, in report.html`,
  ]);
});

Deno.test("describeRows() names up to ten columns that are not read, after those with a remedy", () => {
  const unread = range(11).map((rows) => ({ field: `f${rows}`, rows }));
  const end = "; --columns names a column that belongs to the chat";
  const of = (count: number): string =>
    range(count).map((rows) => `f${rows} (${rows} of 40 rows)`).join(", ");
  assert.deepEqual(said({ unread: unread.slice(0, 1) }), [`not read: f1 (1 of 40 rows)${end}`]);
  assert.deepEqual(said({ unread: unread.slice(0, 10) }), [`not read: ${of(10)}${end}`]);
  assert.deepEqual(said({ unread }), [`not read: ${of(10)} and 1 more${end}`]);
  const known = { field: "g", rows: 3, remedy: "g is 5: make it text" };
  assert.deepEqual(said({ unread: [unread[0], known] }, { training: false }), [
    "g is 5: make it text (3 of 40 rows)",
    `not read: f1 (1 of 40 rows)${end}`,
  ]);
  assert.deepEqual(said({ unread: [known] }), ["g is 5: make it text (3 of 40 rows)"]);
});

Deno.test("describeRows() tells which system prompts are trained below, of rows that are used", () => {
  const end = "; inference and serve send ";
  const others = ", other clients must";
  const left = "2 of 40 rows are left out (--drop-refused-rows): line 1: why";
  const refused = { refusedRows: 2, refused: [{ line: 1, reason: "why" }] };
  const kind = { text: 'Be "kind".', rows: 38 };
  assert.deepEqual(said({ systems: [kind], ...refused }), [
    left,
    `system prompt of 38 of 38 rows "Be \\"kind\\"."${end}it${others}`,
  ]);
  assert.deepEqual(said({ systems: [kind], otherSystems: 1 }), [
    `system prompt of 38 of 40 rows "Be \\"kind\\".", 1 others${end}that of most rows${others}`,
  ]);
  assert.deepEqual(said({ systems: [kind, { text: "", rows: 2 }] }), [
    `system prompt of 38 of 40 rows "Be \\"kind\\".", 2 of 40 rows none${end}that of most rows${others}`,
  ]);
  assert.deepEqual(said({ systems: [{ text: "", rows: 39 }], otherSystems: 1 }), [
    `system prompt of 39 of 40 rows none, 1 others${end}that of most rows${others}`,
  ]);
  assert.deepEqual(said({ otherSystems: 1 }), [`system prompt of , 1 others${end}it${others}`]);
  // Rows that are only evaluated teach no prompt.
  assert.deepEqual(said({ systems: [kind] }, { training: false }), []);
});

Deno.test("describeRows() cuts a system prompt after sixty characters", () => {
  const shown = (text: string): string => said({ systems: [{ text, rows: 1 }] })[0];
  const sixty = "x".repeat(60);
  assert.ok(shown(sixty).includes(`rows "${sixty}";`));
  assert.ok(shown(`${sixty}x`).includes(`rows "${sixty}…";`));
  assert.ok(shown(`${"x".repeat(59)}😀`).includes(`rows "${"x".repeat(59)}\ufffd…";`));
});

Deno.test("describeRows() tells what becomes of replies without thinking, where the template writes some", () => {
  const replies = { withoutThinking: 7 };
  const head = "7 of 50 replies have no thinking: ";
  for (
    const [emptyThink, text] of [
      [undefined, "the empty thinking block is taught; --empty-think prompt or omit leaves it out"],
      ["teach", "the empty thinking block is taught; --empty-think prompt or omit leaves it out"],
      ["prompt", "their empty thinking block stands in the prompt (--empty-think prompt)"],
      ["omit", "they have no thinking block at all (--empty-think omit)"],
    ] as const
  ) {
    assert.deepEqual(said(replies, { args: { emptyThink } }), [head + text]);
  }
  assert.deepEqual(said({ withoutThinking: 0 }), []);
  assert.deepEqual(said(replies, { training: false }), []);
  assert.deepEqual(said(replies, { args: { compat: "seed" } }), []);
  for (const chatTemplate of ["none", undefined]) {
    assert.deepEqual(said(replies, { tokenizer: { ...tokenizer, chatTemplate } }), []);
  }
});

Deno.test("describeRows() tells which replies are not learned, and why", () => {
  for (
    const [teach, why] of [
      [undefined, "the rows mark them so, or they are empty"],
      ["all", "the rows mark them so, or they are empty"],
      ["last", "they are not the last of their row (--teach last), marked so, or empty"],
      ["marked", "the rows do not mark them as learned (--teach marked)"],
    ] as const
  ) {
    const options = { args: { teach }, training: false };
    const head = `1 replies are read but not learned: ${why}`;
    assert.deepEqual(said({ unlearnedReplies: 1 }, options), [head]);
    assert.deepEqual(said({ unlearnedReplies: 1, unlearned: [3] }, { ...options, unit: "row" }), [
      `${head}; nothing is learned from row 3`,
    ]);
  }
});

Deno.test("describeRows() tells of tags within texts and of blanks that a template drops, after the rest", () => {
  const report = {
    ...{ tagged: [4], trimmed: [5, 6], unlearnedReplies: 2, withoutThinking: 1 },
    ...{ refusedRows: 1, refused: [{ line: 2, reason: "why" }] },
    ...{ unread: [{ field: "f", rows: 1 }], systems: [{ text: "s", rows: 1 }] },
  };
  const lines = said(report, { unit: "row" });
  assert.deepEqual(lines.map((line) => line.split(" ").slice(0, 3).join(" ")), [
    ...["1 of 40", "not read: f", "system prompt of", "1 of 50", "2 replies are"],
    ...["a <think> or", "the chat template"],
  ]);
  assert.deepEqual(lines.slice(-2), [
    "a <think> or </think> is left inside the thinking or the answer of 1 of 40 rows (row 4) and taught as it " +
    "stands; remove it unless that is meant",
    "the chat template drops the blanks around the reply of 2 of 40 rows (rows 5, 6), such as an answer's first " +
    "indentation; --chat-template gives another template",
  ]);
});

Deno.test("describeShapes() tells what the rows were found to be", () => {
  const shapes = [
    { name: "Alpaca", columns: ["instruction", "output"], rows: 3 },
    { name: "chat", columns: ["messages"], rows: 2 },
  ];
  assert.deepEqual(describeShapes({ shapes, rows: 5 }, "a, b"), [
    "rows: 3 of 5 of a, b are read as Alpaca (instruction, output)",
    "rows: 2 of 5 of a, b are read as chat (messages)",
  ]);
});
