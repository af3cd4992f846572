import assert from "node:assert/strict";
import { setImmediate } from "node:timers";
import { EventTurns } from "./event_turns.ts";

function block(milliseconds: number): void {
  const end = performance.now() + milliseconds;
  while (performance.now() < end);
}

Deno.test("EventTurns sees a connection, its bytes and their echo in one turn or two", async () => {
  const turns = new EventTurns();
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serve = async (): Promise<void> => {
    using connection = await listener.accept();
    turns.expectMore();
    const buffer = new Uint8Array(8);
    await connection.read(buffer);
    turns.expectMore();
    await connection.write(buffer);
  };
  const { port } = listener.addr as Deno.NetAddr;
  const ask = async (): Promise<void> => {
    using connection = await Deno.connect({ hostname: "127.0.0.1", port });
    await connection.write(new Uint8Array(8));
    await connection.read(new Uint8Array(8));
  };
  const counts: number[] = [];
  for (let i = 0; i < 5; i++) {
    let done = false;
    const both = Promise.all([serve(), ask()]).then(() => done = true);
    let steps = 0;
    for (; !done; steps++) {
      block(10);
      await turns.take();
    }
    await both;
    counts.push(steps);
  }
  // One look in each turn would make it six and more; one setImmediate(), hundreds.
  assert.ok(counts.toSorted((a, b) => a - b)[2] <= 3, `turns: ${counts}`);
});

Deno.test("EventTurns takes a short turn where the last one was just now", async () => {
  const turns = new EventTurns();
  const rounds = async (): Promise<number> => {
    let seen = 0;
    let counting = true;
    const count = (): void => {
      seen++;
      if (counting) setImmediate(count);
    };
    setImmediate(count);
    await turns.take();
    counting = false;
    return seen;
  };
  block(10);
  assert.ok(await rounds() > 60);
  assert.ok(await rounds() < 10);
});

Deno.test("EventTurns ends where the signal is aborted", async () => {
  const turns = new EventTurns();
  await turns.due(new AbortController().signal);
  await assert.rejects(turns.due(AbortSignal.abort(new Error("over"))), /over/);
});
