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
