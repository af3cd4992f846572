import assert from "node:assert/strict";
import { toExampleList } from "./example_list.ts";
import { append, joinExample } from "./join_example.ts";
import { fitExample, type PromptAndReply, type Truncation } from "./truncation.ts";
import { taughtTurns } from "./taught_turns.ts";
import { withReferences } from "./with_references.ts";

const ids = (...numbers: number[]): Int32Array => Int32Array.from(numbers);
const prompt = ids(1, 2, 3);
const reply = ids(4, 5);

Deno.test("joinExample() cuts prompt and reply to length, at the right or at the left", () => {
  const cases:
    readonly (readonly ["left" | "right" | undefined, number, number[], number, boolean])[] = [
      // Where, to how many tokens, what is left, of which the prompt, and whether the end is.
      [undefined, 9, [1, 2, 3, 4, 5], 3, true],
      [undefined, 5, [1, 2, 3, 4, 5], 3, true],
      [undefined, 4, [1, 2, 3, 4], 3, false],
      ["right", 3, [1, 2, 3], 3, false],
      ["right", 2, [1, 2], 2, false],
      ["right", 1, [1], 1, false],
      ["left", 6, [1, 2, 3, 4, 5], 3, true],
      ["left", 5, [1, 2, 3, 4, 5], 3, true],
      ["left", 4, [2, 3, 4, 5], 2, true],
      ["left", 3, [3, 4, 5], 1, true],
      ["left", 2, [4, 5], 0, true],
      ["left", 1, [5], 0, true],
    ];
  for (const [cut, maxLength, inputIds, promptLength, ends] of cases) {
    for (const terminated of [true, false]) {
      assert.deepEqual(joinExample(prompt, reply, { maxLength, terminated, cut }), {
        inputIds: Int32Array.from(inputIds),
        labels: Int32Array.from(inputIds, (id, i) => i < promptLength ? -100 : id),
        promptLength,
        truncatedTokens: 5 - inputIds.length,
        supervised: inputIds.length - promptLength,
        terminated: terminated && ends,
      }, `${cut} ${maxLength}`);
    }
  }
  assert.deepEqual(joinExample(ids(), ids(), { maxLength: 1, terminated: true }), {
    ...{ inputIds: ids(), labels: ids(), promptLength: 0, truncatedTokens: 0, supervised: 0 },
    terminated: true,
  });
});

Deno.test("joinExample() refuses lengths that are no count", () => {
  for (const maxLength of [0, -1, 1.5, NaN]) {
    assert.throws(() => joinExample(prompt, reply, { maxLength, terminated: true }), {
      name: "RangeError",
      message: `Cannot make an example: maxLength is ${maxLength}, not a positive integer`,
    });
  }
});

Deno.test("append() puts one id behind others, and leaves those as they are", () => {
  assert.deepEqual(append(prompt, 7), ids(1, 2, 3, 7));
  assert.deepEqual(append(ids(), 7), ids(7));
  assert.deepEqual(prompt, ids(1, 2, 3));
});

Deno.test("fitExample() does with what is too long as it is told", () => {
  const whole: PromptAndReply = { prompt, reply, terminated: true };
  const fit = (
    truncation: Truncation | undefined,
    maxLength: number,
    shorten?: () => PromptAndReply | undefined,
  ) => {
    let dropped = 0;
    const options = { maxLength, truncation, onDropped: () => void dropped++ };
    const example = fitExample(whole, options, { name: "message 3", shorten });
    if (example === undefined) return [dropped];
    assert.equal(dropped, 0);
    return [[...example.inputIds], example.promptLength, example.truncatedTokens];
  };
  const short = () => ({ prompt: ids(3), reply, terminated: true });
  for (const truncation of [undefined, "right", "left", "drop", "error"] as const) {
    assert.deepEqual(fit(truncation, 5, () => assert.fail()), [[1, 2, 3, 4, 5], 3, 0]);
  }
  assert.deepEqual(fit(undefined, 4, () => assert.fail()), [[1, 2, 3, 4], 3, 1]);
  assert.deepEqual(fit("right", 4, () => assert.fail()), [[1, 2, 3, 4], 3, 1]);
  assert.deepEqual(fit("left", 4), [[2, 3, 4, 5], 2, 1]);
  assert.deepEqual(fit("left", 4, () => undefined), [[2, 3, 4, 5], 2, 1]);
  assert.deepEqual(fit("left", 4, short), [[3, 4, 5], 1, 2]);
  assert.deepEqual(fit("left", 2, short), [[4, 5], 0, 3]);
  assert.deepEqual(fit("drop", 4), [1]);
  assert.equal(fitExample(whole, { maxLength: 4, truncation: "drop" }, { name: "x" }), undefined);
  assert.throws(() => fit("error", 4), {
    name: "RangeError",
    message:
      "Cannot make an example of message 3: its 5 tokens exceed maxLength 4; raise that, shorten the row, or give another truncation than error",
  });
});

Deno.test("taughtTurns() are the assistant's, but for those that are marked", () => {
  const chat = [
    { role: "assistant", content: "a" },
    { role: "user", content: "b", learn: true },
    { role: "assistant", content: "c", learn: true },
    { role: "assistant", content: "d", learn: false },
    { role: "assistant", content: "e" },
    { role: "tool", content: "f" },
  ] as const;
  assert.deepEqual(taughtTurns(chat), [0, 2, 4]);
  assert.deepEqual(taughtTurns(chat, "all"), [0, 2, 4]);
  assert.deepEqual(taughtTurns(chat, "last"), [4]);
  assert.deepEqual(taughtTurns(chat.slice(0, 4), "last"), [2]);
  assert.deepEqual(taughtTurns(chat, "marked"), [2]);
  for (const teach of ["all", "last", "marked"] as const) {
    assert.deepEqual(taughtTurns([chat[1], chat[3]], teach), []);
  }
});

Deno.test("toExampleList() and withReferences() make lists of an array of examples", () => {
  const examples = [3, 1].map((length) =>
    joinExample(prompt, ids(...Array<number>(length).fill(9)), { maxLength: 9, terminated: true })
  );
  const list = toExampleList(examples);
  assert.deepEqual([list.length, list.lengths, list.supervised], [2, ids(6, 4), ids(3, 1)]);
  assert.equal(list.at(1), examples[1]);
  for (const index of [-1, 2, 0.5]) {
    assert.throws(() => list.at(index), {
      name: "RangeError",
      message: `Cannot read example ${index}: there are 2, counted from 0`,
    });
  }
  assert.equal(toExampleList(list), list);
  assert.equal(withReferences(list), list);
  const compared = withReferences(examples, Float64Array.of(-1.5, -2));
  assert.deepEqual([compared.length, compared.lengths, compared.supervised], [
    2,
    ids(6, 4),
    ids(3, 1),
  ]);
  assert.deepEqual(compared.at(0), { ...examples[0], reference: -1.5 });
  assert.deepEqual(compared.at(1), { ...examples[1], reference: -2 });
  for (const count of [1, 3]) {
    assert.throws(() => withReferences(examples, new Float64Array(count)), {
      name: "RangeError",
      message: `Cannot compare 2 examples with a reference: there are ${count} numbers of it`,
    });
  }
});
