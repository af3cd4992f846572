import assert from "node:assert/strict";
import { CHART_WORDS, REPORT_WORDS, STATUS_WORDS } from "./report_words.ts";

Deno.test("texts of a report are English and Chinese, each where it belongs", () => {
  const all = [
    ...[...Object.values(REPORT_WORDS), ...Object.values(STATUS_WORDS)],
    ...CHART_WORDS,
  ];
  for (const { en, zh } of all) {
    assert.doesNotMatch(en, /\p{Script=Han}/u);
    // A name may be the same in both.
    if (zh !== en) assert.match(zh, /\p{Script=Han}/u);
  }
});
