import assert from "node:assert/strict";
import { StopStrings } from "./stop_strings.ts";

/** What comes of a text in pieces of `size` characters. */
function cut(text: string, stops: readonly string[], size: number): [string, boolean] {
  const matcher = new StopStrings(stops);
  let out = "";
  for (let at = 0; at < text.length; at += size) out += matcher.push(text.slice(at, at + size));
  return [out + matcher.end(), matcher.stopped];
}

Deno.test("StopStrings ends a text where a stop string begins, however it comes", () => {
  const cases: readonly (readonly [string, readonly string[], string, boolean])[] = [
    ["one END two", ["END"], "one ", true],
    ["one EN", ["END"], "one EN", false],
    ["aab", ["ab"], "a", true],
    ["ababac", ["abac"], "ab", true],
    ["x\n\ny", ["\n\n", "y"], "x", true],
    ["abc", ["bcd", "c"], "ab", true],
    ["头疼。完了", ["。完"], "头疼", true],
    ["END", ["END"], "", true],
    ["abc", [], "abc", false],
  ];
  for (const [text, stops, expected, stopped] of cases) {
    for (const size of [1, 2, 3, 99]) {
      assert.deepEqual(cut(text, stops, size), [expected, stopped], `${text} by ${size}`);
    }
  }
});

Deno.test("StopStrings holds back only what may begin a stop string", () => {
  const matcher = new StopStrings(["STOP"]);
  assert.deepEqual(["abS", "T", "x", "ST", "OP more", "after"].map((each) => matcher.push(each)), [
    "ab",
    "",
    "STx",
    "",
    "",
    "",
  ]);
  assert.equal(matcher.end(), "");
});

Deno.test("StopStrings takes the earliest of several stop strings in one piece", () => {
  assert.deepEqual(cut("a2b1c", ["1", "2"], 99), ["a", true]);
});

Deno.test("StopStrings gives out the stop string where it is asked to, and nothing after it", () => {
  const stops = new StopStrings(["END", "ND!"], { include: true });
  const pieces = ["one E", "N", "D two", " END"].map((text) => stops.push(text));
  assert.deepEqual([...pieces, stops.end()], ["one ", "", "END", "", ""]);
  assert.ok(stops.stopped);
  const absent = new StopStrings(["END"], { include: true });
  assert.deepEqual([absent.push("one EN"), absent.end()], ["one ", "EN"]);
});
