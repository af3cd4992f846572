import assert from "node:assert/strict";
import { abortOnError, TELLS_LATER } from "./abort_on_error.ts";
import type { Comm } from "./comm.ts";
import { soloComm } from "./solo_comm.ts";

/** A rank of three that writes down how it is ended. */
function rankOf(rank: number): { comm: Comm; aborts: unknown[] } {
  const aborts: unknown[] = [];
  const abort = (...args: unknown[]): never => {
    aborts.push(args);
    throw new Error("ended");
  };
  return { comm: { ...soloComm(), rank, size: 3, abort }, aborts };
}

const work = (thrown: unknown) => () => Promise.reject(thrown);

Deno.test("abortOnError() gives the result of work, and ends all ranks by an error's message", async () => {
  for (const rank of [0, 1]) {
    const { comm, aborts } = rankOf(rank);
    assert.equal(await abortOnError(comm, () => Promise.resolve(7)), 7);
    assert.deepEqual(aborts, []);
    const began = performance.now();
    await assert.rejects(abortOnError(comm, work(new Error("no"))), /ended/);
    const took = performance.now() - began;
    // Rank 0 tells first.
    assert.ok(rank === 0 ? took < TELLS_LATER / 2 : took >= TELLS_LATER - 20, `${took}`);
    assert.deepEqual(aborts, [["no", 1]]);
  }
  assert.equal(TELLS_LATER, 1000);
});

Deno.test("abortOnError() tells what is no error, or what it is told to, with its code", async () => {
  const { comm, aborts } = rankOf(0);
  await assert.rejects(abortOnError(comm, work("text")));
  const options = { describe: (error: unknown) => `<${error}>`, exitCode: () => 130 };
  await assert.rejects(abortOnError(comm, work("stop"), options));
  assert.deepEqual(aborts, [["text", 1], ["<stop>", 130]]);
});
