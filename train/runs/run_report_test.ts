import assert from "node:assert/strict";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { trainerStub } from "../../tests/support/trainer_stub.ts";
import { type ReportedRun, writeRunReport } from "./run_report.ts";

/** A run that is over, with so many rows left out, of which the first are known. */
function finishedRun(outputDir: string, { known, refused, resumedStep }: {
  readonly known: number;
  readonly refused: number;
  readonly resumedStep: number;
}): ReportedRun {
  const refusedRows = Array.from({ length: known }, (_, i) => ({
    line: i + 1,
    reason: `reason ${i + 1}.`,
  }));
  return {
    args: { outputDir, model: "tiny", device: "cpu" },
    runtime: { api: { version: "1.0" } },
    trainer: trainerStub(),
    data: {
      report: { rows: 900, tokens: 9, refused: refusedRows, refusedRows: refused },
      validation: [],
      notes: ["A note of the data."],
    },
    start: { resumedStep },
    end: { reason: "completed", epoch: 1.23456, step: 4, seconds: 2, tokens: 8 },
    started: "2026-01-01T00:00:00.000Z",
    checkpoint: "",
  };
}

/** The notes of the report that is written. */
async function notesOf(run: ReportedRun): Promise<string[]> {
  const say = (line: string) => assert.fail(line);
  const [, path] = await writeRunReport(run, { title: "Run", command: "deno task train", say });
  const page = await Deno.readTextFile(path);
  return Array.from(page.matchAll(/<li dir="auto">(.*?)<\/li>/g), ([, note]) => note);
}

Deno.test("writeRunReport() lists rows that were left out, and where a run went on", async () => {
  await using folder = await tempFolder();
  const lines = (count: number) =>
    Array.from({ length: count }, (_, i) => `Left out, line ${i + 1}: reason ${i + 1}.`);
  const data = "A note of the data.";
  const cases = [
    [{ known: 0, refused: 0, resumedStep: 0 }, [data]],
    [{ known: 2, refused: 2, resumedStep: 0 }, [data, ...lines(2)]],
    [{ known: 200, refused: 200, resumedStep: 1 }, [
      ...[data, ...lines(200)],
      "Resumed after update 1.",
    ]],
    [{ known: 201, refused: 300, resumedStep: 0 }, [
      ...[data, ...lines(200)],
      "Left out: 100 more rows.",
    ]],
  ] as const;
  for (const [given, expected] of cases) {
    assert.deepEqual(await notesOf(finishedRun(folder.path, given)), expected);
  }
});
