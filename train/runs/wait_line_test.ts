import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { createWaitLine, during } from "./wait_line.ts";

/** A terminal of 40 columns whose clock runs 1000 times as fast. */
function fakeTerminal({ isTty = true } = {}) {
  const written: string[] = [];
  const began = performance.now();
  return {
    written,
    write: (text: string) => void written.push(text),
    isTty,
    columns: () => 40,
    now: () => (performance.now() - began) * 1000,
  };
}

Deno.test("createWaitLine() counts seconds on a terminal, makes room, and goes away", async () => {
  const terminal = fakeTerminal();
  {
    using line = createWaitLine(terminal);
    line.doing("loading the model");
    await delay(700);
    const drawn = terminal.written.join("").split("\r\x1b[K").slice(1);
    for (const text of drawn) assert.match(text, /^loading the model … 0:\d\d(:\d\d)?$/);
    assert.ok(drawn.length > 0);
    line.reached("2 of 3");
    await delay(600);
    assert.match(terminal.written.join(""), /loading the model, 2 of 3 … 0:\d\d(:\d\d)?$/);
    line.clear();
    assert.equal(terminal.written.at(-1), "\r\x1b[K");
    line.clear();
    assert.equal(terminal.written.filter((text) => text === "\r\x1b[K").length, 1);
    await delay(600);
  }
  assert.equal(terminal.written.at(-1), "\r\x1b[K");
  const { length } = terminal.written;
  await delay(600);
  assert.equal(terminal.written.length, length);
});

Deno.test("during() says nothing of what is quick, nor where there is no terminal", async () => {
  const [quick, file] = [fakeTerminal(), fakeTerminal({ isTty: false })];
  assert.equal(await during("adding", () => Promise.resolve(7), quick), 7);
  await during("waiting", () => delay(700), file);
  await during("waiting", () => delay(10));
  assert.deepEqual([quick.written, file.written], [[], []]);
});
