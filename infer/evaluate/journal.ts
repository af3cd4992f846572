/**
 * A file that results are appended to one by one, so that a command that was interrupted goes on where it stopped.
 *
 * In: a path, and what the results depend on. Out: the results that are there, and a function that adds one.
 * The first line holds what they depend on; each other line is one result as JSON.
 */

import { open } from "node:fs/promises";
import { isRecord } from "../../internal/json/is_record.ts";
import { describeValue } from "../../internal/json/describe_value.ts";
import { isAbsent, readCapped } from "../../internal/regular_file.ts";

/** What results depend on: names and texts, numbers or truth values. */
export type JournalFacts = Readonly<Record<string, string | number | boolean | null>>;

/** A result with the row that it is of. */
export interface JournalEntry {
  readonly row: number;
  /** A hash of what the result was made of. */
  readonly key: string;
}

/** An open journal. */
export interface Journal<Entry extends JournalEntry> {
  /** What is there, by row: later results of a row are in place of earlier ones. */
  readonly entries: ReadonlyMap<number, Entry>;
  /** Appends a result; it is in the file when the promise is fulfilled. */
  readonly add: (entry: Entry) => Promise<void>;
}

/** How a journal is opened. */
export interface OpenJournalOptions<Entry extends JournalEntry> {
  /** What the results depend on. */
  readonly facts: JournalFacts;
  /** Makes a result of a line's JSON; answers `undefined` where it is none. */
  readonly parse: (value: Readonly<Record<string, unknown>>) => Entry | undefined;
  /** What of a result is written. @default {all of it} */
  readonly format?: (entry: Entry) => unknown;
}

const FORMAT = "ortune-eval-1";
/** Most bytes: over a hundred thousand long replies. */
const MAX_BYTES = 2 ** 30;
const NEWLINE = 10;

/**
 * Opens a journal, or begins one. A last line that was cut off, as by a power failure, is removed.
 *
 * @throws {Error} where it holds results that depend on other facts, or a line that is no result
 */
export async function openJournal<Entry extends JournalEntry>(
  path: string,
  { facts, parse, format = (entry) => entry }: OpenJournalOptions<Entry>,
): Promise<Journal<Entry>> {
  const bytes = await readCapped(path, { maxBytes: MAX_BYTES, remedy: "remove it to begin anew" })
    .catch((cause) => {
      if (isAbsent(cause)) return new Uint8Array();
      throw cause;
    });
  const whole = bytes.lastIndexOf(NEWLINE) + 1;
  const lines = new TextDecoder().decode(bytes.subarray(0, whole)).split("\n").slice(0, -1);
  const entries = new Map<number, Entry>();
  if (lines.length > 0) assertFacts(path, lines[0], facts);
  lines.slice(1).forEach((line, index) => {
    const entry = parseEntry(line, parse);
    if (entry === undefined) throw notKept(path, index + 2, line);
    entries.set(entry.row, entry);
  });
  const file = await open(path, "a");
  try {
    if (whole < bytes.length) await file.truncate(whole);
    if (lines.length === 0) await file.appendFile(jsonLine({ format: FORMAT, ...facts }));
  } finally {
    await file.close();
  }
  return {
    entries,
    async add(entry) {
      const appended = await open(path, "a");
      try {
        await appended.appendFile(jsonLine(format(entry)));
      } finally {
        await appended.close();
      }
      entries.set(entry.row, entry);
    },
  };
}

function jsonLine(value: unknown): string {
  return `${JSON.stringify(value)}\n`;
}

function parseEntry<Entry extends JournalEntry>(
  line: string,
  parse: OpenJournalOptions<Entry>["parse"],
): Entry | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return isRecord(value) ? parse(value) : undefined;
  } catch {
    return undefined;
  }
}

function notKept(path: string, line: number, text: string): Error {
  return new Error(
    `${path}:${line}: expected a result as deno task eval keeps it, got ${describeValue(text)}; ` +
      "remove the file to begin anew",
  );
}

/** Refuses results that were made otherwise. */
function assertFacts(path: string, line: string, facts: JournalFacts): void {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw notKept(path, 1, line);
  }
  if (!isRecord(value) || value.format !== FORMAT) throw notKept(path, 1, line);
  const names = new Set([...Object.keys(facts), ...Object.keys(value)]);
  names.delete("format");
  const different = [...names].filter((name) => value[name] !== facts[name]);
  if (different.length === 0) return;
  const list = different.map((name) =>
    `${name} ${JSON.stringify(value[name] ?? null)} in place of ${
      JSON.stringify(facts[name] ?? null)
    }`
  );
  throw new Error(
    `Cannot go on with ${path}: its results were made with ${list.join(", ")}; give another ` +
      "--output-dir, or remove the file to begin anew",
  );
}
