/** Logs of runs stay in their order when a clock is set back between them. */

import assert from "node:assert/strict";
import { startEvent } from "../../tests/support/run_events.ts";
import { repositoryPath, runDeno } from "../../tests/support/run_script.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import type { StartEvent } from "../events.ts";
import { createSwanlabLog } from "./swanlab_log.ts";
import { createTensorboardLog } from "./tensorboard_log.ts";

const DAY = 86_400_000;
const NOON = Date.UTC(2026, 5, 15, 12);

const start = (resumedStep: number): StartEvent => startEvent(resumedStep, "full");

async function names(path: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(path), ({ name }) => name)).sort();
}

Deno.test("createTensorboardLog() names a file after those that are there, whatever the clock says", async () => {
  await using folder = await tempFolder();
  const seconds = NOON / 1000;
  // Not names of a time: another program's, and one that no clock can be later than.
  await folder.write("events.out.tfevents.9999999999.other.1.0", "");
  await folder.write("events.out.tfevents.17000000000.other.1.0", "");
  const made: string[] = [];
  for (const [resumed, time] of [[0, NOON], [7, NOON - DAY], [9, NOON], [11, NOON + DAY]]) {
    const before = await names(folder.path);
    await using log = createTensorboardLog(folder.path, { clock: () => time, pid: 7 });
    await log.event(start(resumed));
    made.push((await names(folder.path)).find((name) => !before.includes(name))!);
  }
  const name = (at: number) => `events.out.tfevents.${at}.ortune.7.0`;
  assert.deepEqual(made, [
    name(seconds),
    name(seconds + 1),
    name(seconds + 2),
    name(seconds + 86400),
  ]);
});

Deno.test("createSwanlabLog() resumes the newest run, whatever the clock says", async () => {
  await using folder = await tempFolder();
  await Deno.mkdir(`${folder.path}/run-99999999_999999-notatime`);
  let made = 0;
  for (
    const [resumed, time] of [[0, NOON], [7, NOON - DAY], [0, NOON - 2 * DAY], [9, NOON - DAY]]
  ) {
    await using log = createSwanlabLog(folder.path, {
      clock: () => time,
      makeId: () => `id${made++}`,
    });
    await log.event(start(resumed));
  }
  const runs = (await names(folder.path)).filter((name) => !name.includes("9999"));
  assert.deepEqual(runs.map((name) => name.split("-")[2]), ["id0", "id0", "id1", "id1"]);
  assert.equal(new Set(runs.map((name) => name.split("-")[1])).size, 4);
});

Deno.test("createSwanlabLog() keeps runs in order through the hour that comes twice", async () => {
  await using folder = await tempFolder();
  // Berlin, 25 October 2026: 02:59:59 is followed by 02:00:00.
  const script = await folder.write(
    "log.ts",
    `import { createSwanlabLog } from "${repositoryPath("train/track/swanlab_log.ts")}";
    let n = 0;
    for (const time of [Date.UTC(2026, 9, 25, 0, 59, 59), Date.UTC(2026, 9, 25, 1, 0, 30)]) {
      await using log = createSwanlabLog(Deno.args[0], { clock: () => time, makeId: () => "id" + n++ });
      await log.event({ type: "skip", step: 1, loss: 1, gradNorm: 1, consecutive: 1 });
    }`,
  );
  const logs = `${folder.path}/logs`;
  const { stderr } = await runDeno(
    [
      "run",
      "--quiet",
      "-A",
      "--no-check",
      "--cached-only",
      `--config=${repositoryPath("deno.json")}`,
      script,
      logs,
    ],
    undefined,
    { TZ: "Europe/Berlin" },
  );
  assert.equal(stderr, "");
  assert.deepEqual(await names(logs), ["run-20261025_025959-id0", "run-20261025_030000-id1"]);
});
