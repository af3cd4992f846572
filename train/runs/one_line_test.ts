import assert from "node:assert/strict";
import { oneLine } from "./one_line.ts";

Deno.test("oneLine() cuts the middle out of what is too long, and keeps twice as much of the start", () => {
  for (
    const [text, width, line] of [
      ["0123456789ab", 12, "0123456789ab"],
      ["0123456789abc", 12, "012345 … abc"],
      ["0123456789abcdefghij", 14, "01234567 … hij"],
      ["0123456789abcdefghij", 15, "01234567 … ghij"],
      ["😀".repeat(13), 12, `${"😀".repeat(6)} … ${"😀".repeat(3)}`],
      ["", 12, ""],
    ] as const
  ) {
    assert.equal(oneLine(text, width), line);
    assert.ok(Array.from(line).length <= width);
  }
});

Deno.test("oneLine() shows line breaks, and replaces what a terminal would take for its own", () => {
  assert.equal(oneLine("a\nb\r\t\x1b[0m\u2028\u2029\u202e\ud800", 20), "a↵b��\ufffd[0m����");
});
