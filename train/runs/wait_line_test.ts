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

/** Timers that go off when a test says so, by the period that they were asked for. */
function handTimers() {
  const { setInterval, clearInterval } = globalThis;
  const running = new Map<number, { readonly run: () => void; readonly period: number }>();
  let next = 1;
  Object.assign(globalThis, {
    setInterval: (run: () => void, period: number) => {
      running.set(next, { run, period });
      return next++;
    },
    clearInterval: (id: number) => void running.delete(id),
  });
  return {
    periods: () => Array.from(running.values(), ({ period }) => period),
    tick: () => running.forEach(({ run }) => run()),
    [Symbol.dispose]: () => void Object.assign(globalThis, { setInterval, clearInterval }),
  };
}

Deno.test("a wait line is drawn from 1.5 seconds on, within the terminal's width, and a new one begins anew", () => {
  using timers = handTimers();
  const written: string[] = [];
  const taken = () => written.splice(0);
  let [now, columns] = [5000, 31];
  const options = {
    write: (text: string) => void written.push(text),
    isTty: true,
    columns: () => columns,
    now: () => now,
  };
  const line = createWaitLine(options);
  assert.deepEqual(timers.periods(), []);
  line.doing("loading the model");
  assert.deepEqual(timers.periods(), [500]);
  now += 1499;
  timers.tick();
  assert.deepEqual(taken(), []);
  now += 1;
  timers.tick();
  assert.deepEqual(taken(), ["\r\x1b[Kloading the model … 0:00:02"]);
  line.reached("2 of 3");
  now += 60_000;
  timers.tick();
  // 30 of its 35 characters.
  assert.deepEqual(taken(), ["\r\x1b[Kloading the model, 2 of 3 … 0:"]);
  columns = 10;
  timers.tick();
  assert.deepEqual(taken(), ["\r\x1b[Kloading the model, 2"]);
  line.clear();
  assert.deepEqual([taken(), timers.periods()], [["\r\x1b[K"], [500]]);
  columns = 80;
  timers.tick();
  assert.deepEqual(taken(), ["\r\x1b[Kloading the model, 2 of 3 … 0:01:02"]);
  // What is done next is counted from its own beginning.
  line.doing("compiling");
  assert.deepEqual([taken(), timers.periods()], [["\r\x1b[K"], [500]]);
  now += 3000;
  timers.tick();
  assert.deepEqual(taken(), ["\r\x1b[Kcompiling … 0:00:03"]);
  line.done();
  assert.deepEqual([taken(), timers.periods()], [["\r\x1b[K"], []]);
  line.done();
  line.clear();
  assert.deepEqual(taken(), []);
  const file = createWaitLine({ ...options, isTty: false });
  file.doing("loading the model");
  assert.deepEqual(timers.periods(), []);
});

Deno.test("during() says what is done, and ends that where it fails", async () => {
  using timers = handTimers();
  const written: string[] = [];
  let now = 0;
  const failed = during("adding", () => {
    now = 2000;
    timers.tick();
    return Promise.reject(new Error("no room"));
  }, {
    write: (text) => void written.push(text),
    isTty: true,
    columns: () => 80,
    now: () => now,
  });
  await assert.rejects(failed, { message: "no room" });
  assert.deepEqual(written, ["\r\x1b[Kadding … 0:00:02", "\r\x1b[K"]);
  assert.deepEqual(timers.periods(), []);
});
