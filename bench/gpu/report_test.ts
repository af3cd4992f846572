import assert from "node:assert/strict";
import { formatResults } from "./report.ts";

Deno.test("formatResults() shows what was measured, a dash for the rest, and failures in one line", () => {
  const text = formatResults([
    {
      shape: "1.7B",
      method: "full",
      name: "one",
      losses: [],
      fourTokensPerSecond: 12345.6,
      fourMfu: 0.1337,
      ownPeakBytes: 14.94e9,
      lossDifference: 0.00123,
    },
    { shape: "1.7B", method: "full", name: "two", losses: [], failure: "It ended |\n badly" },
  ]);
  assert.match(
    text,
    /\| 1\.7B \| full \| one \| 12,346 \| 13\.4% \| – \| – \| 14\.9 \| – \| – \| 1\.2e-3 \| {2}\|/,
  );
  assert.match(text, /\| two \| – \|.*\| It ended badly \|/);
});

Deno.test("formatResults() lists graphs by time, with what lies between them", () => {
  const graphs = { small: { ms: 10, runs: 1 }, large: { ms: 60, runs: 28 } };
  const profile = { four: { wallMs: 100, graphs } };
  const text = formatResults([{
    shape: "tiny",
    method: "lora",
    name: "ortune",
    losses: [],
    profile,
  }]);
  const lines = text.split("\n").slice(-5, -1);
  assert.deepEqual(lines.slice(1), [
    "| large | 28 | 60.0 | 60.0% |",
    "| small | 1 | 10.0 | 10.0% |",
    "| between graphs | – | 30.0 | 30.0% |",
  ]);
});
