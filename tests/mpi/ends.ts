/**
 * Rank 1 ends in one of many ways while the others sum. In: the way. Out: how all of them end.
 */

import { abortOnError } from "../../comm/abort_on_error.ts";
import { openComm } from "../../comm/open_comm.ts";
import { environment } from "./environment.ts";

const [way] = Deno.args;
const comm = await openComm("auto", {
  environment,
  heartbeatSeconds: 0.25,
  silenceSeconds: 2.5,
  timeoutSeconds: way === "timeout" ? 1 : 1800,
});
const { rank } = comm;
console.log(`pid ${rank} ${Deno.pid}`);
await comm.barrier();
if (rank === 0) console.log("all are open");

const fail = (): never => {
  throw new Error("rank 1 is broken");
};
const WAYS: Readonly<Record<string, () => unknown>> = {
  abort: () => comm.abort("no more of this", 7),
  throw: fail,
  rejected: () => abortOnError(comm, () => Promise.reject(new Error("no more of this"))),
  // As a program that keeps to `await using` ends by an exception.
  leave: async () => {
    await using _ = comm;
    await Promise.resolve();
    fail();
  },
  close: async () => await comm[Symbol.asyncDispose](),
  exit: () => Deno.exit(0),
  end: () => {},
  timeout: () => new Promise((resolve) => setTimeout(resolve, 60_000)),
  // Has work left after closing, which the other one waits for: longer than it may take to leave MPI.
  linger: async () => {
    await comm.allReduceSum(new Float32Array(10));
    await comm[Symbol.asyncDispose]();
    await new Promise((resolve) => setTimeout(resolve, 6500));
    console.log("closed");
  },
  // Longer than the silence allowed, as a graph that runs: not even timers run.
  busy: async () => {
    const until = performance.now() + 3500;
    while (performance.now() < until);
    await comm.allReduceSum(new Float32Array(10));
    await comm[Symbol.asyncDispose]();
    console.log("closed");
  },
};

if (rank === 1 && way in WAYS) await WAYS[way]();
else {
  do await comm.allReduceSum(new Float32Array(10)); while (way === "run");
  await comm[Symbol.asyncDispose]();
  console.log("closed");
}
