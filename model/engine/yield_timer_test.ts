import assert from "node:assert/strict";
import { YieldTimer } from "./yield_timer.ts";

/** Blocks the thread, as a running graph does. */
function block(milliseconds: number): void {
  const end = performance.now() + milliseconds;
  while (performance.now() < end);
}

Deno.test("timers fire while a yield timer works off blocking runs", async () => {
  const yieldTimer = new YieldTimer();
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  for (let i = 0; i < 20; i++) {
    block(10);
    await yieldTimer.turn();
  }
  const during = ticks;
  clearInterval(timer);
  // 200 ms of work with a turn every 20 ms or so.
  assert.ok(during >= 4, `${during} ticks`);
});

Deno.test("awaiting alone would not do: timers starve without a turn", async () => {
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  for (let i = 0; i < 10; i++) {
    block(10);
    await Promise.resolve();
  }
  clearInterval(timer);
  assert.equal(ticks, 0);
});

Deno.test("a turn throws the signal's reason, also one that came in by the event loop", async () => {
  const yieldTimer = new YieldTimer();
  const reason = new Error("stop");
  await assert.rejects(
    yieldTimer.turn(AbortSignal.abort(reason)),
    (error: unknown) => error === reason,
  );
  const controller = new AbortController();
  setTimeout(() => controller.abort(reason), 1);
  const work = async (): Promise<void> => {
    for (let i = 0; i < 100; i++) {
      block(5);
      await yieldTimer.turn(controller.signal);
    }
  };
  await assert.rejects(work(), (error: unknown) => error === reason);
});
