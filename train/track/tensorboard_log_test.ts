/**
 * Event files, byte by byte. TensorBoard 2.21 read back the same figures from a file of these
 * events by
 *
 * ```py
 * from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
 * run = EventAccumulator(folder, size_guidance={"scalars": 0, "tensors": 0}).Reload()
 * for tag in run.Tags()["scalars"]:
 *     print(tag, [(event.step, event.value) for event in run.Scalars(tag)])
 * for tag in run.Tags()["tensors"]:
 *     print(tag, [(event.step, list(event.tensor_proto.string_val)) for event in run.Tensors(tag)])
 * ```
 */

import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { protobufFields, readMessage } from "../../tests/support/protobuf_fields.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import type { EndEvent, EvaluateEvent, SkipEvent, StartEvent } from "../events.ts";
import { maskedCrc32c } from "./crc32c.ts";
import { logEvent, startEvent } from "../../tests/support/run_events.ts";
import { createTensorboardLog } from "./tensorboard_log.ts";

const start = (resumedStep: number): StartEvent => startEvent(resumedStep, "full");
const log = logEvent;
const evaluate: EvaluateEvent = {
  type: "evaluate",
  step: 2,
  epoch: 0.25,
  evalLoss: 1.25,
  evalTokenLoss: 1.125,
  examples: 4,
  batches: 2,
  supervisedTokens: 99,
  seconds: 0.5,
};
const skip: SkipEvent = { type: "skip", step: 3, loss: NaN, gradNorm: Infinity, consecutive: 1 };
const end: EndEvent = {
  type: "end",
  step: 10,
  epoch: 2,
  reason: "completed",
  tokens: 4000,
  seconds: 8,
  trainLoss: 1.75,
};
const clock = (): number => 1_700_000_000_500;
const options = { clock, hostname: "host", pid: 7 };

interface Entry {
  readonly step: number;
  readonly version?: string;
  readonly session?: boolean;
  readonly scalars: Record<string, number>;
  readonly texts: Record<string, string[]>;
}

/** Reads an event file by the description in the module above, checksums too. */
function parse(bytes: Uint8Array): Entry[] {
  const entries: Entry[] = [];
  for (let at = 0; at < bytes.length;) {
    const view = new DataView(bytes.buffer, bytes.byteOffset + at);
    const length = Number(view.getBigUint64(0, true));
    assert.equal(view.getUint32(8, true), maskedCrc32c(bytes.subarray(at, at + 8)));
    const data = bytes.subarray(at + 12, at + 12 + length);
    assert.equal(view.getUint32(12 + length, true), maskedCrc32c(data));
    entries.push(parseEvent(data));
    at += 16 + length;
  }
  return entries;
}

const decode = (bytes: unknown): string => new TextDecoder().decode(bytes as Uint8Array);

function parseEvent(bytes: Uint8Array): Entry {
  const entry = { step: 0, scalars: {}, texts: {} } as {
    -readonly [Key in keyof Entry]: Entry[Key];
  };
  for (const [field, value] of protobufFields(bytes)) {
    if (field === 1) assert.equal(value, 1_700_000_000.5);
    if (field === 2) entry.step = value as number;
    if (field === 3) entry.version = decode(value);
    if (field === 7) entry.session = true;
    if (field !== 5) continue;
    for (const [, one] of protobufFields(value as Uint8Array)) {
      const parts = new Map(protobufFields(one as Uint8Array));
      const tag = decode(parts.get(1));
      if (parts.has(2)) entry.scalars[tag] = parts.get(2) as number;
      else {
        entry.texts[tag] = [...protobufFields(parts.get(8) as Uint8Array)]
          .filter(([number]) => number === 8).map(([, text]) => decode(text));
      }
    }
  }
  return entry;
}

async function filesOf(folder: string): Promise<Entry[][]> {
  const names = (await readdir(folder)).sort();
  return await Promise.all(names.map(async (name) => parse(await readFile(`${folder}/${name}`))));
}

Deno.test("createTensorboardLog() writes the bytes that TensorBoard reads", async () => {
  await using folder = await tempFolder();
  {
    await using board = createTensorboardLog(folder.path, options);
    await board.event(start(0));
    await board.event(skip);
  }
  const [name] = await readdir(folder.path);
  assert.equal(name, "events.out.tfevents.1700000000.host.7.0");
  const bytes = await readFile(`${folder.path}/${name}`);
  assert.equal(
    bytes.toString("hex"),
    EXPECTED.replaceAll(/\s/g, ""),
  );
});

/** Version, session start, skipped update; each with length, checksum, event and checksum. */
const EXPECTED = `
  1a00000000000000129bd82d0900002040fc54d94110001a0d627261696e2e4576656e743a32bf8a691d
  0f000000000000006d532b090900002040fc54d94110003a020801073b90ba
  2b00000000000000861bc34b0900002040fc54d94110032a1e0a1c0a15747261696e2f736b69707065645f7570
  6461746573150000803fdfe5fc80
`;

Deno.test("createTensorboardLog() uses transformers' keys", async () => {
  await using folder = await tempFolder();
  {
    await using board = createTensorboardLog(folder.path, { ...options, config: { seed: 42 } });
    for (const event of [start(0), log(1), evaluate, end]) await board.event(event);
  }
  const [entries] = await filesOf(folder.path);
  assert.deepEqual(entries, [
    { step: 0, version: "brain.Event:2", scalars: {}, texts: {} },
    { step: 0, session: true, scalars: {}, texts: {} },
    { step: 0, scalars: {}, texts: { "args/text_summary": ['    {\n      "seed": 42\n    }'] } },
    {
      step: 1,
      scalars: {
        "train/loss": 1.5,
        "train/grad_norm": 2,
        "train/learning_rate": 0.5,
        "train/epoch": Math.fround(0.2),
        "train/global_step": 1,
        "train/tokens_per_second": 1000,
        "train/memory_gib": 1.5,
      },
      texts: {},
    },
    {
      step: 2,
      scalars: {
        "eval/loss": 1.25,
        "eval/token_loss": 1.125,
        "eval/runtime": 0.5,
        "eval/samples_per_second": 8,
        "eval/steps_per_second": 4,
        "train/epoch": 0.25,
        "train/global_step": 2,
      },
      texts: {},
    },
    {
      step: 10,
      scalars: {
        "train/train_loss": 1.75,
        "train/train_runtime": 8,
        "train/train_samples_per_second": 5,
        "train/train_steps_per_second": 1.25,
      },
      texts: {},
    },
  ]);
});

Deno.test("createTensorboardLog() lists samples as texts", async () => {
  await using folder = await tempFolder();
  {
    await using board = createTensorboardLog(folder.path, options);
    await board.samples(4, [
      { question: "头痛？", think: "想", answer: "休息\ud800" },
      { question: "b", answer: "c" },
    ]);
  }
  const [entries] = await filesOf(folder.path);
  assert.deepEqual(entries.at(-1), {
    step: 4,
    scalars: {},
    texts: {
      Prediction: [
        "Question: 头痛？\n\nLLM:<think>\n想\n</think>\n\n休息\ufffd",
        "Question: b\n\nLLM:c",
      ],
    },
  });
});

Deno.test("createTensorboardLog() begins a file at each start, so that resumed steps replace old ones", async () => {
  await using folder = await tempFolder();
  for (const resumedStep of [0, 4]) {
    await using board = createTensorboardLog(folder.path, options);
    await board.event(start(resumedStep));
    await board.event(log(5));
  }
  const files = await filesOf(folder.path);
  assert.deepEqual(files.map((entries) => entries[1].step), [0, 5]);
});

Deno.test("createTensorboardLog() begins at 0 where no start is told", async () => {
  await using folder = await tempFolder();
  {
    await using board = createTensorboardLog(`${folder.path}/events`, options);
    await board.event(log(5));
    await using other = createTensorboardLog(`${folder.path}/samples`, options);
    await other.samples(5, [{ question: "?", answer: "!" }]);
  }
  for (const name of ["events", "samples"]) {
    const [entries] = await filesOf(`${folder.path}/${name}`);
    assert.deepEqual(entries.map(({ step }) => step), [0, 0, 5], name);
    assert.ok(entries[1].session);
  }
});

Deno.test("createTensorboardLog() writes NaN, infinities and numbers beyond float's range", async () => {
  await using folder = await tempFolder();
  {
    await using board = createTensorboardLog(folder.path, options);
    for (const loss of [NaN, Infinity, -Infinity, 1e300]) await board.event(log(1, loss));
  }
  const [entries] = await filesOf(folder.path);
  assert.deepEqual(
    entries.slice(2).map(({ scalars }) => scalars["train/loss"]),
    [NaN, Infinity, -Infinity, Infinity],
  );
});

Deno.test("createTensorboardLog() touches nothing before the first event, and refuses events once closed", async () => {
  await using folder = await tempFolder();
  const board = createTensorboardLog(`${folder.path}/board`, options);
  await board[Symbol.asyncDispose]();
  assert.deepEqual(await readdir(folder.path), []);
  await assert.rejects(async () => await board.event(log(1)), /Cannot log log to .* closed/);
});

Deno.test({
  name: "createTensorboardLog() needs no permissions but to read and write its folder",
  permissions: { read: true, write: true },
  async fn() {
    const path = await Deno.makeTempDir();
    {
      await using board = createTensorboardLog(path);
      await board.event(start(0));
      await board.event(log(1));
    }
    await Deno.remove(path, { recursive: true });
  },
});

Deno.test("createTensorboardLog() writes texts as tensors of the text plugin", async () => {
  await using folder = await tempFolder();
  {
    await using board = createTensorboardLog(folder.path, options);
    await board.samples(4, [{ question: "a", answer: "b" }, { question: "c", answer: "d" }]);
  }
  const [name] = await readdir(folder.path);
  const bytes = await readFile(`${folder.path}/${name}`);
  // The third record: version and session come first.
  const starts = [0];
  for (let at = 0; at < bytes.length; starts.push(at)) {
    at += 16 + Number(bytes.readBigUInt64LE(at));
  }
  assert.equal(starts.length, 4);
  const shape = { 5: { 1: { 8: { 2: { 2: {} } }, 9: { 1: {} } } } };
  const tensor = [
    ...[[1, 7], [2, [[2, [[1, 2]]]]]],
    ...[[8, "Question: a\n\nLLM:b"], [8, "Question: c\n\nLLM:d"]],
  ];
  assert.deepEqual(readMessage(bytes.subarray(starts[2] + 12, starts[3] - 4), shape), [
    [1, 1_700_000_000.5],
    [2, 4],
    [5, [[1, [[1, "Prediction"], [8, tensor], [9, [[1, [[1, "text"]]]]]]]]],
  ]);
});

Deno.test("createTensorboardLog() names files by its machine and process, and those of one second by numbers", async () => {
  await using folder = await tempFolder();
  await folder.write("other", "");
  await folder.write("events.out.tfevents.170000000.host.7.0", "");
  const event = log(1);
  const made = async (more: Parameters<typeof createTensorboardLog>[1]): Promise<string[]> => {
    const before = await readdir(folder.path);
    await using board = createTensorboardLog(folder.path, more);
    await board.event(event);
    return (await readdir(folder.path)).filter((name) => !before.includes(name));
  };
  const name = (seconds: number, of: string): string => `events.out.tfevents.${seconds}.${of}`;
  assert.deepEqual(await made({ clock, hostname: "my host/é.x-1", pid: 8 }), [
    name(1_700_000_000, "my_host__.x-1.8.0"),
  ]);
  assert.deepEqual(await made({ clock }), [name(1_700_000_001, `ortune.${Deno.pid}.0`)]);
  assert.deepEqual(await made(options), [name(1_700_000_002, "host.7.0")]);
  const before = Math.floor(Date.now() / 1000);
  const [now] = await made({ pid: 9 });
  const seconds = Number(now.split(".")[3]);
  assert.ok(seconds >= before && seconds <= Date.now() / 1000, now);
  // No second comes after the last of ten digits.
  const last = { ...options, clock: () => 9_999_999_999_000 };
  assert.deepEqual(await made(last), [name(9_999_999_999, "host.7.0")]);
  assert.deepEqual(await made(last), [name(9_999_999_999, "host.7.1")]);
  for (let n = 2; n < 999; n++) await folder.write(name(9_999_999_999, `host.7.${n}`), "");
  assert.deepEqual(await made(last), [name(9_999_999_999, "host.7.999")]);
  await assert.rejects(made(last), {
    message: `Cannot log to ${folder.path}: it holds 1000 event files of this second; ` +
      "give another folder, or remove them",
  });
});

Deno.test("createTensorboardLog() begins another file where a run starts again, its settings at the step before", async () => {
  await using folder = await tempFolder();
  {
    await using board = createTensorboardLog(folder.path, { ...options, config: { a: 1 } });
    for (const event of [start(0), log(1), start(1), log(2)]) await board.event(event);
  }
  assert.deepEqual((await readdir(folder.path)).sort(), [
    "events.out.tfevents.1700000000.host.7.0",
    "events.out.tfevents.1700000001.host.7.0",
  ]);
  const files = await filesOf(folder.path);
  assert.deepEqual(files.map((entries) => entries.map(({ step }) => step)), [
    [0, 0, 0, 1],
    [0, 2, 1, 2],
  ]);
  assert.ok(files.every(([, session]) => session.session));
});

Deno.test("createTensorboardLog() touches nothing for what has no figures, and names what it refuses", async () => {
  await using folder = await tempFolder();
  const directory = `${folder.path}/board`;
  const board = createTensorboardLog(directory, options);
  await board.event({ type: "micro-step", step: 1, micro: 1, microSteps: 2 });
  await board.event(end);
  await board.samples(1, []);
  assert.deepEqual(await readdir(folder.path), []);
  await board[Symbol.asyncDispose]();
  const closed = (what: string) =>
    `Cannot log ${what} to ${directory}: the log is closed; make a new tracker for a new run`;
  await assert.rejects(async () => await board.event(log(1)), { message: closed("log") });
  await assert.rejects(async () => await board.samples(1, []), { message: closed("samples") });
});
