import assert from "node:assert/strict";
import { atOnce, SliceQueue, type Slices } from "./slice_queue.ts";

/** The clock of works and queues, which busy machines do not move. */
let clock = 0;
const now = () => clock;

/** A work of some milliseconds, which says when it goes on. */
function* work(milliseconds: number, onStep: () => void = () => {}): Slices<string> {
  for (let done = 0; done < milliseconds; done++) {
    clock++;
    onStep();
    yield;
  }
  return "done";
}

const { signal } = new AbortController();

Deno.test("SliceQueue does a short work before it answers, whatever waits", async () => {
  const queue = new SliceQueue(now);
  const order: string[] = [];
  const note = (name: string) => () => void order.push(name);
  const long = queue.run(work(40), signal).then(note("long"));
  const short = queue.run(work(1), signal).then(note("short"));
  await Promise.all([long, short]);
  assert.deepEqual(order, ["short", "long"]);
});

Deno.test("SliceQueue lets the loop go on between slices, and does one long work after another", async () => {
  const queue = new SliceQueue(now);
  const steps: string[] = [];
  let timers = 0;
  const ticks = setInterval(() => timers++, 1);
  const runs = ["a", "b"].map((name) => queue.run(work(30, () => steps.push(name)), signal));
  assert.deepEqual(await Promise.all(runs), ["done", "done"]);
  clearInterval(ticks);
  assert.ok(timers >= 5, `${timers} timers`);
  // After the first slice of each, which is done at once.
  const second = steps.slice(steps.indexOf("b")).join("").replace(/^b+/, "");
  assert.match(second, /^a+b+$/);
});

Deno.test("SliceQueue ends a work whose signal is aborted, and goes on with the next", async () => {
  const queue = new SliceQueue(now);
  const gone = new AbortController();
  const first = queue.run(work(10_000), gone.signal);
  const next = queue.run(work(20), signal);
  gone.abort(new Error("gone"));
  await assert.rejects(first, /gone/);
  assert.equal(await next, "done");
});

Deno.test("SliceQueue refuses what would wait behind too many", async () => {
  const queue = new SliceQueue(now);
  const gone = new AbortController();
  const waiting = Array.from({ length: 9 }, () => queue.run(work(10_000), gone.signal));
  await assert.rejects(queue.run(work(10_000), signal), { status: 429, code: "queue_full" });
  gone.abort(new Error("gone"));
  for (const each of waiting) await assert.rejects(each, /gone/);
  assert.equal(await queue.run(work(20), signal), "done");
});

Deno.test("atOnce() does a work without a pause", () => {
  assert.equal(atOnce(work(3)), "done");
});
