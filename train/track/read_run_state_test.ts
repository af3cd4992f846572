import assert from "node:assert/strict";
import { utimes } from "node:fs/promises";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { readRunState } from "./read_run_state.ts";

const STARTED = "2026-11-28T12:00:00.000Z";
const ENDED = "2026-11-28T12:30:00.000Z";
const HOUR = 60 * 60 * 1000;

Deno.test("readRunState() tells how a run ended, and whether one goes on", async () => {
  await using folder = await tempFolder();
  const at = async (fields: Record<string, unknown>, now: number): Promise<unknown> => {
    await folder.write("run.json", JSON.stringify({ started: STARTED, ended: null, ...fields }));
    return await readRunState(folder.path, now);
  };
  const began = Date.parse(STARTED);
  for (const status of ["completed", "early-stopped", "aborted", "failed"]) {
    assert.deepEqual(await at({ status, ended: ENDED }, began + 9 * HOUR), {
      status,
      started: STARTED,
      ended: ENDED,
    });
  }
  const going = { status: "running", started: STARTED, ended: null };
  assert.deepEqual(await at({ status: "started" }, began + 0.9 * HOUR), going);
  // Killed, perhaps: its last figures are old, too.
  assert.deepEqual(await at({ status: "started" }, began + 1.1 * HOUR), {
    ...going,
    status: "silent",
  });
  const log = await folder.write("metrics.jsonl", "");
  await utimes(log, began / 1000, began / 1000 + 3600);
  assert.deepEqual(await at({ status: "started" }, began + 1.9 * HOUR), going);
});

Deno.test("readRunState() passes over what is no run.json", async () => {
  await using folder = await tempFolder();
  assert.equal(await readRunState(folder.path), undefined);
  for (const text of ["", "{", "[]", "7", "{}", '{"started":"soon"}', '{"started":5}']) {
    await folder.write("run.json", text);
    assert.equal(await readRunState(folder.path), undefined, text);
  }
  await folder.write("run.json", `{"started":"${STARTED}","status":"aborted","ended":"x"}`);
  assert.equal((await readRunState(folder.path))?.ended, null);
});

Deno.test("readRunState() takes a run for silent after more than an hour without a figure", async () => {
  await using folder = await tempFolder();
  const began = Date.parse(STARTED);
  const status = async (now: number): Promise<string | undefined> =>
    (await readRunState(folder.path, now))?.status;
  await folder.write("run.json", JSON.stringify({ started: STARTED, status: "started" }));
  assert.deepEqual([await status(began + HOUR), await status(began + HOUR + 1)], [
    ...["running", "silent"],
  ]);
  const log = await folder.write("metrics.jsonl", "");
  await utimes(log, began / 1000 + 60, began / 1000 + 60);
  assert.deepEqual([await status(began + HOUR + 60_000), await status(began + HOUR + 60_001)], [
    ...["running", "silent"],
  ]);
  // A log from before the start is another run's.
  await utimes(log, began / 1000 - 60, began / 1000 - 60);
  assert.equal(await status(began + HOUR), "running");
  await folder.write("run.json", " ".repeat(2 ** 20 + 1));
  assert.equal(await status(began), undefined);
  const padded = JSON.stringify({ started: STARTED }).padEnd(2 ** 20);
  await folder.write("run.json", padded);
  assert.equal(await status(began), "running");
});
