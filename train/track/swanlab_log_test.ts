/**
 * SwanLab's run files, read back by a reader of this test. SwanLab 0.10.3 read the same records by
 *
 * ```py
 * from swanlab.sdk.internal.core_python.store import DataStoreReader
 * from swanlab.proto.swanlab.record.v1.record_pb2 import Record
 * reader = DataStoreReader()
 * reader.open(path)
 * for data in reader:
 *     print(Record.FromString(data))
 * ```
 */

import assert from "node:assert/strict";
import { logEvent, startEvent } from "../../tests/support/run_events.ts";
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { crc32 } from "node:zlib";
import { protobufFields, type ProtobufValue } from "../../tests/support/protobuf_fields.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import type { EndEvent, EvaluateEvent, StartEvent } from "../events.ts";
import { readFrames } from "./swanlab_frames.ts";
import { createSwanlabLog } from "./swanlab_log.ts";

const start = (resumedStep: number): StartEvent => startEvent(resumedStep, "lora");
const log = logEvent;
const evaluate: EvaluateEvent = {
  type: "evaluate",
  step: 2,
  epoch: 0.4,
  evalLoss: 1.25,
  evalTokenLoss: 1.125,
  examples: 4,
  batches: 2,
  supervisedTokens: 99,
  seconds: 0.5,
};
const end = (reason: EndEvent["reason"]): EndEvent => ({
  type: "end",
  step: 10,
  epoch: 2,
  reason,
  tokens: 4000,
  seconds: 8,
  trainLoss: 1.75,
});
const options = { clock: () => 1_700_000_000_250, makeId: () => "abcd1234" };

/** Numbers, texts and messages by field number, the last of each. */
type Fields = Map<number, ProtobufValue>;

function fieldsOf(bytes: Uint8Array): Fields {
  return new Map(protobufFields(bytes));
}

const inner = (fields: Fields, field: number): Fields => fieldsOf(fields.get(field) as Uint8Array);
const text = (fields: Fields, field: number): string =>
  new TextDecoder().decode(fields.get(field) as Uint8Array);

/** A run file's records, by the description of the format; files here are one block long. */
function readRun(file: Uint8Array): Fields[] {
  assert.equal(file.subarray(0, 7).toHex(), "3a53574cd6e102");
  assert.ok(file.length < 32768);
  const view = new DataView(file.buffer, file.byteOffset);
  const records: Fields[] = [];
  for (let at = 7; at < file.length;) {
    const length = view.getUint16(at + 4, true);
    const typed = file.subarray(at + 6, at + 7 + length);
    assert.equal(typed[0], 1);
    assert.equal(view.getUint32(at, true), crc32(typed));
    records.push(fieldsOf(typed.subarray(1)));
    at += 7 + length;
  }
  return records;
}

interface Run {
  readonly folder: string;
  readonly records: readonly Fields[];
}

async function runsIn(directory: string): Promise<Run[]> {
  const names = (await readdir(directory)).sort();
  return await Promise.all(names.map(async (name) => {
    const folder = `${directory}/${name}`;
    const file = (await readdir(folder)).find((each) => each.endsWith(".swanlab"));
    return { folder, records: readRun(await readFile(`${folder}/${file}`)) };
  }));
}

const START = 10;
const FINISH = 11;
const COLUMN = 12;
const SCALAR = 13;
const MEDIA = 14;
const LOG = 16;
const SAVE = 20;

function all({ records }: Run, field: number): Fields[] {
  return records.filter((record) => record.has(field)).map((record) => inner(record, field));
}

function scalars(run: Run): [string, number, number][] {
  return all(run, SCALAR).map((scalar) => [
    text(scalar, 1),
    scalar.get(2) as number,
    inner(scalar, 5).get(1) as number,
  ]);
}

Deno.test("createSwanlabLog() writes start, files, figures, lines and finish, numbered", async () => {
  await using folder = await tempFolder();
  {
    const config = { learning_rate: 1e-7 };
    await using swanlab = createSwanlabLog(folder.path, { ...options, project: "p", config });
    for (const event of [start(0), log(1), evaluate, end("completed")]) await swanlab.event(event);
  }
  const [run] = await runsIn(folder.path);
  assert.match(run.folder, /\/run-\d{8}_\d{6}-abcd1234$/);
  assert.deepEqual(
    run.records.slice(0, 6).map((record) => record.get(1)),
    [-1, -3, -4, -5, -6, 1],
  );
  assert.deepEqual(
    run.records.slice(5, -1).map((record) => record.get(1)),
    run.records.slice(5, -1).map((_, index) => index + 1),
  );
  assert.equal(run.records.at(-1)!.get(1), -2);
  for (const record of run.records) {
    assert.deepEqual([...inner(record, 2)], [[1, 1_700_000_000], [2, 250_000_000]]);
  }
  const [first] = all(run, START);
  assert.deepEqual([text(first, 1), text(first, 4), text(first, 10)], [
    "p",
    "abcd1234",
    "abcd1234",
  ]);
  assert.equal(inner(run.records.at(-1)!, FINISH).get(1), 1);
  assert.deepEqual(
    all(run, SAVE).map((save) => [text(save, 1), save.get(5)]),
    [["config", 1], ["metadata", 2], ["requirements", 3], ["conda", 4]],
  );
  for (const save of all(run, SAVE)) await readFile(text(save, 2));
  // The line of the end has the clock's date, not the machine's.
  assert.match(text(all(run, LOG).at(-1)!, 1), /\| 2023-11-14 22:13 UTC$/);
  assert.match(
    await readFile(`${run.folder}/files/config.yaml`, "utf8"),
    /^"learning_rate":\n {2}desc: ''\n {2}sort: 0\n {2}value: 1\.0e-7\n"method":\n/,
  );
  assert.deepEqual(scalars(run), [
    ["train/loss", 1, 1.5],
    ["train/grad_norm", 1, 2],
    ["train/learning_rate", 1, 0.5],
    ["train/epoch", 1, 0.2],
    ["train/global_step", 1, 1],
    ["train/tokens_per_second", 1, 1000],
    ["train/memory_gib", 1, 1.5],
    ["eval/loss", 2, 1.25],
    ["eval/token_loss", 2, 1.125],
    ["eval/runtime", 2, 0.5],
    ["eval/samples_per_second", 2, 8],
    ["eval/steps_per_second", 2, 4],
    ["train/epoch", 2, 0.4],
    ["train/global_step", 2, 2],
    ["single_value/train_loss", 10, 1.75],
    ["single_value/train_runtime", 10, 8],
    ["single_value/train_samples_per_second", 10, 5],
    ["single_value/train_steps_per_second", 10, 1.25],
  ]);
  const keys = all(run, COLUMN).map((column) => text(column, 3));
  assert.deepEqual(keys, [...new Set(scalars(run).map(([key]) => key))]);
  assert.deepEqual(all(run, LOG).map((line) => line.get(4)), [1, 2, 3, 4]);
  assert.match(text(all(run, LOG)[1], 1), /^step 1\/10 \| epoch 0\.20 \| loss 1\.5000/);
});

Deno.test("createSwanlabLog() lists samples as texts, one list a step", async () => {
  await using folder = await tempFolder();
  {
    await using swanlab = createSwanlabLog(folder.path, options);
    await swanlab.samples(4, [
      { question: "头痛？", think: "想", answer: "休息" },
      { question: "b", answer: "c" },
    ]);
    await swanlab.samples(4, [{ question: "d", answer: "e" }]);
  }
  const [run] = await runsIn(folder.path);
  const lists = all(run, MEDIA);
  assert.deepEqual(lists.map((list) => [text(list, 1), list.get(2), list.get(3)]), [
    ["Prediction", 4, 4],
    ["Prediction", 5, 4],
  ]);
  const items = protobufFields(lists[0].get(5) as Uint8Array)
    .map(([, item]) => fieldsOf(item as Uint8Array));
  const contents = [
    "Question: 头痛？\n\nLLM:<think>\n想\n</think>\n\n休息",
    "Question: b\n\nLLM:c",
  ];
  for (const [index, item] of items.entries()) {
    const bytes = await readFile(`${run.folder}/media/text/${text(item, 1)}`);
    assert.equal(bytes.toString(), contents[index]);
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    assert.equal(text(item, 1), `004-${sha256.slice(0, 8)}.txt`);
    assert.equal(text(item, 2), sha256);
    assert.equal(item.get(3), bytes.length);
  }
  assert.equal(items.length, 2);
});

Deno.test("createSwanlabLog() tells completed, aborted and crashed runs apart", async () => {
  for (
    const [last, state, error] of [
      ["completed", 1, undefined],
      ["early-stopped", 1, undefined],
      [undefined, 2, "the run ended without its last event"],
      ["aborted", 3, "aborted at step 10; it can be resumed from its last checkpoint"],
    ] as const
  ) {
    await using folder = await tempFolder();
    {
      await using swanlab = createSwanlabLog(folder.path, options);
      await swanlab.event(start(0));
      if (last !== undefined) await swanlab.event(end(last));
    }
    const [run] = await runsIn(folder.path);
    const [finish] = all(run, FINISH);
    assert.equal(finish.get(1), state);
    assert.equal(finish.has(2) ? text(finish, 2) : undefined, error);
  }
});

Deno.test("createSwanlabLog() resumes under the same id, its lines numbered on past swanlab sync's own", async () => {
  await using folder = await tempFolder();
  for (const resumedStep of [0, 1]) {
    const makeId = () => resumedStep === 0 ? "first" : "second";
    await using swanlab = createSwanlabLog(folder.path, { ...options, makeId });
    await swanlab.event(start(resumedStep));
    await swanlab.event(log(resumedStep + 1));
  }
  const runs = await runsIn(folder.path);
  assert.deepEqual(runs.map((run) => text(all(run, START)[0], 10)), ["first", "first"]);
  assert.deepEqual(runs.map((run) => all(run, START)[0].get(11)), [undefined, 1]);
  assert.deepEqual(runs.map((run) => all(run, LOG).map((line) => line.get(4))), [[1, 2], [4, 5]]);
});

Deno.test("createSwanlabLog() begins a run of its own where there is none to resume", async () => {
  await using folder = await tempFolder();
  {
    await using swanlab = createSwanlabLog(`${folder.path}/new`, options);
    await swanlab.event(start(4));
  }
  const [run] = await runsIn(`${folder.path}/new`);
  assert.equal(all(run, START)[0].get(11), undefined);
});

Deno.test("createSwanlabLog() writes no second value of a key's step, which SwanLab would drop", async () => {
  await using folder = await tempFolder();
  {
    await using swanlab = createSwanlabLog(folder.path, options);
    for (const event of [start(0), log(2), evaluate]) await swanlab.event(event);
  }
  const [run] = await runsIn(folder.path);
  const places = scalars(run).map(([key, step]) => `${key} ${step}`);
  assert.equal(new Set(places).size, places.length);
});

Deno.test("createSwanlabLog() touches nothing before the first event, and refuses events once closed", async () => {
  await using folder = await tempFolder();
  const swanlab = createSwanlabLog(`${folder.path}/swanlog`, options);
  await swanlab[Symbol.asyncDispose]();
  assert.deepEqual(await readdir(folder.path), []);
  await assert.rejects(async () => await swanlab.event(log(1)), /Cannot log log to .* closed/);
});

Deno.test("createSwanlabLog() refuses an id that is no name of a folder", async () => {
  await using folder = await tempFolder();
  await using swanlab = createSwanlabLog(folder.path, { ...options, makeId: () => "../x" });
  await assert.rejects(
    async () => await swanlab.event(start(0)),
    { name: "RangeError", message: /^Cannot name a run "\.\.\/x": / },
  );
});

Deno.test({
  name: "createSwanlabLog() needs no permissions but to read and write its folder",
  permissions: { read: true, write: true },
  async fn() {
    const path = await Deno.makeTempDir();
    for (const resumedStep of [0, 4]) {
      await using swanlab = createSwanlabLog(path);
      await swanlab.event(start(resumedStep));
      await swanlab.samples(1, [{ question: "a", answer: "b" }]);
    }
    await Deno.remove(path, { recursive: true });
  },
});

Deno.test("createSwanlabLog() names the folder by the local time, and by what it is told", async () => {
  await using folder = await tempFolder();
  const clock = () => new Date(2026, 0, 5, 3, 7, 9, 800).getTime();
  {
    await using swanlab = createSwanlabLog(folder.path, { ...options, clock, name: "my run" });
    await swanlab.event(start(0));
  }
  const [run] = await runsIn(folder.path);
  assert.equal(run.folder, `${folder.path}/run-20260105_030709-abcd1234`);
  const [first] = all(run, START);
  assert.deepEqual([text(first, 1), text(first, 4), text(first, 10), first.get(11)], [
    ...["ortune", "my run", "abcd1234", undefined],
  ]);
});

Deno.test("createSwanlabLog() writes settings, versions and what a start tells of into files", async () => {
  await using folder = await tempFolder();
  const config = { b: "text", left: undefined, a: [1, null] };
  const versions = { ortune: "1.0", "ONNX \n Runtime": "1.23" };
  {
    await using swanlab = createSwanlabLog(folder.path, { ...options, config, versions });
    await swanlab.event(start(4));
  }
  {
    const makeId = () => "other";
    await using swanlab = createSwanlabLog(folder.path, { ...options, makeId });
    await swanlab.event(log(1));
  }
  const [told, plain] = await runsIn(folder.path);
  const filesOf = async ({ folder }: Run): Promise<Record<string, string>> =>
    Object.fromEntries(
      await Promise.all(
        (await readdir(`${folder}/files`)).sort()
          .map(async (name) => [name, await readFile(`${folder}/files/${name}`, "utf8")]),
      ),
    );
  const entry = (name: string, sort: number, value: string): string =>
    `"${name}":\n  desc: ''\n  sort: ${sort}\n  value: ${value}\n`;
  const conda = "name: ortune\ndependencies: []\n";
  assert.deepEqual(await filesOf(told), {
    "conda.yaml": conda,
    "config.yaml": [
      entry("b", 0, '"text"'),
      entry("a", 1, "[1, null]"),
      entry("method", 2, '"lora"'),
      entry("total_steps", 3, "10"),
      entry("examples", 4, "20"),
      entry("eval_examples", 5, "4"),
      entry("trainable_parameters", 6, "100"),
      entry("resumed_step", 7, "4"),
    ].join(""),
    "requirements.txt": "# ortune 1.0\n# ONNX Runtime 1.23\n",
    "swanlab-metadata.json": JSON.stringify({ _version: 2, versions }),
  });
  assert.deepEqual(await filesOf(plain), {
    "conda.yaml": conda,
    "config.yaml": "{}\n",
    "requirements.txt": "# no Python\n",
    "swanlab-metadata.json": '{"_version":2,"versions":{}}',
  });
});

Deno.test("createSwanlabLog() ends a run where another starts, and begins a file for it", async () => {
  await using folder = await tempFolder();
  const ids = ["one", "two"];
  {
    const makeId = () => ids.shift()!;
    await using swanlab = createSwanlabLog(folder.path, { ...options, makeId });
    for (const event of [start(0), log(1), end("completed"), start(0), log(1)]) {
      await swanlab.event(event);
    }
  }
  const runs = await runsIn(folder.path);
  assert.deepEqual(runs.map((run) => all(run, FINISH)[0].get(1)), [1, 2]);
  assert.deepEqual(runs.map((run) => text(all(run, START)[0], 10)), ["one", "two"]);
  assert.deepEqual(runs.map((run) => all(run, LOG).map((line) => line.get(4))), [[1, 2, 3], [
    1,
    2,
  ]]);
});

Deno.test("createSwanlabLog() frames records over blocks wherever they begin", async () => {
  await using folder = await tempFolder();
  for (let length = 32_380; length < 32_780; length += 20) {
    const directory = `${folder.path}/${length}`;
    const name = "n".repeat(length);
    {
      await using swanlab = createSwanlabLog(directory, { ...options, name });
      await swanlab.event(log(1));
      await swanlab.samples(1, [{ question: "?", answer: "!" }]);
    }
    const [run] = await readdir(directory);
    const file = await readFile(`${directory}/${run}/run-abcd1234.swanlab`);
    const records = [...readFrames(file)].map((record) => fieldsOf(record).get(1));
    assert.deepEqual(records, [-1, -3, -4, -5, -6, ...Array(17).keys().map((n) => n + 1), -2]);
  }
});

Deno.test("createSwanlabLog() resumes only a run whose file is there and is no larger than a GiB", async () => {
  await using folder = await tempFolder();
  const run = `${folder.path}/run-20200101_000000-old`;
  await Deno.mkdir(run);
  {
    await using swanlab = createSwanlabLog(folder.path, options);
    await swanlab.event(start(4));
  }
  const [, name] = (await readdir(folder.path)).sort();
  assert.match(name, /-abcd1234$/);
  await Deno.remove(`${folder.path}/${name}`, { recursive: true });
  const path = `${run}/run-old.swanlab`;
  await Deno.writeFile(path, new Uint8Array());
  await Deno.truncate(path, 2 ** 30 + 1);
  await using swanlab = createSwanlabLog(folder.path, options);
  await assert.rejects(async () => await swanlab.event(start(4)), {
    name: "RangeError",
    message: `Cannot resume ${path}: 1073741825 bytes exceed 1073741824; move its folder away`,
  });
  assert.deepEqual(await readdir(folder.path), ["run-20200101_000000-old"]);
});

Deno.test("createSwanlabLog() passes over folders whose names have no time", async () => {
  for (
    const [other, expected] of [
      // The last second that has a later one.
      ["run-99981231_235959-x", "run-99990101_000000-abcd1234"],
      ["run-99990101_000000-x", "run-20260105_030709-abcd1234"],
      ["run-20261301_000000-x", "run-20260105_030709-abcd1234"],
      ["run-20260132_000000-x", "run-20260105_030709-abcd1234"],
      ["run-20260105_030709-x", "run-20260105_030710-abcd1234"],
      ["run-20260105_030708-x", "run-20260105_030709-abcd1234"],
      ["run-20260105_030709-x-y", "run-20260105_030709-abcd1234"],
    ]
  ) {
    await using folder = await tempFolder();
    await Deno.mkdir(`${folder.path}/${other}`);
    const clock = () => new Date(2026, 0, 5, 3, 7, 9).getTime();
    {
      await using swanlab = createSwanlabLog(folder.path, { ...options, clock });
      await swanlab.event(start(0));
    }
    assert.deepEqual((await readdir(folder.path)).filter((name) => name !== other), [expected]);
  }
});

Deno.test("createSwanlabLog() takes ids of 1 to 64 letters, digits and _, and makes some of eight", async () => {
  await using folder = await tempFolder();
  for (const id of ["", "a-b", "x".repeat(65)]) {
    await using swanlab = createSwanlabLog(folder.path, { ...options, makeId: () => id });
    await assert.rejects(async () => await swanlab.event(start(0)), {
      name: "RangeError",
      message: `Cannot name a run "${id}": an id has 1 to 64 letters, digits and _; give such`,
    });
  }
  for (const id of ["_", "x".repeat(64)]) {
    await using swanlab = createSwanlabLog(folder.path, { ...options, makeId: () => id });
    await swanlab.event(start(0));
  }
  const drawn = `${folder.path}/drawn`;
  for (let n = 0; n < 20; n++) {
    await using swanlab = createSwanlabLog(drawn);
    await swanlab.event(start(0));
  }
  for (const name of await readdir(drawn)) assert.match(name, /^run-\d{8}_\d{6}-[a-z0-9]{8}$/);
});

Deno.test("createSwanlabLog() touches nothing for events that leave no line, and names what it refuses", async () => {
  await using folder = await tempFolder();
  const directory = `${folder.path}/swanlog`;
  const swanlab = createSwanlabLog(directory, options);
  await swanlab.samples(1, []);
  await swanlab.event({ type: "micro-step", step: 1, micro: 1, microSteps: 2 });
  assert.deepEqual(await readdir(folder.path), []);
  await swanlab[Symbol.asyncDispose]();
  const closed = (what: string) =>
    `Cannot log ${what} to ${directory}: the log is closed; make a new tracker for a new run`;
  await assert.rejects(async () => await swanlab.event(log(1)), { message: closed("log") });
  await assert.rejects(async () => await swanlab.samples(1, []), { message: closed("samples") });
});
