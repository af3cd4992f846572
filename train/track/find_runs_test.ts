import assert from "node:assert/strict";
import { mkdir, symlink, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { findRuns } from "./find_runs.ts";

async function writeLogs(folder: string, paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    await mkdir(dirname(`${folder}/${path}`), { recursive: true });
    await writeFile(`${folder}/${path}`, "");
  }
}

Deno.test("findRuns() lists folders with a metrics log, itself first, in the order of their names", async () => {
  await using folder = await tempFolder();
  await writeLogs(folder.path, [
    "metrics.jsonl",
    "b/metrics.jsonl",
    "a/z/metrics.jsonl",
    "a/y/metrics.jsonl",
    "a/metrics.jsonl",
    "c/other.jsonl",
    "1/2/3/4/metrics.jsonl",
    "1/2/3/4/5/metrics.jsonl",
    "my-checkpoint-5/metrics.jsonl",
    "checkpoints/metrics.jsonl",
    "not.hidden/metrics.jsonl",
    // Passed over.
    "checkpoint-5/metrics.jsonl",
    ".hidden/metrics.jsonl",
    "d/metrics.jsonl/other",
  ]);
  await symlink(`${folder.path}/b`, `${folder.path}/link`);
  await symlink(`${folder.path}/b/metrics.jsonl`, `${folder.path}/c/metrics.jsonl`);
  assert.deepEqual(await findRuns(folder.path), [
    ".",
    "1/2/3/4",
    "a",
    "a/y",
    "a/z",
    "b",
    "checkpoints",
    "my-checkpoint-5",
    "not.hidden",
  ]);
  assert.deepEqual(await findRuns(`${folder.path}/a`), [".", "y", "z"]);
});

Deno.test("findRuns() finds nothing in a folder that is not there, and refuses a file", async () => {
  await using folder = await tempFolder();
  assert.deepEqual(await findRuns(`${folder.path}/none`), []);
  const file = await folder.write("file", "");
  await assert.rejects(findRuns(file), { code: "ENOTDIR" });
});

Deno.test("findRuns() lists a hundred runs at most", async () => {
  await using folder = await tempFolder();
  const names = Array.from({ length: 101 }, (_, run) => `run-${100 + run}`);
  await writeLogs(folder.path, names.map((name) => `${name}/metrics.jsonl`));
  assert.deepEqual(await findRuns(folder.path), names.slice(0, 100));
});
