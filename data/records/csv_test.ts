import assert from "node:assert/strict";
import { readCsv } from "./csv.ts";

Deno.test("readCsv() ends what it reads from when its caller stops early", async () => {
  const ended = Promise.withResolvers<void>();
  async function* chunks(): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      yield new TextEncoder().encode("question,answer\n");
      for (;;) yield new TextEncoder().encode("Hi,Hello.\n".repeat(10_000));
    } finally {
      ended.resolve();
    }
  }
  let rows = 0;
  for await (const row of readCsv(chunks(), { path: "a.csv", delimiter: "," })) {
    assert.deepEqual(row, {
      where: { file: "a.csv", line: rows + 2 },
      values: { question: "Hi", answer: "Hello." },
    });
    if (++rows === 3) break;
  }
  await ended.promise;
});
