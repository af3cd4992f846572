import assert from "node:assert/strict";
import { JsonlError } from "../records/jsonl_error.ts";
import type { Message } from "../text/message.ts";
import { joinExample } from "./join_example.ts";
import { type RowStatistics, RowStatisticsCollector } from "./row_statistics.ts";
import type { Teach } from "./taught_turns.ts";

const NOTHING: RowStatistics = {
  ...{
    refusedRows: 0,
    refused: [],
    shapes: [],
    unread: [],
    systems: [],
    otherSystems: 0,
    pairs: 0,
  },
  ...{ replies: 0, withoutThinking: 0, thinkingOff: 0, unlearnedReplies: 0, unlearned: [] },
  ...{ tagged: [], trimmed: [], terminators: [] },
};

const user: Message = { role: "user", content: "Hi" };
const reply = (content: string, more: Partial<Message> = {}): Message => ({
  role: "assistant",
  content,
  ...more,
});

/** What is gathered of chats on lines 10, 11 …, without their system prompts. */
function statisticsOf(
  chats: readonly (readonly [readonly Message[], enableThinking?: boolean, teach?: Teach])[],
): Partial<RowStatistics> {
  const collector = new RowStatisticsCollector();
  for (const [i, [messages, enableThinking, teach]] of chats.entries()) {
    collector.add(10 + i, { examples: [], chat: { messages, enableThinking, teach } });
  }
  const { systems: _, ...rest } = collector.finish();
  return rest;
}
const { systems: _, ...NO_SYSTEMS } = NOTHING;

Deno.test("RowStatisticsCollector begins with nothing, and counts pairs of no chat", () => {
  const collector = new RowStatisticsCollector();
  assert.deepEqual(collector.finish(), NOTHING);
  collector.add(1, { examples: [] });
  collector.add(2, { examples: [], pair: false });
  collector.add(3, { examples: [], pair: true });
  collector.add(4, { examples: [], pair: true });
  assert.deepEqual(collector.finish(), { ...NOTHING, pairs: 2 });
});

Deno.test("RowStatisticsCollector counts replies by what is learned of them", () => {
  const off = { learn: false };
  assert.deepEqual(
    statisticsOf([
      [[user, reply("a"), user, reply("b", { reasoning_content: "t" })]],
      [[user, reply("a", off), user, reply("b"), user, reply("c", off)]],
      [[user, reply("a", off), user, reply("b", off)]],
      [[user, reply("a"), user, reply("b"), user, reply("c")], undefined, "last"],
      [
        [user, reply("a"), user, reply("b", { learn: true, reasoning_content: "t" })],
        true,
        "marked",
      ],
      [[user, user, user, reply("a"), user, reply("b", { reasoning_content: "t" })], false],
    ]),
    {
      ...NO_SYSTEMS,
      // Of the rows 2, 1, 0, 1, 1 and 2.
      ...{ replies: 7, withoutThinking: 3, thinkingOff: 2, unlearnedReplies: 7, unlearned: [12] },
    },
  );
});

Deno.test("RowStatisticsCollector tells rows with tags left inside thinking or answer, and those that were trimmed", () => {
  const tagged = statisticsOf([
    [[user, reply("a")]],
    [[user, reply("a <think> b")]],
    [[user, reply("a", { reasoning_content: "b </think>" })]],
    [[user, reply("a </think>", { learn: false }), user, reply("b")]],
    [[{ ...user, content: "<think>" }, reply("b")]],
    [[user, reply("a <think>"), user, reply("b")]],
  ]);
  assert.deepEqual(tagged.tagged, [11, 12, 15]);
  const collector = new RowStatisticsCollector();
  for (const line of [7, 3, 7, 9]) collector.trim(line);
  assert.deepEqual(collector.finish(), { ...NOTHING, trimmed: [7, 3, 9] });
});

Deno.test("RowStatisticsCollector names the tokens that end replies, the most frequent first", () => {
  const collector = new RowStatisticsCollector();
  const ended = (...ids: number[]) =>
    joinExample(Int32Array.of(1), Int32Array.from(ids), { maxLength: 9, terminated: true });
  collector.add(1, { examples: [ended(3, 8), { ...ended(3, 5), terminated: false }] });
  collector.add(2, { examples: [ended(3, 9), ended(9)] });
  assert.deepEqual(collector.finish().terminators, [9, 8]);
  collector.add(3, { examples: [ended(8), ended(8), ended(4, 7)] });
  assert.deepEqual(collector.finish().terminators, [8, 9, 7]);
});

Deno.test("RowStatisticsCollector tells of five system prompts, and counts the rows of others", () => {
  const collector = new RowStatisticsCollector();
  let line = 0;
  const add = (text: string | undefined, rows = 1): void => {
    const system: Message[] = text === undefined ? [] : [{ role: "system", content: text }];
    for (let i = 0; i < rows; i++) {
      collector.add(++line, {
        examples: [],
        chat: {
          messages: [...system, user, reply("a")],
          enableThinking: undefined,
          teach: undefined,
        },
      });
    }
  };
  const systems = (...uses: (readonly [string, number])[]) =>
    uses.map(([text, rows]) => ({ text, rows }));
  add("a", 2);
  add(undefined, 4);
  add("b");
  add("c", 3);
  add("d");
  const five = [["", 4], ["c", 3], ["a", 2], ["b", 1], ["d", 1]] as const;
  let found = collector.finish();
  assert.deepEqual([found.systems, found.otherSystems], [systems(...five), 0]);
  add("e", 2);
  add("f");
  found = collector.finish();
  assert.deepEqual([found.systems, found.otherSystems], [
    systems(["", 4], ["c", 3], ["a", 2], ["e", 2], ["b", 1]),
    2,
  ]);
  // A hundred are counted apart, of which seven are there.
  for (let i = 0; i < 93; i++) add(`more ${i}`);
  for (let i = 0; i < 3; i++) add("one more");
  add("more 92", 9);
  add("a", 3);
  found = collector.finish();
  assert.deepEqual([found.systems, found.otherSystems], [
    systems(["more 92", 10], ["a", 5], ["", 4], ["c", 3], ["e", 2]),
    // b, d, f, 92 more, and three of the prompt that came too late.
    3 + 92 + 3,
  ]);
});

Deno.test("RowStatisticsCollector counts what rows are, and joins their columns up to 16", () => {
  const collector = new RowStatisticsCollector();
  collector.shape({ name: "messages", columns: ["messages"] });
  collector.shape({ name: "Alpaca", columns: ["instruction", "output"] });
  collector.shape({ name: "Alpaca", columns: ["input", "output"] });
  assert.deepEqual(collector.finish(), {
    ...NOTHING,
    shapes: [
      { name: "Alpaca", columns: ["instruction", "output", "input"], rows: 2 },
      { name: "messages", columns: ["messages"], rows: 1 },
    ],
  });
  const names = Array.from({ length: 17 }, (_, i) => `column ${i}`);
  collector.shape({ name: "messages", columns: names.slice(0, 15) });
  collector.shape({ name: "messages", columns: names });
  const [{ columns, rows }] = collector.finish().shapes;
  assert.deepEqual([columns, rows], [["messages", ...names.slice(0, 15)], 3]);
});

Deno.test("RowStatisticsCollector counts a field once a row, and 200 fields", () => {
  const collector = new RowStatisticsCollector();
  const first = collector.unreadIn(1);
  first("hint");
  first("hint");
  first("weight", "weight is 2: why");
  first("empty", "");
  const second = collector.unreadIn(2);
  second("weight", "weight is 3: why");
  second("weight");
  second("other");
  collector.unreadIn(3)("weight");
  collector.unreadIn(3)("other");
  assert.deepEqual(collector.finish(), {
    ...NOTHING,
    unread: [
      { field: "weight", rows: 3, remedy: "weight is 2: why" },
      { field: "other", rows: 2 },
      { field: "hint", rows: 1 },
      { field: "empty", rows: 1 },
    ],
  });
  for (let i = 4; i < 203; i++) second(`field ${i}`);
  // Those that are known are still counted.
  collector.unreadIn(4)("field 4");
  collector.unreadIn(4)("field 202");
  const { unread } = collector.finish();
  assert.equal(unread.length, 200);
  assert.deepEqual(unread.slice(0, 3), [
    { field: "weight", rows: 3, remedy: "weight is 2: why" },
    { field: "other", rows: 2 },
    { field: "field 4", rows: 2 },
  ]);
  assert.deepEqual(unread.at(-1), { field: "field 199", rows: 1 });
});

Deno.test("RowStatisticsCollector keeps the reasons of 1000 refused rows, and counts all", () => {
  const collector = new RowStatisticsCollector();
  collector.refuse(new JsonlError({ file: "f", line: 3, field: "answer" }, "bad"));
  collector.refuse(new JsonlError({ file: "f", line: 4 }, "worse"));
  collector.refuse(new JsonlError({ file: "f" }, "worst"));
  const refused = [
    { line: 3, reason: "answer: bad" },
    { line: 4, reason: "worse" },
    { line: 0, reason: "worst" },
  ];
  assert.deepEqual(collector.finish(), { ...NOTHING, refusedRows: 3, refused });
  for (let line = 5; line < 1003; line++) {
    collector.refuse(new JsonlError({ file: "f", line }, "bad"));
  }
  const all = collector.finish();
  assert.deepEqual([all.refusedRows, all.refused.length, all.refused.at(-1)], [
    1001,
    1000,
    { line: 1001, reason: "bad" },
  ]);
});
