/** The tokenizer of files as a whole, with small vocabularies. */

import assert from "node:assert/strict";
import { BYTE_TOKENS, SENTENCEPIECE_DECODER } from "../../tests/support/sentencepiece_parts.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { byteTokenizerFiles } from "./byte_tokenizer.ts";
import { checkChatTemplate, renderChat } from "./chat_template.ts";
import type { Message } from "./message.ts";
import { createTokenizer, loadTokenizer, type Tokenizer } from "./tokenizer.ts";

type Json = Record<string, unknown>;

const toy = byteTokenizerFiles();
const withConfig = (config: Json, files: Json = {}): Tokenizer =>
  createTokenizer({ ...toy, ...files, tokenizerConfig: { ...toy.tokenizerConfig, ...config } });

Deno.test("createTokenizer() gives special tokens their ids, and padding that of the eos token", () => {
  const facts = (
    { eosToken, eosTokenId, bosTokenId, padTokenId, vocabSize }: Tokenizer,
  ): unknown => [
    ...[eosToken, eosTokenId, bosTokenId, padTokenId, vocabSize],
  ];
  assert.deepEqual(facts(createTokenizer(toy)), ["<|im_end|>", 258, undefined, 256, 261]);
  assert.deepEqual(facts(withConfig({ bos_token: "<|im_start|>", pad_token: null })), [
    ...["<|im_end|>", 258, 257, 258, 261],
  ]);
  assert.deepEqual(facts(withConfig({ eos_token: null, pad_token: null })), [
    ...[undefined, undefined, undefined, undefined, 261],
  ]);
  // One that no file has is added.
  assert.deepEqual(facts(withConfig({ bos_token: "<s>" })), ["<|im_end|>", 258, 261, 256, 262]);
});

Deno.test("createTokenizer() tells of tokens that tokenizer.json lacks, and where their ids are others", () => {
  const { notes } = withConfig({
    bos_token: "<a>",
    added_tokens_decoder: {
      258: { content: "<|im_end|>", special: true, normalized: false },
      259: { content: "<b>" },
      262: { content: "<c>" },
    },
  });
  assert.deepEqual(notes, [
    "tokenizer_config.json or a file beside it lists tokens that tokenizer.json lacks; they are added with the ids that transformers gives them, and the model must have a row for each: <b> 261 and not 259, <c> 262, <a> 263",
  ]);
});

Deno.test("a tokenizer gives bytes of tokens, of added ones too", () => {
  const { tokenBytes, isByteToken, dropsFirstBlank, isAdded, isSpecial, tokenToId, idToToken } =
    createTokenizer(toy);
  assert.deepEqual([...tokenBytes(0xc3)], [0xc3]);
  assert.deepEqual([...tokenBytes(259)], [...new TextEncoder().encode("<think>")]);
  assert.deepEqual([...tokenBytes(999)], []);
  assert.deepEqual([isByteToken(65), isByteToken(999), dropsFirstBlank], [false, false, false]);
  assert.deepEqual([isAdded(255), isAdded(256), isSpecial(258), isSpecial(259)], [
    ...[false, true, true, false],
  ]);
  assert.deepEqual([tokenToId("a"), tokenToId("</think>"), tokenToId("ab")], [97, 260, undefined]);
  assert.deepEqual([idToToken(97), idToToken(260), idToToken(261)], ["a", "</think>", undefined]);
  // A decoder of another kind has no bytes but those of added tokens.
  for (const [decoder, name] of [[{ type: "Fuse" }, "Fuse"], [null, "(none)"]] as const) {
    const other = createTokenizer({ ...toy, tokenizerJson: { ...toy.tokenizerJson, decoder } });
    assert.deepEqual([...other.tokenBytes(259)], [...new TextEncoder().encode("<think>")]);
    assert.deepEqual([...other.tokenBytes(999)], []);
    assert.throws(() => other.tokenBytes(65), {
      name: "TypeError",
      message:
        `Cannot give the bytes of a token: the decoder ${name} is neither byte-level nor of SentencePiece's kind; decode() whole replies instead`,
    });
    assert.deepEqual([other.isByteToken(65), other.dropsFirstBlank], [false, false]);
  }
});

Deno.test("a tokenizer of SentencePiece's kind drops a blank at the start of a text", () => {
  const tokens = ["<unk>", ...BYTE_TOKENS, "\u2581", "\u2581a", "b"];
  const { tokenBytes, isByteToken, dropsFirstBlank, decode, encode } = createTokenizer({
    tokenizerJson: {
      decoder: SENTENCEPIECE_DECODER,
      model: {
        type: "BPE",
        vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
        merges: [],
        unk_token: "<unk>",
        byte_fallback: true,
      },
    },
    tokenizerConfig: {},
  });
  assert.deepEqual([...tokenBytes(258)], [0x20, 0x61]);
  assert.deepEqual([...tokenBytes(258, {})], [0x20, 0x61]);
  assert.deepEqual([...tokenBytes(258, { atStart: false })], [0x20, 0x61]);
  assert.deepEqual([...tokenBytes(258, { atStart: true })], [0x61]);
  assert.deepEqual([isByteToken(66), isByteToken(258), dropsFirstBlank], [true, false, true]);
  assert.equal(decode([258, 258]), "a a");
  assert.deepEqual([...encode("\u2581bé")], [257, 259, 1 + 0xc3, 1 + 0xa9]);
});

Deno.test("decode() leaves special tokens out where it is asked to", () => {
  const { decode, encode, encodeInSlices } = createTokenizer(toy);
  const ids = encode("<|im_start|>a<think>b<|im_end|>");
  assert.ok(ids instanceof Int32Array);
  assert.deepEqual([...ids], [257, 97, 259, 98, 258]);
  assert.equal(decode(ids), "<|im_start|>a<think>b<|im_end|>");
  assert.equal(decode(ids, {}), "<|im_start|>a<think>b<|im_end|>");
  assert.equal(decode(ids, { skipSpecialTokens: false }), "<|im_start|>a<think>b<|im_end|>");
  assert.equal(decode(ids, { skipSpecialTokens: true }), "a<think>b");
  assert.equal(decode([257, 258], { skipSpecialTokens: true }), "");
  const { value, done } = encodeInSlices("a<think>").next();
  assert.deepEqual([value, done], [Int32Array.of(97, 259), true]);
});

Deno.test("createTokenizer() takes the template of a file before that of the configuration", () => {
  const templateOf = (chat_template: unknown, chatTemplate?: string): string | undefined =>
    withConfig({ chat_template }, { chatTemplate }).chatTemplate;
  assert.equal(templateOf("c"), "c");
  assert.equal(templateOf("c", "f"), "f");
  assert.equal(templateOf("c", ""), "");
  assert.equal(templateOf([{ name: "a", template: "x" }, { name: "default", template: "y" }]), "y");
  assert.equal(templateOf([1, { name: "a", template: "x" }]), "x");
  for (const none of [[], [1], [{ template: 1 }], {}, null, 1]) {
    assert.equal(templateOf(none), undefined);
  }
});

Deno.test("render() gives a template the tokenizer's special tokens and the options", () => {
  const tokenizer = withConfig({
    bos_token: "<|im_start|>",
    chat_template: "{{ bos_token }}{{ eos_token }}{{ pad_token }}{{ unk_token is defined }}" +
      "{{ add_generation_prompt }}{{ enable_thinking }}{{ tools | length }}{{ messages[0].content }}",
  });
  assert.equal(
    tokenizer.render([{ role: "user", content: "Hi" }], {
      addGenerationPrompt: true,
      enableThinking: false,
      tools: [new Map()],
    }),
    "<|im_start|><|im_end|><|endoftext|>FalseTrueFalse1Hi",
  );
});

Deno.test("loadTokenizer() reads five files, and takes the template that it is given", async () => {
  await using folder = await tempFolder();
  const write = (name: string, value: unknown): Promise<string> =>
    folder.write(name, typeof value === "string" ? value : JSON.stringify(value));
  await write("tokenizer.json", toy.tokenizerJson);
  await write("tokenizer_config.json", { ...toy.tokenizerConfig, bos_token: null });
  await write("special_tokens_map.json", { bos_token: "<s>" });
  await write("added_tokens.json", { "<s>": 261, "<t>": 262 });
  await write("chat_template.jinja", "file");
  const tokenizer = await loadTokenizer(folder.path);
  assert.deepEqual([tokenizer.bosTokenId, tokenizer.tokenToId("<t>"), tokenizer.vocabSize], [
    ...[261, 262, 263],
  ]);
  assert.equal(tokenizer.chatTemplate, "file");
  assert.equal((await loadTokenizer(folder.path, {})).chatTemplate, "file");
  assert.equal((await loadTokenizer(folder.path, { chatTemplate: "own" })).chatTemplate, "own");
  await write("added_tokens.json", "[]");
  await assert.rejects(loadTokenizer(folder.path), {
    name: "TypeError",
    message:
      `Cannot load the tokenizer: ${folder.path}/added_tokens.json is not a JSON object; copy it again from the base model`,
  });
  await write("special_tokens_map.json", "{");
  await assert.rejects(loadTokenizer(folder.path), {
    name: "SyntaxError",
    message:
      `Cannot load the tokenizer: ${folder.path}/special_tokens_map.json is not valid JSON; copy it again from the base model`,
  });
});

Deno.test("createTokenizer() names a configuration that is no object", () => {
  assert.throws(() => createTokenizer({ ...toy, tokenizerConfig: [] as unknown as Json }), {
    name: "TypeError",
    message:
      "Cannot read the tokenizer: tokenizer_config.json is no JSON object; copy it from the base model",
  });
});

const user: Message = { role: "user", content: "u" };

Deno.test("renderChat() folds thinking into replies after the last user message where a template knows none", () => {
  const template =
    "{% for m in messages %}[{{ m.role }}|{{ m.content }}|{{ m.name }}|{{ m.tool_call_id }}|" +
    "{{ m.tool_calls is defined }}]{% endfor %}";
  const reply = (content: string, reasoning_content?: string): Message => ({
    role: "assistant",
    content,
    reasoning_content,
  });
  const render = (...messages: Message[]): string =>
    renderChat(template, messages, { addGenerationPrompt: false });
  assert.equal(
    render(reply("a", "t"), user, reply("b", "\nt\n"), reply("c", ""), reply("d")),
    "[assistant|a|||False][user|u|||False][assistant|<think>\nt\n</think>\n\nb|||False]" +
      "[assistant|c|||False][assistant|d|||False]",
  );
  assert.equal(render(reply("a", "t")), "[assistant|<think>\nt\n</think>\n\na|||False]");
  assert.equal(render({ ...user, reasoning_content: "t" }), "[user|u|||False]");
  assert.equal(
    render({ role: "tool", content: "x", name: "n", tool_call_id: "i" }, {
      ...reply("y"),
      tool_calls: [],
    }),
    "[tool|x|n|i|False][assistant|y|||True]",
  );
});

Deno.test("renderChat() gives thinking under both of its names to a template that knows one", () => {
  const message: Message = { role: "assistant", content: "c", reasoning_content: "t" };
  for (const known of ["reasoning_content", "m.thinking", "m['thinking']", 'm["thinking"]']) {
    const template =
      `{% set m = messages[0] %}{{ '' if ${known} is defined }}{{ m | items | map("last") | join("|") }}`;
    assert.equal(
      renderChat(template, [message], { addGenerationPrompt: false }),
      "assistant|c|t|t",
    );
  }
});

Deno.test("renderChat() names templates that use what is not rendered, as far as 40 characters", () => {
  const filler = "x".repeat(20);
  assert.throws(
    () => renderChat(`${filler}{{ "a".upper }}`, [user], { addGenerationPrompt: false }),
    {
      name: "TypeError",
      message: `Cannot render the chat with the template ${
        JSON.stringify(`${filler}{{ "a".upper }}`)
      }: printing a builtin_function_or_method, whose text holds an address would not be rendered exactly as transformers does; give another template with --chat-template FILE`,
    },
  );
  const named = (template: string, shown: string): void =>
    assert.throws(() => checkChatTemplate(template), {
      name: "TypeError",
      message:
        `Cannot use the chat template ${shown}: line 1: the filter pprint would not be rendered exactly as transformers does; give another template with --chat-template FILE`,
    });
  const exactly = "z".repeat(22) + "{{ 'a' | pprint }}";
  assert.equal(exactly.length, 40);
  named(exactly, `"${exactly}"`);
  named(`z${exactly}`, `"z${exactly.slice(0, 39)}…"`);
});

Deno.test("checkChatTemplate() takes a mebibyte of characters", () => {
  checkChatTemplate("x".repeat(1_048_576));
  assert.throws(() => checkChatTemplate("x".repeat(1_048_577)), {
    name: "RangeError",
    message:
      "Cannot parse the chat template: 1048577 characters exceed 1048576; give another template with --chat-template FILE",
  });
  const open = "{{ " + "(".repeat(200);
  assert.throws(() => checkChatTemplate(open), {
    name: "SyntaxError",
    message:
      "Cannot parse the chat template: line 1: nesting is deeper than 150; copy it again from the base model, or give another template with --chat-template FILE",
  });
});
