/**
 * The figures and samples of a run as TensorBoard event files.
 *
 * In: the events of a run. Out: `events.out.tfevents.*` in a folder, which `tensorboard --logdir`
 * and SwanLab's converter read.
 *
 * A file is a row of TFRecords: u64le length, u32le masked CRC-32C of those 8 bytes, the bytes of an
 * Event, u32le masked CRC-32C of them. Field numbers are those of
 * https://github.com/tensorflow/tensorflow/tree/master/tensorflow/core (util/event.proto and
 * framework/summary.proto).
 *
 * @module
 */

import type { BinaryWriter } from "@bufbuild/protobuf/wire";
import { type FileHandle, mkdir, open, readdir } from "node:fs/promises";
import { pid as ownPid } from "node:process";
import type { StartEvent, TrainEvent } from "../events.ts";
import { maskedCrc32c } from "./crc32c.ts";
import { createInOrder } from "./in_order.ts";
import {
  doubleField,
  encodeMessage,
  floatField,
  integerField,
  messageField,
  textField,
} from "./protobuf.ts";
import { formatSample, type Sample, SAMPLES_KEY } from "./sample.ts";
import { type Scalars, toScalars, toSummary, withPrefix } from "./scalars.ts";
import type { Tracker } from "./tracker.ts";

/** Says which program's rules an event file follows. */
const FILE_VERSION = "brain.Event:2";
const SESSION_START = 1;
const DT_STRING = 7;
/** Files of one process in one second: more are a mistake. */
const MAX_FILES_A_SECOND = 1000;

/** What a TensorBoard log depends on besides the run. */
export interface TensorboardLogOptions {
  /** Settings of the run, shown as the text `args`. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Milliseconds since 1970. @default Date.now */
  readonly clock?: () => number;
  /** Part of the file's name; the machine's own would need `--allow-sys`. @default "ortune" */
  readonly hostname?: string;
  /** Part of the file's name. @default the process's */
  readonly pid?: number;
}

/**
 * Makes a tracker that writes TensorBoard event files. Keys are those of transformers:
 * `train/loss`, `train/grad_norm`, `train/learning_rate`, `train/epoch`, `eval/loss`, … Samples are
 * the text `Prediction`.
 *
 * Nothing is touched before the first event. Each start of a run begins a file with a session mark,
 * at which TensorBoard drops what earlier files hold from that step on: a resumed run continues its
 * curves, a new one replaces them. TensorBoard reads files in the order of the seconds in their names,
 * so a new one is named by a later second than those there, whatever the clock says.
 *
 * Needs `--allow-read` and `--allow-write` for the folder.
 *
 * @param directory the folder of the files; made if missing.
 * @throws {Error} from {@linkcode Tracker.event}, if a file cannot be written.
 *
 * @example
 * ```ts
 * import { createTensorboardLog } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 * import { mkdtemp, readdir, rm } from "node:fs/promises";
 * import { tmpdir } from "node:os";
 *
 * const folder = await mkdtemp(`${tmpdir()}/ortune-`);
 * {
 *   await using log = createTensorboardLog(folder, { clock: () => 1_700_000_000_000, pid: 7 });
 *   await log.event({
 *     type: "log", step: 5, epoch: 0.5, loss: 1.25, gradNorm: 2, learningRate: 1e-4,
 *     tokensPerSecond: 1200,
 *   });
 * }
 * assert.deepEqual(await readdir(folder), ["events.out.tfevents.1700000000.ortune.7.0"]);
 * await rm(folder, { recursive: true });
 * ```
 */
export function createTensorboardLog(
  directory: string,
  options: TensorboardLogOptions = {},
): Tracker & Required<Pick<Tracker, "samples">> {
  const { config, clock = Date.now, hostname = "ortune", pid = ownPid } = options;
  const inOrder = createInOrder();
  let handle: FileHandle | undefined;
  let start: StartEvent | undefined;
  let closed = false;

  const append = async (write: (writer: BinaryWriter) => void, step: number): Promise<void> => {
    const event = encodeMessage((writer) => {
      doubleField(writer, 1, clock() / 1000);
      integerField(writer, 2, step);
      write(writer);
    });
    // One write a record, without a buffer: what is logged can be read while the run goes on.
    await handle!.appendFile(toRecord(event));
  };
  const begin = async (step: number): Promise<void> => {
    await handle?.close();
    handle = undefined;
    const now = Math.floor(clock() / 1000);
    handle = await createFile(directory, { now, hostname, pid });
    await append((writer) => textField(writer, 3, FILE_VERSION), 0);
    await append(
      (writer) => messageField(writer, 7, (session) => integerField(session, 1, SESSION_START)),
      step,
    );
  };
  const assertOpen = (what: string): void => {
    if (!closed) return;
    throw new Error(
      `Cannot log ${what} to ${directory}: the log is closed; make a new tracker for a new run`,
    );
  };
  const write = async (event: TrainEvent): Promise<void> => {
    assertOpen(event.type);
    if (event.type === "start") {
      start = event;
      await begin(event.resumedStep === 0 ? 0 : event.resumedStep + 1);
      if (config !== undefined) {
        const text = JSON.stringify(config, undefined, 2);
        // Four spaces make it code in TensorBoard's Markdown.
        const block = text.replace(/^/gm, "    ");
        // transformers' tag; the suffix is torch's.
        const tag = "args/text_summary";
        await append((writer) => textSummary(writer, tag, [block]), event.resumedStep);
      }
      return;
    }
    const scalars = event.type === "end" && start !== undefined
      ? withPrefix("train/", toSummary(event, start))
      : toScalars(event);
    if (Object.keys(scalars).length === 0) return;
    if (handle === undefined) await begin(0);
    await append((writer) => scalarSummary(writer, scalars), event.step);
  };

  return {
    event: (event: TrainEvent): Promise<void> => inOrder(() => write(event)),
    samples: (step: number, samples: readonly Sample[]): Promise<void> =>
      inOrder(async () => {
        assertOpen("samples");
        if (samples.length === 0) return;
        if (handle === undefined) await begin(0);
        const texts = samples.map(formatSample);
        await append((writer) => textSummary(writer, SAMPLES_KEY, texts), step);
      }),
    [Symbol.asyncDispose]: (): Promise<void> =>
      inOrder(async () => {
        closed = true;
        await handle?.close();
        handle = undefined;
      }),
  };
}

/** Opens a file that did not exist: two runs never share one. */
async function createFile(
  directory: string,
  { now, hostname, pid }: { now: number; hostname: string; pid: number },
): Promise<FileHandle> {
  await mkdir(directory, { recursive: true });
  const host = hostname.replace(/[^\w.-]/g, "_");
  const seconds = Math.max(now, await newestSecond(directory) + 1);
  for (let n = 0; n < MAX_FILES_A_SECOND; n++) {
    try {
      return await open(`${directory}/events.out.tfevents.${seconds}.${host}.${pid}.${n}`, "ax");
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
    }
  }
  throw new Error(
    `Cannot log to ${directory}: it holds ${MAX_FILES_A_SECOND} event files of this second; ` +
      "give another folder, or remove them",
  );
}

/** The latest second that names an event file, or 0; times of more digits are of no clock. */
async function newestSecond(directory: string): Promise<number> {
  let newest = 0;
  for (const name of await readdir(directory)) {
    const [, seconds] = /^events\.out\.tfevents\.(\d{10})\./.exec(name) ?? [];
    // The last one of ten digits has no later one.
    if (seconds !== undefined && seconds !== "9999999999") {
      newest = Math.max(newest, Number(seconds));
    }
  }
  return newest;
}

function toRecord(data: Uint8Array): Uint8Array {
  const record = new Uint8Array(data.length + 16);
  const view = new DataView(record.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, maskedCrc32c(record.subarray(0, 8)), true);
  record.set(data, 12);
  view.setUint32(12 + data.length, maskedCrc32c(data), true);
  return record;
}

function scalarSummary(writer: BinaryWriter, scalars: Scalars): void {
  messageField(writer, 5, (summary) => {
    for (const [key, value] of Object.entries(scalars)) {
      messageField(summary, 1, (entry) => {
        textField(entry, 1, key);
        floatField(entry, 2, value);
      });
    }
  });
}

/** A list of texts, as the text plugin of TensorBoard wants it. */
function textSummary(writer: BinaryWriter, tag: string, texts: readonly string[]): void {
  messageField(writer, 5, (summary) => {
    messageField(summary, 1, (entry) => {
      textField(entry, 1, tag);
      messageField(entry, 8, (tensor) => {
        integerField(tensor, 1, DT_STRING);
        messageField(tensor, 2, (shape) => {
          messageField(shape, 2, (dim) => integerField(dim, 1, texts.length));
        });
        for (const text of texts) textField(tensor, 8, text);
      });
      messageField(entry, 9, (metadata) => {
        messageField(metadata, 1, (plugin) => textField(plugin, 1, "text"));
      });
    });
  });
}
