import assert from "node:assert/strict";
import { createByteProgress } from "./byte_progress.ts";

/** Lines of a log, and what time it is there. */
function log(): {
  readonly lines: string[];
  readonly progress: ReturnType<typeof createByteProgress>;
  pass(milliseconds: number): void;
} {
  const lines: string[] = [];
  let time = 5000;
  const progress = createByteProgress({
    write: (text) => void lines.push(text),
    isTty: false,
    columns: () => 80,
    now: () => time,
  });
  return { lines, progress, pass: (milliseconds) => void (time += milliseconds) };
}

const KIB = 1024;

Deno.test("createByteProgress() tells the part, sizes, files, speed and time that is left", () => {
  const { lines, progress, pass } = log();
  const files = { file: "a.bin", size: 1000 * KIB, files: 3 };
  // What was here before counts for the part, but not for the speed.
  progress.update({ ...files, bytes: 100 * KIB, filesDone: 0 });
  pass(2000);
  progress.update({ ...files, bytes: 300 * KIB, filesDone: 1 });
  pass(2000);
  progress.update({ ...files, bytes: 999 * KIB, filesDone: 2 });
  pass(0);
  progress.update({ ...files, bytes: 1000 * KIB, filesDone: 3 });
  progress.finish();
  assert.deepEqual(lines, [
    "10 %, 100 KiB of 1000 KiB, 0/3 files, a.bin\n",
    "30 %, 300 KiB of 1000 KiB, 1/3 files, 100 KiB/s, 0:00:07 left, a.bin\n",
    "99 %, 999 KiB of 1000 KiB, 2/3 files, 225 KiB/s, 0:00:00 left, a.bin\n",
    "100 %, 1000 KiB of 1000 KiB, 3/3 files, 225 KiB/s\n",
  ]);
});

Deno.test("createByteProgress() tells no speed while no time has passed, or nothing has come", () => {
  const { lines, progress, pass } = log();
  const files = { file: "a.bin", size: 100, files: 1, filesDone: 0 };
  progress.update({ ...files, bytes: 10 });
  progress.update({ ...files, bytes: 20 });
  assert.equal(lines.at(-1), "20 %, 20 B of 100 B, 0/1 files, a.bin\n");
  pass(1);
  progress.update({ ...files, bytes: 31 });
  assert.equal(lines.at(-1), "31 %, 31 B of 100 B, 0/1 files, 20.5 KiB/s, 0:00:00 left, a.bin\n");
  const other = log();
  other.progress.update({ ...files, bytes: 10 });
  other.pass(1000);
  other.progress.note("waits");
  other.progress.update({ ...files, size: 50, bytes: 10 });
  assert.deepEqual(other.lines, [
    "10 %, 10 B of 100 B, 0/1 files, a.bin\n",
    "waits\n",
    "20 %, 10 B of 50 B, 0/1 files, a.bin\n",
  ]);
});

Deno.test("createByteProgress() is through with files of no bytes, once all are here", () => {
  const { lines, progress } = log();
  progress.update({ file: "a", bytes: 0, size: 0, filesDone: 0, files: 1 });
  assert.deepEqual(lines, []);
  progress.update({ file: "a", bytes: 0, size: 0, filesDone: 1, files: 1 });
  assert.deepEqual(lines, ["100 %, 0 B of 0 B, 1/1 files\n"]);
});
