/** Ranks that mpirun starts: Open MPI and MPICH, as far as they are on this machine. */

import assert from "node:assert/strict";
import { COMM_VARIABLES } from "../comm/mpi_launch.ts";
import { type Mpi, mpirun, mpis } from "./support/mpirun.ts";
import type { RunningProcess } from "./support/process.ts";
import { canMakeHosts, twoHosts } from "./support/two_hosts.ts";

/** What ranks may do: nothing but call MPI, and read how they were started. */
const permissions = ["--allow-ffi", `--allow-env=${COMM_VARIABLES.join()}`];

function test(name: string, run: (mpi: Mpi) => Promise<void>, ignore = false): void {
  for (const mpi of mpis) Deno.test({ name: `${mpi.name}: ${name}`, ignore, fn: () => run(mpi) });
}

// Names say what is missing, as tests that are left out have no other place for it.
/** Lines of JSON, by rank. */
function reports(text: string): Record<string, unknown>[] {
  return text.split("\n").filter((line) => line.startsWith("{")).map((line) => JSON.parse(line))
    .sort((a, b) => a.rank - b.rank);
}

for (const ranks of [2, 3, 4]) {
  test(`all collectives between ${ranks} ranks, the same bits on each`, async (mpi) => {
    await using run = mpirun(mpi, "tests/mpi/collectives.ts", { ranks, permissions });
    const { code, text } = await run.ended();
    assert.equal(code, 0, text);
    const all = reports(text);
    assert.deepEqual(all.map(({ rank, size }) => [rank, size]), all.map((_, i) => [i, ranks]));
    assert.equal(all.length, ranks, text);
    assert.ok(all.every(({ name }) => String(name).startsWith(`${mpi.name} `)), text);
    assert.deepEqual(all.map(({ local }) => local), all.map((_, rank) => [rank, ranks]));
    assert.equal(new Set(all.map(({ bits }) => bits)).size, 1, text);
    for (const { mismatch } of all) {
      const expected = "arguments.seed is 43 on rank 1 and 42 on rank 0";
      assert.equal(mismatch, `Cannot train on ranks that differ: ${expected}`);
    }
    // 400 ms of ticks of 5 ms; a tenth is proof enough on a busy machine.
    assert.ok(Number(all[0].ticks) >= 8, `${all[0].ticks} ticks`);
  });
}

test("one rank is no other run than one without mpirun", async (mpi) => {
  await using run = mpirun(mpi, "tests/mpi/collectives.ts", { ranks: 1, permissions });
  const { code, text } = await run.ended();
  assert.equal(code, 0, text);
  assert.equal(reports(text)[0].name, "solo");
});

test("one rank of a library that is asked for", async (mpi) => {
  const env = { ORTUNE_MPI_LIB: mpi.library };
  await using run = mpirun(mpi, "tests/mpi/collectives.ts", { ranks: 1, permissions, env });
  const { code, text } = await run.ended();
  assert.equal(code, 0, text);
  assert.ok(String(reports(text)[0].name).startsWith(mpi.name), text);
});

test("ranks share processors out, and know when mpirun keeps them to one", async (mpi) => {
  const half = Math.floor(navigator.hardwareConcurrency / 2);
  const ways = {
    none: { threads: half },
    core: half > 1 ? { threads: 1, even: half } : { threads: 1 },
  };
  for (const [way, share] of Object.entries(ways)) {
    const bind = [mpi.name === "MPICH" ? "-bind-to" : "--bind-to", way];
    const free = { ...mpi, flags: mpi.flags.filter((flag) => !/bind-to|none/.test(flag)) };
    const options = { ranks: 2, permissions, flags: bind };
    await using run = mpirun(free, "tests/mpi/processors.ts", options);
    const { code, text } = await run.ended();
    assert.equal(code, 0, text);
    assert.deepEqual(reports(text).map((each) => each.share), [share, share], `${way}: ${text}`);
  }
}, navigator.hardwareConcurrency < 2);

/** Ends that ranks prepare themselves. */
const ENDS: Readonly<Record<string, { readonly code: number; readonly says: RegExp }>> = {
  abort: { code: 7, says: /rank 1 \(.+\): no more of this/ },
  throw: { code: 1, says: /rank 1 \(.+\): Error: rank 1 is broken\n/ },
  rejected: { code: 1, says: /rank 1 \(.+\): no more of this/ },
  leave: { code: 1, says: /rank 1 \(.+\): Error: rank 1 is broken\n/ },
  close: {
    code: 1,
    says: /rank 1 \(.+\) left the run while rank 0 .+ waits for it in allReduceSum \(coll.+ 2\)/,
  },
  exit: { code: 1, says: /rank 1 \(.+\): the process ends while other ranks go on/ },
  end: { code: 1, says: /rank 1 \(.+\): the process ends while other ranks go on/ },
  timeout: {
    code: 1,
    says: /allReduceSum \(collective 2\): it took longer than 1 s: rank 1 .+ has not joined it/,
  },
  linger: { code: 0, says: /(closed\s+){2}/ },
  busy: { code: 0, says: /(closed\s+){2}/ },
};

for (const [way, { code, says }] of Object.entries(ENDS)) {
  test(`both ranks end where one ends by: ${way}`, async (mpi) => {
    await using run = mpirun(mpi, "tests/mpi/ends.ts", { ranks: 2, permissions, args: [way] });
    const end = await run.ended();
    assert.match(end.text, says);
    assert.equal(end.code, code, end.text);
    await assertAllGone(run, { ranks: 2 });
  });
}

/** Processes of the ranks, by rank. */
function pids(run: RunningProcess): number[] {
  return [...run.text.matchAll(/^pid (\d+) (\d+)$/gm)].sort((a, b) => Number(a[1]) - Number(b[1]))
    .map(([, , pid]) => Number(pid));
}

async function assertAllGone(
  run: RunningProcess,
  { ranks = 3, seconds = 5 }: { readonly ranks?: number; readonly seconds?: number } = {},
): Promise<void> {
  const all = pids(run);
  assert.equal(all.length, ranks, run.text);
  const until = performance.now() + seconds * 1000;
  for (;;) {
    const there = await Promise.all(all.map((pid) => isThere(pid)));
    if (!there.includes(true)) return;
    assert.ok(performance.now() < until, `${there} of ${all} are still there: ${run.text}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Whether a process runs or is stopped; one that nobody waits for any more has ended. */
async function isThere(pid: number): Promise<boolean> {
  try {
    return !/^\d+ \(.*\) Z/.test(await Deno.readTextFile(`/proc/${pid}/stat`));
  } catch {
    return false;
  }
}

/** Signals from outside. */
const SIGNALS: Readonly<
  Record<
    string,
    { readonly send: (run: RunningProcess) => void; readonly says: RegExp; readonly code?: number }
  >
> = {
  "a killed rank": { send: (run) => Deno.kill(pids(run)[1], "SIGKILL"), says: /(?:)/ },
  "a stopped rank": {
    send: (run) => Deno.kill(pids(run)[1], "SIGSTOP"),
    says: /rank 0 \(.+\): rank 1 \(.+\) has been silent for 2\.5 s .+ so the run ends/,
    code: 1,
  },
  "rank 0 stopped": {
    send: (run) => Deno.kill(pids(run)[0], "SIGSTOP"),
    says: /rank 1 \(.+\): rank 0 \(.+\) has been silent for 2\.5 s .+ so the run ends/,
    code: 1,
  },
  "Ctrl-C": { send: (run) => run.kill("SIGINT"), says: /(?:)/ },
  "a killed mpirun": { send: (run) => run.kill("SIGKILL"), says: /(?:)/ },
};

for (const [what, { send, says, code: expected }] of Object.entries(SIGNALS)) {
  test(`${what} leaves no process behind`, async (mpi) => {
    await using run = mpirun(mpi, "tests/mpi/ends.ts", { ranks: 3, permissions, args: ["run"] });
    await run.waitFor(/all are open/);
    send(run);
    const { code, text } = await run.ended();
    // MPICH's mpirun sometimes ends well by Ctrl-C, which is its own affair.
    if (expected !== undefined) assert.equal(code, expected, text);
    else if (what !== "Ctrl-C") assert.notEqual(code, 0, text);
    assert.match(text, says);
    await assertAllGone(run);
  });
}

const noHosts = !await canMakeHosts();

test("two hosts over TCP", async (mpi) => {
  await using hosts = await twoHosts();
  const options = { ranks: 2, permissions, ...hosts.options(mpi) };
  await using run = mpirun(mpi, "tests/mpi/collectives.ts", options);
  const { code, text } = await run.ended();
  assert.equal(code, 0, text);
  const [first, second] = reports(text);
  assert.deepEqual([first.local, second.local], [[0, 1], [0, 1]]);
  assert.equal(first.bits, second.bits);
}, noHosts);

test("a network that is cut ends the ranks on both sides", async (mpi) => {
  await using hosts = await twoHosts();
  const options = { ranks: 2, permissions, args: ["run"], ...hosts.options(mpi) };
  await using run = mpirun(mpi, "tests/mpi/ends.ts", options);
  try {
    await run.waitFor(/all are open/);
    await hosts.cut();
    await run.waitFor(
      /rank 0 \(host-a\): rank 1 \(host-b\) has been silent for 2\.5 s .+ so the run ends/,
    );
    // Where no launcher can be reached, the system's alarm of 5 s ends a rank.
    await assertAllGone(run, { ranks: 2, seconds: 9 });
  } finally {
    // Open MPI's daemons wait for each other, and hold on to the output.
    await hosts.stop();
  }
}, noHosts);

if (mpis.length === 2) {
  const [first, second] = mpis;
  for (const [mpi, other] of [[first, second], [second, first]]) {
    Deno.test(`${mpi.name}'s mpirun with the library of ${other.name} says what to do`, async () => {
      const env = { ORTUNE_MPI_LIB: other.library };
      await using run = mpirun(mpi, "tests/mpi/ends.ts", { ranks: 2, permissions, env });
      const { code, text } = await run.ended();
      assert.equal(code, 1, text);
      assert.match(
        text,
        new RegExp(`Cannot use MPI: ${mpi.name}'s mpirun started .+ library is ${other.name} \\d`),
      );
      assert.match(text, new RegExp(`let ORTUNE_MPI_LIB name the library of ${mpi.name}`));
    });
  }
}
