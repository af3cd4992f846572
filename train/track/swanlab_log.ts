/**
 * A run as SwanLab's files, for `swanlab sync`.
 *
 * In: the events of a run. Out: `run-<time>-<id>/` in a folder, with the run file, `files/` and
 * `media/text/`, as SwanLab 0.8 to 0.10 writes them offline. Nothing is sent anywhere:
 * `swanlab sync FOLDER` uploads a run when its user wants that.
 *
 * @module
 */

import { createHash, getRandomValues } from "node:crypto";
import { type FileHandle, mkdir, open, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { isAbsent } from "../../internal/regular_file.ts";
import type { EndEvent, StartEvent, TrainEvent } from "../events.ts";
import { createConsoleTracker } from "./console_tracker.ts";
import { createInOrder } from "./in_order.ts";
import { formatSample, type Sample, SAMPLES_KEY } from "./sample.ts";
import { type Scalars, toScalars, toSummary, withPrefix } from "./scalars.ts";
import { frameRecord, readFrames, SWANLAB_HEADER } from "./swanlab_frames.ts";
import {
  encodeRecord,
  logEpoch,
  type SavedFile,
  type SwanlabRecord,
  type TextItem,
} from "./swanlab_records.ts";
import type { Tracker } from "./tracker.ts";
import { toYaml } from "./yaml.ts";

/** What a SwanLab log depends on besides the run. */
export interface SwanlabLogOptions {
  /** The project that the run belongs to. @default "ortune" */
  readonly project?: string;
  /** What the run is called. @default the run's id */
  readonly name?: string;
  /** Settings of the run, shown beside its curves. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Versions by name: of ortune, Deno, ONNX Runtime. */
  readonly versions?: Readonly<Record<string, string>>;
  /** Milliseconds since 1970. @default Date.now */
  readonly clock?: () => number;
  /** Makes the id of a new run: letters, digits and `_`. @default 8 random letters and digits */
  readonly makeId?: () => string;
}

/** A run file beyond would not have come from one run's lines and figures. */
const MAX_RUN_FILE = 1024 ** 3;

/**
 * Makes a tracker that writes SwanLab's run files. Keys are those of transformers'
 * SwanLabCallback: `train/loss`, `eval/loss`, …, summaries under `single_value/`, progress lines
 * as the run's log; samples are the text list `Prediction`.
 *
 * Nothing is touched before the first event. Disposing ends the run: as finished after an `end`
 * event of a completed run, as aborted after that of an aborted one, as crashed without one. A
 * resumed run gets a new folder (a run file may end but once) with the id of the newest run in the
 * folder. `swanlab sync --id <id>` of both, in order, makes them one experiment, which keeps the
 * first value of a step that both have.
 *
 * Needs `--allow-read` and `--allow-write` for the folder.
 *
 * @param directory the folder of the run folders, such as `output/swanlog`; made if missing. Only
 * one run at a time may write to it.
 * @throws {Error} from {@linkcode Tracker.event}, if a file cannot be written.
 *
 * @example
 * ```ts
 * import { createSwanlabLog } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 * import { mkdtemp, readdir, rm } from "node:fs/promises";
 * import { tmpdir } from "node:os";
 *
 * const folder = await mkdtemp(`${tmpdir()}/ortune-`);
 * {
 *   await using log = createSwanlabLog(folder, { makeId: () => "abcd1234" });
 *   await log.event({ type: "skip", step: 3, loss: NaN, gradNorm: 1, consecutive: 1 });
 * }
 * const [run] = await readdir(folder);
 * assert.match(run, /^run-\d{8}_\d{6}-abcd1234$/);
 * assert.deepEqual((await readdir(`${folder}/${run}`)).sort(), [
 *   "files", "media", "run-abcd1234.swanlab",
 * ]);
 * await rm(folder, { recursive: true });
 * ```
 */
export function createSwanlabLog(
  directory: string,
  options: SwanlabLogOptions = {},
): Tracker & Required<Pick<Tracker, "samples">> {
  const { clock = Date.now } = options;
  const inOrder = createInOrder();
  let file: RunFile | undefined;
  let start: StartEvent | undefined;
  let end: EndEvent | undefined;
  let closed = false;
  let lines: string[] = [];
  // The lines that a log file of the run would have.
  const console = createConsoleTracker({
    write: (text) => lines.push(...text.split("\n").filter((line) => line !== "")),
    isTty: false,
    clock,
    date: () => new Date(clock()),
  });

  const begin = async (): Promise<RunFile> =>
    file ??= await RunFile.create(directory, { ...options, clock, start });
  const assertOpen = (what: string): void => {
    if (!closed) return;
    throw new Error(
      `Cannot log ${what} to ${directory}: the log is closed; make a new tracker for a new run`,
    );
  };
  const finish = async (): Promise<void> => {
    if (file === undefined) return;
    const ending = file;
    file = undefined;
    await ending.finish(end);
    end = undefined;
  };
  const write = async (event: TrainEvent): Promise<void> => {
    assertOpen(event.type);
    if (event.type === "start") {
      await finish();
      start = event;
    }
    if (event.type === "end") end = event;
    lines = [];
    await console.event(event);
    const scalars = event.type === "end" && start !== undefined
      ? withPrefix("single_value/", toSummary(event, start))
      : toScalars(event);
    if (event.type !== "start" && lines.length === 0) return;
    const run = await begin();
    for (const line of lines) await run.log(line);
    await run.scalars(event.type === "start" ? 0 : event.step, scalars);
  };

  return {
    event: (event: TrainEvent): Promise<void> => inOrder(() => write(event)),
    samples: (step: number, samples: readonly Sample[]): Promise<void> =>
      inOrder(async () => {
        assertOpen("samples");
        if (samples.length > 0) await (await begin()).texts(step, samples.map(formatSample));
      }),
    [Symbol.asyncDispose]: (): Promise<void> =>
      inOrder(async () => {
        closed = true;
        await finish();
      }),
  };
}

interface RunFileOptions extends SwanlabLogOptions {
  readonly clock: () => number;
  readonly start: StartEvent | undefined;
}

/** A run's folder, with its run file open. */
class RunFile {
  readonly #handle: FileHandle;
  readonly #folder: string;
  readonly #clock: () => number;
  readonly #lastSteps = new Map<string, number>();
  #size = 0;
  #records = 0;
  #epoch: number;

  private constructor(
    handle: FileHandle,
    { folder, clock, epoch }: { folder: string; clock: () => number; epoch: number },
  ) {
    this.#handle = handle;
    this.#folder = folder;
    this.#clock = clock;
    this.#epoch = epoch;
  }

  static async create(directory: string, options: RunFileOptions): Promise<RunFile> {
    const { project = "ortune", config = {}, versions = {}, clock, start } = options;
    const earlier = start !== undefined && start.resumedStep > 0
      ? await newestRun(directory)
      : undefined;
    const id = earlier?.id ?? checkedId((options.makeId ?? randomId)());
    const folder = await createFolder(directory, { id, milliseconds: clock() });
    await mkdir(`${folder}/files`);
    await mkdir(`${folder}/media/text`, { recursive: true });
    const texts: Readonly<Record<SavedFile, string>> = {
      "config.yaml": toConfig({ ...config, ...(start && facts(start)) }),
      "swanlab-metadata.json": JSON.stringify({ _version: 2, versions }),
      "requirements.txt":
        Object.entries(versions).map(([name, version]) => `# ${oneLine(`${name} ${version}`)}\n`)
          .join("") || "# no Python\n",
      "conda.yaml": "name: ortune\ndependencies: []\n",
    };
    for (const [name, text] of Object.entries(texts)) {
      await writeFile(`${folder}/files/${name}`, text);
    }
    const handle = await open(`${folder}/run-${id}.swanlab`, "ax");
    // Of a run that did not finish, `swanlab sync` uses the next number for a line of its own.
    const epoch = earlier === undefined ? 0 : earlier.epoch + 1;
    const run = new RunFile(handle, { folder, clock, epoch });
    try {
      await handle.appendFile(SWANLAB_HEADER);
      run.#size = SWANLAB_HEADER.length;
      const resumed = earlier !== undefined;
      await run.#append({ type: "start", project, name: options.name ?? id, id, resumed });
      for (const file of Object.keys(texts) as SavedFile[]) {
        await run.#append({ type: "save", file, path: `${folder}/files/${file}` });
      }
    } catch (error) {
      await handle.close();
      throw error;
    }
    return run;
  }

  async log(line: string): Promise<void> {
    await this.#append({ type: "log", line, epoch: ++this.#epoch });
  }

  /** SwanLab keeps the first value of a key's step; those that it would drop are not written. */
  async scalars(step: number, scalars: Scalars): Promise<void> {
    for (const [key, value] of Object.entries(scalars)) {
      if ((this.#lastSteps.get(key) ?? -1) >= step) continue;
      await this.#column(key, "scalar");
      await this.#append({ type: "scalar", key, step, value });
      this.#lastSteps.set(key, step);
    }
  }

  /** A list of texts; a second list of a step goes to the next, as SwanLab keeps one a step. */
  async texts(step: number, texts: readonly string[]): Promise<void> {
    const at = Math.max(step, (this.#lastSteps.get(SAMPLES_KEY) ?? -1) + 1);
    const items: TextItem[] = [];
    for (const text of texts) {
      const bytes = new TextEncoder().encode(text);
      const sha256 = createHash("sha256").update(bytes).digest("hex");
      const filename = `${String(at).padStart(3, "0")}-${sha256.slice(0, 8)}.txt`;
      await writeFile(`${this.#folder}/media/text/${filename}`, bytes);
      items.push({ filename, sha256, size: bytes.length });
    }
    await this.#column(SAMPLES_KEY, "text");
    await this.#append({ type: "text", key: SAMPLES_KEY, step: at, items });
    this.#lastSteps.set(SAMPLES_KEY, at);
  }

  /** Ends the run and closes its file. */
  async finish(end: EndEvent | undefined): Promise<void> {
    try {
      if (end && end.reason !== "aborted") {
        await this.#append({ type: "finish", state: "finished" });
      } else if (end) {
        const error = `aborted at step ${end.step}; it can be resumed from its last checkpoint`;
        await this.#append({ type: "finish", state: "aborted", error });
      } else {
        const error = "the run ended without its last event";
        await this.#append({ type: "finish", state: "crashed", error });
      }
    } finally {
      await this.#handle.close();
    }
  }

  async #column(key: string, kind: "scalar" | "text"): Promise<void> {
    if (!this.#lastSteps.has(key)) await this.#append({ type: "column", key, kind });
  }

  async #append(record: SwanlabRecord): Promise<void> {
    const counted = !["start", "finish", "save"].includes(record.type);
    const num = counted ? ++this.#records : 0;
    const bytes = frameRecord(
      encodeRecord(record, { num, milliseconds: this.#clock() }),
      this.#size,
    );
    // One write a record, without a buffer: what is logged can be read while the run goes on.
    await this.#handle.appendFile(bytes);
    this.#size += bytes.length;
  }
}

/** The newest run of a folder: its id, and the number of its last line. */
async function newestRun(
  directory: string,
): Promise<{ readonly id: string; readonly epoch: number } | undefined> {
  const newest = (await runFolders(directory)).at(-1);
  if (newest === undefined) return undefined;
  const id = RUN_FOLDER.exec(newest)![1];
  const path = `${directory}/${newest}/run-${id}.swanlab`;
  let size: number;
  try {
    ({ size } = await stat(path));
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
  if (size > MAX_RUN_FILE) {
    throw new RangeError(
      `Cannot resume ${path}: ${size} bytes exceed ${MAX_RUN_FILE}; move its folder away`,
    );
  }
  let epoch = 0;
  for (const record of readFrames(await readFile(path))) epoch = logEpoch(record) ?? epoch;
  return { id, epoch };
}

/** Its time keeps the newest last. */
const RUN_FOLDER = /^run-\d{8}_\d{6}-(\w+)$/;
/** Characters of `run-YYYYMMDD_HHMMSS`. */
const RUN_STAMP = 19;

async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (isAbsent(error)) return [];
    throw error;
  }
}

/**
 * A new folder, named by the first second from now that is later than the newest run's: a clock that
 * was set back, also at the end of summer time, leaves runs in their order.
 */
async function createFolder(
  directory: string,
  { id, milliseconds }: { readonly id: string; readonly milliseconds: number },
): Promise<string> {
  await mkdir(directory, { recursive: true });
  const newest = (await runFolders(directory)).at(-1)?.slice(0, RUN_STAMP) ?? "";
  let time = Math.max(milliseconds, (timeOf(newest) ?? 0) + 1000);
  // In an hour that comes twice, the time after a name may have an earlier one.
  while (`run-${stamp(new Date(time))}` <= newest) time += 1000;
  for (;; time += 1000) {
    const folder = `${directory}/run-${stamp(new Date(time))}-${id}`;
    try {
      await mkdir(folder);
      return folder;
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
    }
  }
}

/** Folders of runs, the newest last. */
async function runFolders(directory: string): Promise<string[]> {
  const names = (await namesIn(directory)).filter((name) => RUN_FOLDER.test(name));
  return names.filter((name) => timeOf(name) !== undefined).sort();
}

/** The time in a folder's name; `undefined` where its digits are none, or of the last year there is. */
function timeOf(name: string): number | undefined {
  const digits = /^run-(\d{4})(\d\d)(\d\d)_(\d\d)(\d\d)(\d\d)/.exec(name)?.slice(1).map(Number);
  if (digits === undefined) return undefined;
  const [year, month, ...rest] = digits;
  const date = new Date(year, month - 1, ...rest as [number, number, number, number]);
  return year < 9999 && name.startsWith(`run-${stamp(date)}`) ? date.getTime() : undefined;
}

/** Local time, as SwanLab names its folders: YYYYMMDD_HHMMSS. */
function stamp(date: Date): string {
  const two = (value: number): string => String(value).padStart(2, "0");
  return `${date.getFullYear()}${two(date.getMonth() + 1)}${two(date.getDate())}_` +
    `${two(date.getHours())}${two(date.getMinutes())}${two(date.getSeconds())}`;
}

function randomId(): string {
  const letters = "abcdefghijklmnopqrstuvwxyz0123456789";
  // 36 of 256 values: the slight unevenness does not matter to a name.
  return Array.from(getRandomValues(new Uint8Array(8)), (byte) => letters[byte % 36]).join("");
}

function checkedId(id: string): string {
  if (/^\w{1,64}$/.test(id)) return id;
  throw new RangeError(
    `Cannot name a run ${JSON.stringify(id)}: an id has 1 to 64 letters, digits and _; give such`,
  );
}

function facts(start: StartEvent): Readonly<Record<string, unknown>> {
  return {
    method: start.method,
    total_steps: start.totalSteps,
    examples: start.examples,
    eval_examples: start.evalExamples,
    trainable_parameters: start.trainableParameters,
    resumed_step: start.resumedStep,
  };
}

function toConfig(values: Readonly<Record<string, unknown>>): string {
  return Object.entries(values).filter(([, value]) => value !== undefined).map(
    ([key, value], sort) =>
      `${toYaml(key)}:\n  desc: ''\n  sort: ${sort}\n  value: ${toYaml(value)}\n`,
  ).join("") || "{}\n";
}

function oneLine(text: string): string {
  return text.replace(/\s+/g, " ");
}
