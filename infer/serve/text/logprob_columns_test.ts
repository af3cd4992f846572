import assert from "node:assert/strict";
import type { Tokenizer } from "../../../data/text/tokenizer.ts";
import type { ChosenLogprob } from "../../sampling/token_logprobs.ts";
import { logprobAnswers } from "../token_logprobs_format.ts";
import { LogprobColumns } from "./logprob_columns.ts";

const encoder = new TextEncoder();
// The bytes of é, of a face, and whole tokens; two are written alike.
const [E, FACE] = ["é", "😀"].map((each) => encoder.encode(each));
const TOKENS: readonly Uint8Array[] = [
  ...["a", "bc", " ", "a"].map((each) => encoder.encode(each)),
  E.subarray(0, 1),
  E.subarray(1),
  E,
  FACE.subarray(0, 3),
  FACE.subarray(3),
  // The end of one character with the beginning of the next.
  Uint8Array.of(E[1], ...encoder.encode("x")),
  encoder.encode("éa"),
];
const tokenizer = {
  tokenBytes: (id: number, { atStart = false } = {}) => atStart ? encoder.encode("^") : TOKENS[id],
} as Tokenizer;

const chosen = (id: number, logprob = -1, ...top: readonly (readonly [number, number])[]) => ({
  id,
  logprob,
  top: top.map(([id, logprob]) => ({ id, logprob })),
} as ChosenLogprob);

/** Offsets of tokens that come with a text. */
function offsets(text: string, ...ids: readonly number[]): readonly number[] {
  const columns = new LogprobColumns(tokenizer);
  columns.add({ kind: "answer", text, tokens: ids.map((id) => chosen(id)) });
  return columns.take().text_offset;
}

Deno.test("logprobAnswers() writes texts, bytes and likeliest tokens, and -9999 for minus infinity", () => {
  const answer = (token: string, logprob: number, ...bytes: readonly number[]) => ({
    token,
    logprob,
    bytes,
  });
  assert.deepEqual(
    logprobAnswers([chosen(1, -0.5, [1, -0.5], [0, -Infinity]), chosen(4, -9999.5)], tokenizer),
    [
      {
        ...answer("bc", -0.5, 98, 99),
        top_logprobs: [answer("bc", -0.5, 98, 99), answer("a", -9999, 97)],
      },
      { ...answer("\ufffd", -9999, E[0]), top_logprobs: [] },
    ],
  );
  assert.deepEqual(logprobAnswers([], tokenizer), []);
});

Deno.test("LogprobColumns has an entry a token in each column, and is empty once it was taken", () => {
  const columns = new LogprobColumns(tokenizer);
  columns.add({
    kind: "answer",
    text: "abc",
    tokens: [chosen(0, -1, [1, -0.5], [3, -0.7]), chosen(1, -2)],
  });
  columns.add({ kind: "answer", text: " ", tokens: [chosen(2, -3, [2, -3], [0, -4])] });
  columns.add({ kind: "answer", text: "" });
  assert.deepEqual(columns.take(), {
    tokens: ["a", "bc", " "],
    token_logprobs: [-1, -2, -3],
    // Of two that are written alike the likelier one; the chosen one where it is not among them.
    top_logprobs: [{ bc: -0.5, a: -0.7 }, { bc: -2 }, { " ": -3, a: -4 }],
    text_offset: [0, 1, 3],
  });
  const empty = { tokens: [], token_logprobs: [], top_logprobs: [], text_offset: [] };
  assert.deepEqual(columns.take(), empty);
  // Offsets go on.
  columns.add({ kind: "answer", text: "a", tokens: [chosen(0)] });
  assert.deepEqual(columns.take().text_offset, [4]);
});

Deno.test("LogprobColumns has null for a prompt's first token, which stands at the start", () => {
  const columns = new LogprobColumns(tokenizer);
  columns.add({
    kind: "answer",
    text: "^bc",
    prompt: { ids: [0, 1], logprobs: [chosen(1, -2, [0, -1])] },
  });
  columns.add({ kind: "answer", text: "a", tokens: [chosen(0, -3)] });
  assert.deepEqual(columns.take(), {
    tokens: ["^", "bc", "a"],
    token_logprobs: [null, -2, -3],
    top_logprobs: [null, { a: -1, bc: -2 }, { a: -3 }],
    text_offset: [0, 1, 3],
  });
});

Deno.test("LogprobColumns counts characters, of which several tokens may make one", () => {
  assert.deepEqual(offsets("é", 4, 5), [0, 0]);
  assert.deepEqual(offsets("aéa", 0, 4, 5, 0), [0, 1, 1, 2]);
  assert.deepEqual(offsets("😀a", 7, 8, 0), [0, 0, 1]);
  assert.deepEqual(offsets("éé", 6, 6), [0, 1]);
  assert.deepEqual(offsets("éxa", 4, 9, 0), [0, 0, 2]);
  assert.deepEqual(offsets("éaé", 10, 6), [0, 2]);
  // Tokens without a place in the text stand at its last character.
  assert.deepEqual(offsets("a", 0, 1, 2), [0, 0, 0]);
  assert.deepEqual(offsets("", 0), [0]);
});

Deno.test("LogprobColumns writes the bytes of tokens that are no text", () => {
  const columns = new LogprobColumns(tokenizer);
  columns.add({ kind: "answer", text: "é", tokens: [chosen(4), chosen(5)] });
  assert.deepEqual(columns.take().tokens, ["bytes:\\xc3", "bytes:\\xa9"]);
  const low = { tokenBytes: () => Uint8Array.of(0xff, 0x05) } as unknown as Tokenizer;
  const other = new LogprobColumns(low);
  other.add({ kind: "answer", text: "", tokens: [chosen(0)] });
  assert.deepEqual(other.take().tokens, ["bytes:\\xff\\x05"]);
});
