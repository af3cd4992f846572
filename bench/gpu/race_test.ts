import assert from "node:assert/strict";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import type { Entry } from "./entries.ts";
import { Race, type RaceOptions } from "./race.ts";
import type { ContenderResult } from "./report.ts";
import { TimeBudget } from "./time_budget.ts";
import { makeWorkload, SHAPES } from "./workload.ts";

const workload = makeWorkload({
  seed: 1,
  vocabulary: SHAPES.tiny.vocab_size,
  maxLength: 64,
  four: 2,
  large: 1,
  largeTokens: 64,
});

const REPLY = { seconds: 0.5, peakBytes: 1e9 };

/** One that runs a command of the shell and answers, as often as it is told to do something. */
function contender(name: string, each: string, { loss = 1 } = {}): Entry {
  const reply = JSON.stringify({ ...REPLY, losses: [loss] });
  const script = `echo '@@{}'; while read -r line; do ${each}; echo '@@${reply}'; done`;
  const args = ["-c", script];
  return { name, command: "bash", args, large: true, ortune: false, comparable: true };
}

async function run(
  entries: readonly Entry[],
  options: Partial<RaceOptions> = {},
): Promise<ContenderResult[]> {
  const results: ContenderResult[] = [];
  await new Race(results, {
    shape: "tiny",
    method: "full",
    workload,
    budget: new TimeBudget(60),
    rounds: 2,
    updates: { four: 1, large: 1 },
    together: false,
    say: () => {},
    ...options,
  }).run(entries);
  return results;
}

Deno.test("a contender has the device to itself: the one before has ended", async () => {
  await using folder = await tempFolder();
  // Each says how many of those that were ever started are alive.
  const entry = (name: string): Entry =>
    contender(
      name,
      `touch ${folder.path}/$$; n=0; for file in ${folder.path}/[0-9]*; do ` +
        `[ -d /proc/\${file##*/} ] && n=\$((n + 1)); done; echo $n >>${folder.path}/${name}`,
    );
  const alive = async (name: string) =>
    Math.max(...(await Deno.readTextFile(`${folder.path}/${name}`)).trim().split("\n").map(Number));
  await run([entry("a"), entry("b"), entry("c")]);
  assert.deepEqual(await Promise.all(["a", "b", "c"].map(alive)), [1, 1, 1]);
  await run([entry("d"), entry("e")], { together: true });
  assert.deepEqual(await Promise.all(["d", "e"].map(alive)), [2, 2]);
});

Deno.test("one that fails is named with its last words, and the next is run and compared", async () => {
  const [first, failed, last] = await run([
    contender("first", ":", { loss: 2 }),
    contender("failed", "echo not so good >&2; exit 3"),
    contender("last", ":", { loss: 2.5 }),
  ]);
  assert.equal(failed.failure, "It ended; its last words: not so good");
  assert.deepEqual([first.failure, last.failure], [undefined, undefined]);
  assert.equal(last.lossDifference, 0.5);
  assert.ok(first.fourTokensPerSecond! > 0 && last.largeTokensPerSecond! > 0);
});

Deno.test("a contender that there is no time for is named, and what ran before counts", async () => {
  let now = 0;
  const budget = new TimeBudget(60, () => now);
  const slow = contender("slow", ":");
  const results = await run([slow], { budget });
  assert.equal(results[0].failure, undefined);
  now = 58_000;
  const [late] = await run([slow], { budget });
  assert.equal(late.failure, "There was no time left for it");
});

Deno.test("nvidia-smi is asked while updates are compared, and never while they are timed", async () => {
  await using folder = await tempFolder();
  const now = "date +%s%N";
  const tool = await folder.write(
    "nvidia-smi",
    `#!/bin/sh\n${now} >>${folder.path}/asked\necho 1000\n`,
  );
  await Deno.chmod(tool, 0o755);
  const path = Deno.env.get("PATH")!;
  Deno.env.set("PATH", `${folder.path}:${path}`);
  try {
    const each = `from=$(${now}); sleep 0.3; echo "$line|$from|$(${now})" >>${folder.path}/turns`;
    const [result] = await run([contender("a", each)], { updates: { four: 3, large: 2 } });
    assert.equal(result.failure, undefined);
    assert.equal(result.devicePeakBytes, 0);
  } finally {
    Deno.env.set("PATH", path);
  }
  const linesOf = async (name: string) =>
    (await Deno.readTextFile(`${folder.path}/${name}`)).trim().split("\n");
  const asked = (await linesOf("asked")).map(Number);
  const turns = (await linesOf("turns")).map((line) => {
    const [command, from, to] = line.split("|");
    const during = asked.filter((time) => time > Number(from) && time < Number(to)).length;
    return { count: JSON.parse(command).count, during };
  });
  const timed = turns.filter(({ count }) => count === 3 || count === 2);
  assert.deepEqual(timed.map(({ during }) => during), [0, 0, 0, 0]);
  assert.ok(turns.some(({ count, during }) => count === 19 && during > 0));
});
