import assert from "node:assert/strict";
import { createPrepareProgress } from "./prepare_progress.ts";

/** What is written of a file of 1,000 bytes that takes so many milliseconds a byte. */
function written(millisecondsAByte: number, isTty: boolean): string {
  let [text, time] = ["", 0];
  const progress = createPrepareProgress({ file: "train.jsonl", size: 1000 }, {
    write: (part) => text += part,
    isTty,
    columns: () => 120,
    now: () => time,
  });
  for (let bytes = 1; bytes <= 1000; bytes++) {
    time += millisecondsAByte;
    progress.update({ rows: bytes * 10, tokens: bytes * 100, bytes });
  }
  progress.done({ rows: 10_000, tokens: 100_000 });
  progress.finish();
  return text;
}

Deno.test("createPrepareProgress() says nothing of what takes a moment", () => {
  assert.equal(written(1, true) + written(1, false), "");
});

Deno.test("createPrepareProgress() tells rows, speed and time left, from two seconds on", () => {
  const lines = written(40, false).trimEnd().split("\n");
  assert.equal(
    lines[3],
    "preparing train.jsonl: 30 %, 3,000 rows, 2,500 tok/s, 0:00:28 left",
  );
  assert.equal(lines.at(-1), "prepared train.jsonl: 10,000 rows, 100k tokens in 0:00:40");
  assert.equal(lines.length, 11);
});

Deno.test("createPrepareProgress() draws a bar on a terminal, and leaves one line", () => {
  const lines = written(40, true).split("\r\x1b[K");
  assert.match(lines[1], /^█░{23} preparing train\.jsonl: 5 %, /);
  assert.equal(lines.at(-1), "prepared train.jsonl: 10,000 rows, 100k tokens in 0:00:40\n");
});

Deno.test("createPrepareProgress() counts from its own beginning, and takes a file of no size for whole", () => {
  const run = (size: number, bytes: number, milliseconds: number) => {
    const lines: string[] = [];
    let now = 7000;
    const progress = createPrepareProgress({ file: "a.jsonl", size }, {
      write: (part) => void lines.push(part),
      isTty: true,
      columns: () => 120,
      now: () => now,
    });
    now += milliseconds;
    progress.update({ rows: 5, tokens: 300, bytes });
    progress.done({ rows: 6, tokens: 301 });
    progress.finish();
    return lines;
  };
  const bar = (filled: number) => "\r\x1b[K" + "█".repeat(filled) + "░".repeat(24 - filled);
  const done = ["\r\x1b[K", "prepared a.jsonl: 6 rows, 301 tokens in 0:00:02\n"];
  assert.deepEqual(run(1000, 250, 1999), []);
  assert.deepEqual(run(1000, 250, 2000), [
    `${bar(6)} preparing a.jsonl: 25 %, 5 rows, 150 tok/s, 0:00:06 left`,
    ...done,
  ]);
  const whole = [`${bar(24)} preparing a.jsonl: 100 %, 5 rows, 150 tok/s, 0:00:00 left`, ...done];
  assert.deepEqual(run(0, 0, 2000), whole);
  // A file that grew since its size was asked for.
  assert.deepEqual(run(1000, 1001, 2000), whole);
});
