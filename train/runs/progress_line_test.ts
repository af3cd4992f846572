import assert from "node:assert/strict";
import { createProgressLine, type ProgressLine } from "./progress_line.ts";

/** A line on a fake terminal, or on none, with a clock that the test turns. */
function fake(
  { isTty = true, columns = 80 } = {},
): { line: ProgressLine; writes: string[]; at: { now: number } } {
  const writes: string[] = [];
  const at = { now: 0 };
  const line = createProgressLine({
    ...{ write: (text) => writes.push(text), isTty, columns: () => columns, now: () => at.now },
  });
  return { line, writes, at };
}

const state = (fraction: number, whole = false) => ({
  ...{ fraction, whole, describe: () => `at ${fraction}` },
});

Deno.test("createProgressLine() draws a bar of 24 columns on a terminal", () => {
  const { line, writes, at } = fake();
  for (const [fraction, filled] of [[0, 0], [0.5, 12], [0.1, 2], [0.15, 4], [1, 24]]) {
    at.now += 100;
    line.update(state(fraction));
    const bar = "█".repeat(filled) + "░".repeat(24 - filled);
    assert.equal(writes.at(-1), `\r\x1b[K${bar} at ${fraction}`);
  }
});

Deno.test("createProgressLine() redraws every tenth of a second, and at the end", () => {
  const { line, writes, at } = fake();
  line.update(state(0));
  assert.equal(writes.length, 1);
  at.now = 99;
  line.update(state(0.1));
  assert.equal(writes.length, 1);
  at.now = 100;
  line.update(state(0.2));
  assert.equal(writes.length, 2);
  at.now = 101;
  line.update(state(1));
  assert.equal(writes.length, 2);
  line.update(state(1, true));
  assert.equal(writes.length, 3);
});

Deno.test("createProgressLine() leaves the last column free, of at least twenty", () => {
  for (const [columns, length] of [[30, 29], [29, 28], [22, 21], [21, 20], [20, 20], [1, 20]]) {
    const { line, writes } = fake({ columns });
    line.update(state(1 / 3, true));
    assert.equal(writes[0].length, 4 + length, `${columns}`);
  }
});

Deno.test("createProgressLine() writes a note in the bar's place, and ends the bar's line once", () => {
  const { line, writes, at } = fake();
  line.note("first");
  line.finish();
  assert.deepEqual(writes, ["first\n"]);
  line.update(state(0));
  line.note("second");
  line.note("third");
  assert.deepEqual(writes.slice(2), ["\r\x1b[K", "second\n", "third\n"]);
  at.now = 100;
  line.update(state(1, true));
  line.finish();
  line.finish();
  assert.deepEqual(writes.slice(6), ["\n"]);
});

Deno.test("createProgressLine() writes a line for each tenth where no terminal is, the last at the end", () => {
  const { line, writes } = fake({ isTty: false });
  for (const fraction of [0, 0.05, 0.1, 0.19, 0.35, 0.3, 0.95, 1]) line.update(state(fraction));
  const lines = ["at 0\n", "at 0.1\n", "at 0.35\n", "at 0.95\n"];
  assert.deepEqual(writes, lines);
  line.update(state(1, true));
  line.update(state(1, true));
  line.note("note");
  line.finish();
  assert.deepEqual(writes.slice(4), ["at 1\n", "note\n"]);
});
