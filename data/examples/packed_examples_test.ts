import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import type { LocatedExample } from "./encode_rows.ts";
import { joinExample } from "./join_example.ts";
import {
  bytesOf,
  ExamplePacker,
  PackedExamples,
  TokenMemory,
  type TokenSink,
} from "./packed_examples.ts";
import { type ExampleRow, rowsOf, SelectedExamples } from "./selected_examples.ts";

/** An example of tokens 10·k, 10·k + 1 …, of which the first `prompt` are not supervised. */
function located(
  k: number,
  { length, prompt, line, ...more }:
    & { length: number; prompt: number; line: number }
    & Partial<LocatedExample>,
): LocatedExample {
  const ids = Int32Array.from({ length }, (_, i) => 10 * k + i);
  const options = { maxLength: 99, terminated: true };
  const joined = joinExample(ids.subarray(0, prompt), ids.subarray(prompt), options);
  return { ...joined, source: { file: "rows", line }, ...more };
}

/** Examples packed into memory. */
function pack(examples: readonly LocatedExample[], unit?: "row" | "line"): PackedExamples {
  const tokens = new TokenMemory();
  const packer = new ExamplePacker(tokens);
  for (const example of examples) packer.add(example);
  return new PackedExamples({ ...packer.finish(), tokens, file: "rows", unit });
}

const EXAMPLES = [
  located(1, { length: 3, prompt: 1, line: 2 }),
  located(2, { length: 5, prompt: 5, line: 2, terminated: false, truncatedTokens: 7 }),
  located(3, { length: 1, prompt: 0, line: 4, truncatedTokens: 1 }),
  located(4, { length: 0, prompt: 0, line: 9, terminated: false }),
  located(5, { length: 2, prompt: 1, line: 9 }),
];

Deno.test("ExamplePacker hands ids on and keeps columns of numbers and a hash of ids and labels", () => {
  const appended: number[][] = [];
  const sink: TokenSink = { append: (ids) => void appended.push([...ids]) };
  const packer = new ExamplePacker(sink);
  for (const example of EXAMPLES) packer.add(example);
  assert.deepEqual(appended, EXAMPLES.map(({ inputIds }) => [...inputIds]));
  const hash = createHash("sha256");
  for (const { inputIds, labels } of EXAMPLES) {
    hash.update(new Uint8Array(inputIds.buffer)).update(new Uint8Array(labels.buffer));
  }
  assert.deepEqual(packer.finish(), {
    lengths: Int32Array.of(3, 5, 1, 0, 2),
    supervised: Int32Array.of(2, 0, 1, 0, 1),
    endings: Int32Array.of(1, 14, 3, 0, 1),
    lines: Int32Array.of(2, 2, 4, 9, 9),
    sha256: hash.digest("hex"),
  });
});

Deno.test("ExamplePacker refuses labels that prompt and reply do not tell", () => {
  const [example] = EXAMPLES;
  const packer = new ExamplePacker({ append: () => assert.fail("it was packed") });
  const labels = [
    [-100, 11],
    [-100, 11, 12, 13],
    [10, 11, 12],
    [-100, -100, 12],
    [-100, 11, 13],
  ];
  for (const given of labels) {
    assert.throws(() => packer.add({ ...example, labels: Int32Array.from(given) }), {
      name: "TypeError",
      message:
        "Cannot pack an example: its labels are not those of a prompt of 1 tokens and a reply of 2; use readExamples",
    });
  }
  assert.equal(packer.finish().lengths.length, 0);
});

Deno.test("PackedExamples gives each example back, and none that is not there", () => {
  for (const unit of [undefined, "line", "row"] as const) {
    using packed = pack(EXAMPLES, unit);
    assert.equal(packed.length, 5);
    assert.deepEqual([...packed.lengths], [3, 5, 1, 0, 2]);
    assert.deepEqual([...packed.supervised], [2, 0, 1, 0, 1]);
    assert.deepEqual([...packed.lines], [2, 2, 4, 9, 9]);
    for (const index of [4, 0, 3, 1, 2]) {
      const { source, ...example } = EXAMPLES[index];
      const expected = { ...source, ...unit === "row" ? { unit } : {} };
      assert.deepEqual(packed.at(index), { ...example, source: expected });
    }
    for (const index of [-1, 5, 0.5]) {
      assert.throws(() => packed.at(index), {
        name: "RangeError",
        message: `Cannot read example ${index}: there are 5, counted from 0`,
      });
    }
  }
});

Deno.test("PackedExamples reads where its tokens lie, and frees the storage once", () => {
  const reads: unknown[] = [];
  let freed = 0;
  const tokens = {
    read(offset: number, into: Int32Array): void {
      reads.push([offset, into.length]);
      into.fill(8);
    },
    [Symbol.dispose]: () => void freed++,
  };
  const column = (...numbers: number[]) => Int32Array.from(numbers);
  {
    using packed = new PackedExamples({
      lengths: column(2 ** 31 - 1, 2 ** 31 - 1, 3, 1),
      supervised: column(0, 0, 1, 1),
      endings: column(0, 0, 6, 1),
      lines: column(1, 2, 3, 4),
      ...{ tokens, file: "f", sha256: "s" },
    });
    assert.equal(packed.sha256, "s");
    assert.deepEqual(packed.at(2), {
      inputIds: column(8, 8, 8),
      labels: column(-100, -100, 8),
      ...{ promptLength: 2, truncatedTokens: 3, supervised: 1, terminated: false },
      source: { file: "f", line: 3 },
    });
    packed.at(3);
    assert.deepEqual(reads, [[2 ** 32 - 2, 3], [2 ** 32 + 1, 1]]);
    assert.equal(freed, 0);
  }
  assert.equal(freed, 1);
});

Deno.test("more examples than columns begin with are kept in order", () => {
  const many = Array.from(
    { length: 700 },
    (_, k) => located(k, { length: 1 + k % 2, prompt: 1, line: k + 1, truncatedTokens: k }),
  );
  using packed = pack(many);
  assert.deepEqual([...packed.lines], many.map((_, k) => k + 1));
  assert.deepEqual([...packed.lengths], many.map((_, k) => 1 + k % 2));
  assert.deepEqual(packed.at(699), many[699]);
});

Deno.test("TokenMemory gives runs of tokens back across its pieces, and lets go of them", () => {
  const piece = 1 << 20;
  const memory = new TokenMemory();
  const all = new Int32Array(2 * piece + 5);
  for (let i = 0; i < all.length; i++) all[i] = i;
  // What is appended may change afterwards.
  const buffer = new Int32Array(piece + 1);
  for (
    const [from, to] of [[0, 3], [3, 3], [3, piece - 1], [piece - 1, 2 * piece], [
      2 * piece,
      all.length,
    ]]
  ) {
    const part = buffer.subarray(0, to - from);
    part.set(all.subarray(from, to));
    memory.append(part);
    part.fill(-1);
  }
  for (
    const [offset, length] of [[0, 4], [piece - 2, 4], [piece - 1, piece + 3], [2 * piece, 5], [
      7,
      0,
    ]]
  ) {
    const into = new Int32Array(length);
    memory.read(offset, into);
    assert.equal(
      Buffer.compare(bytesOf(into), bytesOf(all.subarray(offset, offset + length))),
      0,
      `${offset}`,
    );
  }
  memory[Symbol.dispose]();
  assert.throws(() => memory.read(0, new Int32Array(1)), TypeError);
});

Deno.test("bytesOf() shows an array's own bytes alone", () => {
  const numbers = Int32Array.of(1, 258, 3).subarray(1, 2);
  assert.deepEqual([...bytesOf(numbers)], [2, 1, 0, 0]);
});

Deno.test("rowsOf() puts the examples of a line together, and SelectedExamples reads chosen ones", () => {
  using first = pack(EXAMPLES);
  const rows: ExampleRow[] = [
    { part: 3, start: 0, end: 2 },
    { part: 3, start: 2, end: 3 },
    { part: 3, start: 3, end: 5 },
  ];
  assert.deepEqual(rowsOf(first, 3), rows);
  using none = pack([]);
  assert.deepEqual(rowsOf(none, 0), []);
  using second = pack([
    located(7, { length: 4, prompt: 2, line: 1 }),
    located(8, { length: 6, prompt: 1, line: 1 }),
  ]);
  const chosen: ExampleRow[] = [
    { part: 1, start: 1, end: 2 },
    { part: 0, start: 0, end: 2 },
    { part: 1, start: 0, end: 2 },
  ];
  const parts = [first, second];
  const selected = new SelectedExamples(parts, chosen);
  const places = [[1, 1], [0, 0], [0, 1], [1, 0], [1, 1]];
  assert.equal(selected.length, 5);
  assert.deepEqual([...selected.lengths], [6, 3, 5, 4, 6]);
  assert.deepEqual([...selected.supervised], [5, 2, 0, 2, 5]);
  for (const [index, [part, at]] of places.entries()) {
    assert.deepEqual(selected.at(index), parts[part].at(at));
  }
  for (const index of [-1, 5, 1.5]) {
    assert.throws(() => selected.at(index), {
      name: "RangeError",
      message: `Cannot read example ${index}: there are 5, counted from 0`,
    });
  }
  const column = (index: 0 | 1) => bytesOf(Int32Array.from(places, (place) => place[index]));
  assert.equal(
    selected.sha256,
    createHash("sha256").update(`${first.sha256},${second.sha256}`).update(column(0))
      .update(column(1)).digest("hex"),
  );
});
