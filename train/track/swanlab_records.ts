/**
 * The records of SwanLab's run files, as protobuf.
 *
 * In: what happened. Out: the bytes of one `Record`; field numbers are those of SwanLab 0.8 to 0.10
 * (swanlab/proto in its Python package).
 */

import { BinaryReader, type BinaryWriter } from "@bufbuild/protobuf/wire";
import { doubleField, encodeMessage, integerField, messageField, textField } from "./protobuf.ts";

/** A file that the run file points at: its name, type and record number. */
export const SAVED_FILES = {
  "config.yaml": { name: "config", type: 1, num: -3 },
  "swanlab-metadata.json": { name: "metadata", type: 2, num: -4 },
  "requirements.txt": { name: "requirements", type: 3, num: -5 },
  "conda.yaml": { name: "conda", type: 4, num: -6 },
} as const;

/** The name of such a file. */
export type SavedFile = keyof typeof SAVED_FILES;

/** How a run ended. */
export type RunState = "finished" | "crashed" | "aborted";

/** A text of a list. */
export interface TextItem {
  readonly filename: string;
  readonly sha256: string;
  readonly size: number;
}

/** What a record holds. */
export type SwanlabRecord =
  | {
    readonly type: "start";
    readonly project: string;
    readonly name: string;
    readonly id: string;
    readonly resumed: boolean;
  }
  | { readonly type: "finish"; readonly state: RunState; readonly error?: string }
  | { readonly type: "column"; readonly key: string; readonly kind: "scalar" | "text" }
  | {
    readonly type: "scalar";
    readonly key: string;
    readonly step: number;
    readonly value: number;
  }
  | {
    readonly type: "text";
    readonly key: string;
    readonly step: number;
    readonly items: readonly TextItem[];
  }
  | { readonly type: "log"; readonly line: string; readonly epoch: number }
  | { readonly type: "save"; readonly file: SavedFile; readonly path: string };

const FIELDS = {
  start: 10,
  finish: 11,
  column: 12,
  scalar: 13,
  text: 14,
  log: 16,
  save: 20,
} as const;
const STATES: Readonly<Record<RunState, number>> = { finished: 1, crashed: 2, aborted: 3 };
const KINDS = { scalar: 1, text: 4 } as const;
const CUSTOM = 1;
const PUBLIC = 3;
const RESUME_ALLOW = 1;

/** A record's bytes; `num` counts records other than start, finish and saved files. */
export function encodeRecord(
  record: SwanlabRecord,
  { num, milliseconds }: { readonly num: number; readonly milliseconds: number },
): Uint8Array {
  const time = (writer: BinaryWriter, field: number): void =>
    messageField(writer, field, (timestamp) => {
      const seconds = Math.floor(milliseconds / 1000);
      integerField(timestamp, 1, seconds);
      integerField(timestamp, 2, Math.round((milliseconds - seconds * 1000) * 1e6));
    });
  return encodeMessage((writer) => {
    integerField(writer, 1, numberOf(record, num));
    time(writer, 2);
    messageField(writer, FIELDS[record.type], (body) => writeBody(body, record, time));
  });
}

function numberOf(record: SwanlabRecord, num: number): number {
  if (record.type === "start") return -1;
  if (record.type === "finish") return -2;
  return record.type === "save" ? SAVED_FILES[record.file].num : num;
}

function writeBody(
  body: BinaryWriter,
  record: SwanlabRecord,
  time: (writer: BinaryWriter, field: number) => void,
): void {
  switch (record.type) {
    case "start":
      textField(body, 1, record.project);
      textField(body, 4, record.name);
      textField(body, 10, record.id);
      if (record.resumed) integerField(body, 11, RESUME_ALLOW);
      time(body, 12);
      break;
    case "finish":
      integerField(body, 1, STATES[record.state]);
      if (record.error !== undefined) textField(body, 2, record.error);
      time(body, 3);
      break;
    case "column": {
      integerField(body, 1, CUSTOM);
      integerField(body, 2, KINDS[record.kind]);
      textField(body, 3, record.key);
      const slash = record.key.indexOf("/");
      if (slash > 0) textField(body, 5, record.key.slice(0, slash));
      integerField(body, 6, PUBLIC);
      break;
    }
    case "scalar":
      textField(body, 1, record.key);
      integerField(body, 2, record.step);
      integerField(body, 3, KINDS.scalar);
      time(body, 4);
      messageField(body, 5, (value) => doubleField(value, 1, record.value));
      break;
    case "text":
      textField(body, 1, record.key);
      integerField(body, 2, record.step);
      integerField(body, 3, KINDS.text);
      time(body, 4);
      messageField(body, 5, (value) => {
        for (const item of record.items) {
          messageField(value, 1, (one) => {
            textField(one, 1, item.filename);
            textField(one, 2, item.sha256);
            integerField(one, 3, item.size);
          });
        }
      });
      break;
    case "log":
      textField(body, 1, record.line);
      time(body, 3);
      integerField(body, 4, record.epoch);
      break;
    case "save": {
      const { name, type } = SAVED_FILES[record.file];
      textField(body, 1, name);
      textField(body, 2, record.path);
      integerField(body, 5, type);
    }
  }
}

/** The epoch of a log record; `undefined` for other records. */
export function logEpoch(record: Uint8Array): number | undefined {
  const log = lastField(record, FIELDS.log);
  if (!(log instanceof Uint8Array)) return undefined;
  const epoch = lastField(log, 4);
  return typeof epoch === "number" ? epoch : undefined;
}

function lastField(message: Uint8Array, field: number): number | Uint8Array | undefined {
  const reader = new BinaryReader(message);
  let value: number | Uint8Array | undefined;
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag();
    if (number !== field) reader.skip(type);
    else value = type === 2 ? reader.bytes() : Number(reader.int64());
  }
  return value;
}
