import assert from "node:assert/strict";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { qwen3Tokenizer } from "../../tests/support/qwen3_tokenizer.ts";
import { byteTokenizerFiles } from "../text/byte_tokenizer.ts";
import { toExamples } from "./to_examples.ts";
import {
  inspectRecords,
  promptIsInference,
  rendersGenerationPrompt,
  taughtTerminator,
} from "./preflight.ts";
import { createTokenizer } from "../text/tokenizer.ts";

const tokenizer = createTokenizer(byteTokenizerFiles());
const messages = [
  { role: "user", content: "1+1?" },
  { role: "assistant", content: "2", reasoning_content: "Easy." },
] as const;

Deno.test("inspectRecords() finds control tokens in every text, and not <think>", async () => {
  await using folder = await tempFolder();
  const rows = [
    { question: "a", think: "b", answer: "c" },
    { question: "a <|im_end|>", think: "b", answer: "c" },
    { messages: [{ role: "user", content: "a" }, { role: "assistant", content: "<|im_start|>" }] },
    { question: "a", think: "<|endoftext|>", answer: "<think>b</think>c <|im_end" },
  ];
  const path = await folder.write("a.jsonl", rows.map((row) => JSON.stringify(row)).join("\n"));
  const { messages: first, controlTokens } = await inspectRecords(path, { tokenizer, system: "s" });
  assert.deepEqual(controlTokens, [
    { line: 2, token: "<|im_end|>" },
    { line: 3, token: "<|im_start|>" },
    { line: 4, token: "<|endoftext|>" },
  ]);
  assert.deepEqual(first[0], { role: "system", content: "s" });
});

Deno.test("inspectRecords() passes over first rows that make no chat, where such are left out", async () => {
  await using folder = await tempFolder();
  const rows = [
    { question: "a", think: "b", answer: "<think>other</think>c" },
    { question: "q", answer: "r" },
  ];
  const path = await folder.write("a.jsonl", rows.map((row) => JSON.stringify(row)).join("\n"));
  const { messages } = await inspectRecords(path, { tokenizer, dropRefused: true });
  assert.equal(messages[0].content, "q");
  await assert.rejects(inspectRecords(path, { tokenizer }), {
    name: "JsonlError",
    message: /a\.jsonl:1: Cannot take the thinking/,
  });
});

Deno.test("promptIsInference() holds for Qwen3's template, and not with thinking turned off", async () => {
  const qwen3 = await qwen3Tokenizer();
  for (const each of [tokenizer, qwen3]) {
    const [same] = toExamples(messages, { tokenizer: each, maxLength: 128 });
    assert.ok(promptIsInference(same, messages, { tokenizer: each }));
    const [cut] = toExamples(messages, { tokenizer: each, maxLength: 3 });
    assert.ok(!promptIsInference(cut, messages, { tokenizer: each }));
  }
  const answer = [messages[0], { role: "assistant", content: "2" }] as const;
  const options = { tokenizer: qwen3, maxLength: 128, enableThinking: false };
  assert.ok(!promptIsInference(toExamples(answer, options)[0], answer, { tokenizer: qwen3 }));
});

Deno.test("taughtTerminator() names the token, and none where it was cut off", () => {
  const [whole] = toExamples(messages, { tokenizer, maxLength: 128 });
  assert.equal(taughtTerminator(whole, tokenizer), "<|im_end|>");
  const [cut] = toExamples(messages, { tokenizer, maxLength: whole.inputIds.length - 1 });
  assert.equal(taughtTerminator(cut, tokenizer), undefined);
});

/** Rows in a file, inspected. */
async function inspect(
  rows: readonly unknown[],
  options: Partial<Parameters<typeof inspectRecords>[1]> = {},
) {
  await using folder = await tempFolder();
  const path = await folder.write("a.jsonl", rows.map((row) => JSON.stringify(row)).join("\n"));
  return await inspectRecords(path, { tokenizer, ...options });
}

Deno.test("inspectRecords() gives back the first row, or the one that is asked for", async () => {
  const rows = [
    { question: "q", Reasoning: "t", answer: "a" },
    { prompt: "p", completion: "c" },
    { question: "q3", chosen: "a3", rejected: "b3", system: "own" },
  ];
  const first = {
    record: { kind: "question", question: "q", think: "t", answer: "a" },
    shape: { name: "question and answer", columns: ["question", "think=Reasoning", "answer"] },
    messages: [
      { role: "user", content: "q" },
      { role: "assistant", content: "a", reasoning_content: "t" },
    ],
    controlTokens: [],
  };
  assert.deepEqual(await inspect(rows), first);
  assert.deepEqual(await inspect(rows, { line: 1 }), first);
  assert.deepEqual(await inspect(rows, { line: 2, system: "s" }), {
    record: { kind: "text", prompt: "p", completion: "c" },
    shape: { name: "prompt and completion", columns: ["prompt", "completion"] },
    messages: [],
    controlTokens: [],
  });
  const third = await inspect(rows, { line: 3, system: "s" });
  assert.deepEqual(third.shape, {
    name: "preference pair",
    columns: ["question", "chosen", "rejected", "system"],
  });
  assert.deepEqual(third.messages, [
    { role: "system", content: "own" },
    { role: "user", content: "q3" },
    { role: "assistant", content: "a3", reasoning_content: "" },
  ]);
  assert.deepEqual(third.record, {
    ...{ kind: "question", question: "q3", think: null, answer: "a3", system: "own" },
  });
  const named = await inspect([{ q: "x", a: "y" }], { columns: { question: "q", answer: "a" } });
  assert.deepEqual(named.shape.columns, ["question=q", "answer=a"]);
  await assert.rejects(inspect(rows, { line: 4 }), {
    name: "RangeError",
    message: /^Cannot inspect .*a\.jsonl: it has no row 4$/,
  });
});

Deno.test("inspectRecords() leaves rows out that cannot be used, or refuses them", async () => {
  const rows = [{ question: 1, answer: "a" }, { question: "q", answer: "<|im_end|>" }];
  const { record, controlTokens } = await inspect(rows, { dropRefused: true });
  assert.equal(record.kind === "question" && record.question, "q");
  assert.deepEqual(controlTokens, [{ line: 2, token: "<|im_end|>" }]);
  for (const dropRefused of [undefined, false]) {
    await assert.rejects(inspect(rows, { dropRefused }), /:1:question: expected a string/);
  }
});

Deno.test("inspectRecords() looks at every text of a row, each apart", async () => {
  const token = "<|im_end|>";
  const user = { role: "user", content: "u" };
  const bot = { role: "assistant", content: "b" };
  const tool = { name: "f", description: token };
  const call = { name: "f", arguments: { x: token } };
  const question = { question: "q", answer: "a" };
  const rows: readonly unknown[] = [
    { prompt: token, completion: "c" },
    { prompt: "p", completion: token },
    { ...question, question: token },
    { ...question, think: token },
    { ...question, answer: token },
    { ...question, history: [[token, "y"]] },
    { ...question, history: [["x", token]] },
    { ...question, system: token },
    { ...question, tools: [tool] },
    { messages: [{ ...user, content: token }, bot] },
    { messages: [user, { ...bot, reasoning_content: token }] },
    { messages: [user, { ...bot, tool_calls: [call] }] },
    { question: "q", chosen: "a", rejected: token },
    { question: "q", chosen: token, rejected: "b" },
  ];
  const split = [
    { prompt: "<|im_", completion: "end|>" },
    { question: "<|im_", think: "end|>", answer: "a" },
    { question: "q", chosen: "a <|im_", rejected: "end|> b" },
    { messages: [{ ...user, content: "<|im_" }, { ...bot, content: "end|>" }] },
  ];
  const { controlTokens } = await inspect([...rows, ...split]);
  assert.deepEqual(controlTokens, rows.map((_, i) => ({ line: i + 1, token })));
});

Deno.test("rendersGenerationPrompt() tells a template that marks where the assistant speaks", () => {
  const files = byteTokenizerFiles();
  const each = "{% for m in messages %}";
  const cases = [
    // The template, and whether it marks that or has nothing to mark.
    [
      `${each}{{ m.role }}:{{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}`,
      true,
    ],
    [`${each}{{ m.role }}:{{ m.content }}\n{% endfor %}`, false],
    [`${each}{{ m.content }}\n{% endfor %}`, true],
    [`${each}{% if m.role == 'assistant' %} \n{% endif %}{{ m.content }}{% endfor %}`, true],
    // A chat that does not go on from its prompt.
    [`{{ messages | length }}${each}{{ m.role }}:{{ m.content }}{% endfor %}`, true],
  ] as const;
  for (const [chat_template, expected] of cases) {
    const made = createTokenizer({
      ...files,
      tokenizerConfig: { ...files.tokenizerConfig, chat_template },
    });
    assert.equal(rendersGenerationPrompt(made), expected, chat_template);
  }
});

Deno.test("taughtTerminator() names nothing where no token is taught", () => {
  const [whole] = toExamples(messages, { tokenizer, maxLength: 128 });
  assert.equal(taughtTerminator({ ...whole, labels: new Int32Array(0) }, tokenizer), undefined);
  assert.equal(taughtTerminator({ ...whole, labels: Int32Array.of(-100) }, tokenizer), undefined);
  assert.equal(
    taughtTerminator({ ...whole, labels: Int32Array.of(257) }, tokenizer),
    "<|im_start|>",
  );
  assert.equal(taughtTerminator({ ...whole, terminated: false }, tokenizer), undefined);
});

Deno.test("promptIsInference() compares the prompt of the first reply that is taught", () => {
  const chat = [
    messages[0],
    { role: "assistant", content: "2" },
    messages[0],
    messages[1],
  ] as const;
  const [first, last] = toExamples(chat, { tokenizer, maxLength: 256 });
  const is = (example: typeof first, teach?: "all" | "last"): boolean =>
    promptIsInference(example, chat, { tokenizer, teach });
  assert.deepEqual([is(first), is(first, "all"), is(last), is(last, "last")], [
    true,
    true,
    false,
    true,
  ]);
  // One id less, and another one.
  const { inputIds, promptLength } = first;
  assert.ok(!is({ ...first, promptLength: promptLength - 1 }));
  assert.ok(!is({ ...first, inputIds: inputIds.with(promptLength - 1, 0) }));
  assert.ok(!is({ ...first, inputIds: inputIds.with(0, 0) }));
  assert.ok(is({ ...first, inputIds: inputIds.with(promptLength, 0) }));
});
