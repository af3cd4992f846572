import assert from "node:assert/strict";
import { type Batch, collate, packExamples } from "./collator.ts";
import type { Example } from "../examples/example.ts";
import { joinExample } from "../examples/join_example.ts";

const padId = 9;

/** An example of tokens 100·k, 100·k + 1 …, of which the first `prompt` are not supervised. */
function example(k: number, prompt: number, length: number): Example {
  const ids = Int32Array.from({ length }, (_, index) => 100 * k + index);
  return joinExample(ids.subarray(0, prompt), ids.subarray(prompt), {
    maxLength: 4096,
    terminated: true,
  });
}

/** What each example computes: its tokens with their positions and targets, whatever the layout. */
function contents(batch: Batch): string[][] {
  const examples: string[][] = Array.from({ length: batch.examples }, () => []);
  batch.segmentIds.forEach((segment, at) => {
    if (segment === 0) return;
    examples[segment - 1].push(
      `${batch.inputIds[at]} at ${batch.positionIds[at]} → ${batch.targets[at]}`,
    );
  });
  return examples;
}

const plain = (batch: Batch): Record<string, unknown> => ({
  ...batch,
  inputIds: [...batch.inputIds].map(Number),
  positionIds: [...batch.positionIds].map(Number),
  segmentIds: [...batch.segmentIds],
  targets: [...batch.targets],
});

Deno.test("collate() pads at the right and shifts labels inside each row", () => {
  assert.deepEqual(plain(collate([example(1, 2, 4), example(2, 1, 2)], { padId })), {
    rows: 2,
    length: 4,
    inputIds: [100, 101, 102, 103, 200, 201, 9, 9],
    positionIds: [0, 1, 2, 3, 0, 1, 0, 0],
    segmentIds: [1, 1, 1, 1, 2, 2, 0, 0],
    targets: [-100, 102, 103, -100, 201, -100, -100, -100],
    examples: 2,
    tokens: 6,
    supervised: 3,
  });
});

Deno.test("packExamples() puts examples in a row, positions and targets kept apart", () => {
  const examples = [example(1, 2, 4), example(2, 1, 2), example(3, 1, 3)];
  assert.deepEqual(plain(packExamples(examples, { maxLength: 7, padId })), {
    rows: 2,
    length: 6,
    inputIds: [100, 101, 102, 103, 200, 201, 300, 301, 302, 9, 9, 9],
    positionIds: [0, 1, 2, 3, 0, 1, 0, 1, 2, 0, 0, 0],
    segmentIds: [1, 1, 1, 1, 2, 2, 3, 3, 3, 0, 0, 0],
    targets: [-100, 102, 103, -100, 201, -100, 301, 302, -100, -100, -100, -100],
    examples: 3,
    tokens: 9,
    supervised: 5,
  });
});

Deno.test("packExamples() and collate() carry the same tokens, positions and targets of each example", () => {
  const examples = Array.from(
    { length: 60 },
    (_, k) => example(k + 1, 1 + k % 5, 6 + (k * 7919) % 50),
  );
  const padded = collate(examples, { padId });
  for (const maxLength of [55, 64, 200, 10_000]) {
    const packed = packExamples(examples, { maxLength, padId });
    assert.deepEqual(contents(packed), contents(padded));
    assert.ok(packed.length <= maxLength);
    assert.ok(packed.rows < padded.rows);
    assert.deepEqual([packed.tokens, packed.supervised], [padded.tokens, padded.supervised]);
    assert.equal(packed.targets.filter((target) => target >= 0).length, packed.supervised);
    assert.equal(packed.segmentIds.filter((segment) => segment > 0).length, packed.tokens);
  }
});

Deno.test("collate() pads to a multiple, and counts supervised targets rather than labels", () => {
  const batch = collate([example(1, 0, 3)], { padId, multipleOf: 8 });
  assert.equal(batch.length, 8);
  // The first token of an example has nothing before it that could predict it.
  assert.equal(batch.supervised, 2);
});

Deno.test("collate() supervises id 0 and the last one as any other", () => {
  const ids = joinExample(Int32Array.of(5), Int32Array.of(0, 2 ** 31 - 1, 0), {
    maxLength: 8,
    terminated: true,
  });
  for (const batch of [collate([ids], { padId }), packExamples([ids], { padId, maxLength: 8 })]) {
    assert.deepEqual([...batch.targets], [0, 2 ** 31 - 1, 0, -100]);
    assert.equal(batch.supervised, 3);
  }
});

Deno.test("packExamples() pads the longest row to a multiple, and no example into the next row", () => {
  const examples = [example(1, 2, 4), example(2, 1, 2), example(3, 1, 3)];
  const batch = packExamples(examples, { maxLength: 7, padId, multipleOf: 4 });
  assert.deepEqual([batch.rows, batch.length, batch.tokens], [2, 8, 9]);
  assert.deepEqual([...batch.segmentIds], [1, 1, 1, 1, 2, 2, 0, 0, 3, 3, 3, 0, 0, 0, 0, 0]);
});

Deno.test("collate() takes examples of one token, and a padding token of id 0", () => {
  const short = joinExample(new Int32Array(0), Int32Array.of(7), {
    maxLength: 8,
    terminated: true,
  });
  assert.deepEqual(plain(collate([short, example(1, 1, 2)], { padId: 0, multipleOf: 1 })), {
    rows: 2,
    length: 2,
    inputIds: [7, 0, 100, 101],
    positionIds: [0, 0, 0, 1],
    segmentIds: [1, 0, 2, 2],
    targets: [-100, -100, 101, -100],
    examples: 2,
    tokens: 3,
    supervised: 1,
  });
});

Deno.test("collate() and packExamples() hand on what a reference model made of each example", () => {
  const made = [-1.5, undefined, -0.25].map((reference, k) => ({
    ...example(k + 1, 1, 2),
    ...reference === undefined ? {} : { reference },
  }));
  const expected = Float64Array.of(-1.5, NaN, -0.25);
  assert.deepEqual(collate(made, { padId }).references, expected);
  assert.deepEqual(packExamples(made, { padId, maxLength: 4 }).references, expected);
  // Whether there are any the first example tells.
  assert.ok(!("references" in collate(made.slice(1), { padId })));
});

Deno.test("collate() fills the whole 64 bits of large ids", () => {
  const batch = collate([joinExample(Int32Array.of(151667), Int32Array.of(2 ** 31 - 1), {
    maxLength: 8,
    terminated: true,
  })], { padId: 151643, multipleOf: 3 });
  assert.deepEqual([...batch.inputIds], [151667n, 2147483647n, 151643n]);
});

Deno.test("collate() and packExamples() name what they cannot lay out", () => {
  const one = example(1, 1, 3);
  const throws = (message: string, act: () => unknown): void =>
    assert.throws(act, { name: "RangeError", message });
  throws("Cannot collate: there are no examples", () => collate([], { padId }));
  throws("Cannot collate: there are no examples", () => packExamples([], { padId, maxLength: 8 }));
  throws("Cannot collate: padId is -1, not a token id", () => collate([one], { padId: -1 }));
  throws("Cannot collate: padId is 0.5, not a token id", () => collate([one], { padId: 0.5 }));
  throws(
    "Cannot collate: multipleOf is 1.5, not a positive integer",
    () => collate([one], { padId, multipleOf: 1.5 }),
  );
  throws(
    "Cannot collate: multipleOf is 0, not a positive integer",
    () => collate([one], { padId, multipleOf: 0 }),
  );
  throws(
    "Cannot collate example 1: it has 0 tokens and 0 labels",
    () => collate([one, example(2, 0, 0)], { padId }),
  );
  throws(
    "Cannot collate example 0: it has 3 tokens and 2 labels",
    () => collate([{ ...one, labels: one.labels.subarray(1) }], { padId }),
  );
  throws(
    "Cannot pack example 1: length 9 exceeds maxLength 8",
    () => packExamples([one, example(2, 1, 9)], { padId, maxLength: 8 }),
  );
});
