/** Field numbers are those of record.proto and its like in SwanLab's Python package, swanlab/proto. */

import assert from "node:assert/strict";
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { type ReadField, readMessage } from "../../tests/support/protobuf_fields.ts";
import { encodeRecord, logEpoch, SAVED_FILES, type SwanlabRecord } from "./swanlab_records.ts";

const TIME = {};
const SHAPE = {
  2: TIME,
  10: { 12: TIME },
  11: { 3: TIME },
  12: {},
  13: { 4: TIME, 5: {} },
  14: { 4: TIME, 5: { 1: {} } },
  16: { 3: TIME },
  20: {},
};

/** A record's number and body, after a look at its time. */
function read(record: SwanlabRecord): [number: unknown, field: number, body: ReadField[]] {
  const bytes = encodeRecord(record, { num: 7, milliseconds: 12_999.25 });
  const [[one, number], [two, time], [field, body], ...more] = readMessage(bytes, SHAPE);
  assert.deepEqual([one, two, time, more], [1, 2, at, []]);
  return [number, field, body as ReadField[]];
}

const at = [[1, 12], [2, 999_250_000]];

Deno.test("encodeRecord() writes how a run starts and ends", () => {
  const start = { type: "start", project: "p", name: "n", id: "i" } as const;
  const named = [[1, "p"], [4, "n"], [10, "i"]];
  assert.deepEqual(read({ ...start, resumed: false }), [-1, 10, [...named, [12, at]]]);
  assert.deepEqual(read({ ...start, resumed: true }), [-1, 10, [...named, [11, 1], [12, at]]]);
  for (const [state, number] of [["finished", 1], ["crashed", 2], ["aborted", 3]] as const) {
    assert.deepEqual(read({ type: "finish", state }), [-2, 11, [[1, number], [3, at]]]);
  }
  const failed = read({ type: "finish", state: "crashed", error: "why" });
  assert.deepEqual(failed, [-2, 11, [[1, 2], [2, "why"], [3, at]]]);
});

Deno.test("encodeRecord() writes columns, of which those with a slash have a section", () => {
  for (
    const [key, kind, number, section] of [
      ["train/loss", "scalar", 1, "train"],
      ["a/b/c", "text", 4, "a"],
      ["b/", "scalar", 1, "b"],
      ["/c", "scalar", 1, undefined],
      ["Prediction", "text", 4, undefined],
    ] as const
  ) {
    const of = section === undefined ? [] : [[5, section]];
    const body = [[1, 1], [2, number], [3, key], ...of, [6, 3]];
    assert.deepEqual(read({ type: "column", key, kind }), [7, 12, body], key);
  }
});

Deno.test("encodeRecord() writes figures, texts and lines", () => {
  const scalar = read({ type: "scalar", key: "k", step: 5, value: 0.1 });
  assert.deepEqual(scalar, [7, 13, [[1, "k"], [2, 5], [3, 1], [4, at], [5, [[1, 0.1]]]]]);
  const items = [
    { filename: "f", sha256: "s", size: 3 },
    { filename: "g", sha256: "t", size: 4 },
  ];
  const listed = [[1, [[1, "f"], [2, "s"], [3, 3]]], [1, [[1, "g"], [2, "t"], [3, 4]]]];
  const text = read({ type: "text", key: "k", step: 6, items });
  assert.deepEqual(text, [7, 14, [[1, "k"], [2, 6], [3, 4], [4, at], [5, listed]]]);
  const line = read({ type: "log", line: "said", epoch: 8 });
  assert.deepEqual(line, [7, 16, [[1, "said"], [3, at], [4, 8]]]);
});

Deno.test("encodeRecord() writes what files are saved", () => {
  for (
    const [file, name, type, number] of [
      ["config.yaml", "config", 1, -3],
      ["swanlab-metadata.json", "metadata", 2, -4],
      ["requirements.txt", "requirements", 3, -5],
      ["conda.yaml", "conda", 4, -6],
    ] as const
  ) {
    const body = [[1, name], [2, "/p"], [5, type]];
    assert.deepEqual(read({ type: "save", file, path: "/p" }), [number, 20, body]);
  }
  assert.equal(Object.keys(SAVED_FILES).length, 4);
});

Deno.test("logEpoch() reads the number of a line, and none of other records", () => {
  const time = { num: 7, milliseconds: 1000 };
  const line = encodeRecord({ type: "log", line: "said", epoch: 300 }, time);
  assert.equal(logEpoch(line), 300);
  const other = encodeRecord({ type: "scalar", key: "k", step: 5, value: 1 }, time);
  assert.equal(logEpoch(other), undefined);
  /** A record whose log is written by hand. */
  const written = (write: (log: BinaryWriter) => unknown): Uint8Array => {
    const writer = new BinaryWriter().tag(1, 0).int64(7).tag(16, 2).fork();
    write(writer);
    return writer.join().finish();
  };
  assert.equal(logEpoch(written((log) => log.tag(1, 2).string("said"))), undefined);
  assert.equal(logEpoch(written((log) => log.tag(4, 2).string("five"))), undefined);
  assert.equal(logEpoch(written((log) => log.tag(4, 0).int64(5).tag(4, 0).int64(6))), 6);
  assert.equal(logEpoch(new BinaryWriter().tag(16, 0).int64(5).finish()), undefined);
});
