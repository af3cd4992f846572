import assert from "node:assert/strict";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { trainerStub } from "../../tests/support/trainer_stub.ts";
import { VERSION } from "../../internal/version.ts";
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

/** Names and values of a report's facts. */
function factsOf(page: string): Record<string, string> {
  const rows = page.matchAll(/<th scope="row">([^]*?)<\/th>\s*<td dir="auto">([^]*?)<\/td>/g);
  return Object.fromEntries(
    Array.from(rows, (row) => row.slice(1).map((cell) => cell.replace(/<[^>]*>/g, "").trim())),
  );
}

Deno.test("writeRunReport() writes the figures of the run, and answers where", async () => {
  await using folder = await tempFolder();
  const { path } = folder;
  const losses = { epoch: 0.5, loss: 2, grad_norm: 1, learning_rate: 0.1, tokens_per_second: 5 };
  const evaluation = {
    ...{ step: 2, epoch: 1, eval_loss: 1.25, eval_token_loss: 1, eval_samples: 3 },
    ...{ eval_supervised_tokens: 9, eval_runtime: 1 },
  };
  await folder.write(
    "metrics.jsonl",
    [{ step: 1, ...losses }, { step: 2, loss: 1, grad_norm: 1, skipped_updates: 1 }, evaluation]
      .map((line) => `${JSON.stringify(line)}\n`).join(""),
  );
  const run = {
    ...finishedRun(path, { known: 0, refused: 0, resumedStep: 0 }),
    checkpoint: `${path}/checkpoint-4`,
  };
  const options = { title: "My run", command: "deno task train", say: assert.fail };
  assert.deepEqual(await writeRunReport(run, options), [`${path}/loss.svg`, `${path}/report.html`]);
  const page = await Deno.readTextFile(`${path}/report.html`);
  assert.deepEqual(factsOf(page), {
    ...{ Status: "finished", Started: "2026-01-01 00:00 UTC", Time: "0:00:02", Model: "tiny" },
    ...{ Method: "full", Device: "cpu", Parameters: "10", "Trainable parameters": "10 (100 %)" },
    ...{ "Training rows": "900", "Validation rows": "0", "Training tokens": "9", Epochs: "1.23" },
    ...{ Steps: "4", Speed: "4.00 tok/s", "Last training loss": "2.0000" },
    ...{ "Last eval loss": "1.2500", "Best eval loss": "1.2500 at step 2" },
    ...{ "Last eval loss, per token": "1.0000", Perplexity: "2.7183" },
    ...{ Checkpoint: `${path}/checkpoint-4`, Command: "deno task train" },
    ...{ ortune: VERSION, Deno: Deno.version.deno, "ONNX Runtime": "1.0" },
    system: `${Deno.build.os}-${Deno.build.arch}`,
  });
  assert.match(page, /<title>My run<\/title>/);
  const chart = await Deno.readTextFile(`${path}/loss.svg`);
  assert.match(chart, /^<svg role="img" aria-label="My run" width="900"/);
  // One training loss and one evaluation, per token.
  assert.equal(chart.match(/matrix\(3\.5,/g)?.length, 2);
  const adapter = {
    ...run,
    checkpoint: "",
    trainer: { method: "lora", trainableParameters: 7 },
  } as const;
  const samples = [{ question: "q", answer: "a" }];
  await writeRunReport(adapter, { ...options, samples });
  const other = await Deno.readTextFile(`${path}/report.html`);
  const { Parameters, Checkpoint, "Trainable parameters": trainable } = factsOf(other);
  assert.deepEqual([Parameters, Checkpoint, trainable], [undefined, undefined, "7"]);
  assert.match(other, /Sample 1/);
});

Deno.test("writeRunReport() leaves out what it cannot read or write, and says so", async () => {
  await using folder = await tempFolder();
  const { path } = folder;
  const said: string[] = [];
  const options = { title: "Run", command: "c", say: (line: string) => void said.push(line) };
  const run = {
    ...finishedRun(path, { known: 0, refused: 0, resumedStep: 0 }),
    checkpoint: "here",
  };
  // A run that logged nothing has no file.
  assert.equal((await writeRunReport(run, options)).length, 2);
  assert.equal(said.length, 0);
  await folder.write("metrics.jsonl", "{\n");
  await Deno.remove(`${path}/loss.svg`);
  await Deno.mkdir(`${path}/loss.svg/x`, { recursive: true });
  assert.deepEqual(await writeRunReport(run, options), [`${path}/report.html`]);
  assert.equal(said.length, 2);
  assert.equal(
    said[0],
    `warning: Cannot read ${path}/metrics.jsonl: Cannot read ${path}/metrics.jsonl:1: expected a JSON object, ` +
      "got invalid JSON; remove the line, or give the file of a metrics log; the report has no figures",
  );
  assert.ok(said[1].startsWith(`warning: Cannot write ${path}/loss.svg: `));
  assert.ok(said[1].endsWith(
    "; the run is complete, and its weights are in here. Free space, and see its curves with deno task dashboard",
  ));
});
