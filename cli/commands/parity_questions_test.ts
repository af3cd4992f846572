import assert from "node:assert/strict";
import { byteTokenizerFiles } from "../../data/text/byte_tokenizer.ts";
import { createTokenizer, type Tokenizer } from "../../data/text/tokenizer.ts";
import type { ModelConfig } from "../../model/config.ts";
import { PARITY_PROMPTS, parityQuestions } from "./parity_questions.ts";

const tokenizer = createTokenizer(byteTokenizerFiles());

/** Questions of a model with so many positions. */
function questions(
  maxPositions: number,
  text?: string,
  greedyTokens = 4,
  of: Tokenizer = tokenizer,
) {
  const config = { maxPositions } as ModelConfig;
  return parityQuestions({ config, tokenizer: of, greedyTokens, text });
}

const lengths = (windows: readonly ArrayLike<number>[]): readonly number[] =>
  windows.map(({ length }) => length);

Deno.test("parityQuestions() takes a text in windows of 256 tokens, the last one of two or more", () => {
  const windows = (characters: number, positions = 4096) =>
    lengths(questions(positions, "x".repeat(characters)).text);
  assert.deepEqual([256, 257, 258, 600].map((count) => windows(count)), [
    ...[[256], [256], [256, 2], [256, 256, 88]],
  ]);
  // Of a model with fewer positions as many as it has.
  assert.deepEqual(windows(25, 10), [10, 10, 5]);
  assert.deepEqual([...questions(10, "abcdefghijkl").text[1]], [...tokenizer.encode("kl")]);
  for (const text of ["", "x"]) {
    assert.throws(() => questions(4096, text), {
      name: "RangeError",
      message: "Cannot measure perplexity: the text has fewer than two tokens",
    });
  }
});

Deno.test("parityQuestions() leaves room for what is asked for", () => {
  const { prompts, greedyTokens, texts } = questions(4096, "xy");
  assert.equal(greedyTokens, 4);
  assert.equal(texts.at(-1), "xy");
  assert.deepEqual(
    texts.slice(0, -1),
    PARITY_PROMPTS.map((content) =>
      tokenizer.render([{ role: "user", content }], { addGenerationPrompt: true })
    ),
  );
  assert.deepEqual(prompts.map((ids) => tokenizer.decode(ids)), texts.slice(0, -1));
  assert.deepEqual(lengths(questions(10, "xy").prompts), [6, 6, 6]);
  assert.deepEqual(lengths(questions(5, "xy").prompts), [1, 1, 1]);
  assert.throws(() => questions(4, "xy"), {
    name: "RangeError",
    message: "Cannot compare 4 tokens: the model has 4 positions",
  });
});

Deno.test("parityQuestions() asks a model without a chat template as it is", () => {
  const { tokenizerJson, tokenizerConfig } = byteTokenizerFiles();
  const { chat_template: _, ...config } = tokenizerConfig;
  const bare = createTokenizer({ tokenizerJson, tokenizerConfig: config });
  assert.deepEqual(questions(4096, "xy", 4, bare).texts, [...PARITY_PROMPTS, "xy"]);
  // Its own text has both languages, and more than one window.
  const { texts, text } = questions(4096);
  assert.match(texts.at(-1)!, /^A fever is [^]*夜里会醒几次。$/);
  assert.ok(text.length > 2);
});
