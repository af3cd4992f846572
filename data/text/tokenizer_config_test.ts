import assert from "node:assert/strict";
import { byteTokenizerFiles } from "./byte_tokenizer.ts";
import { createTokenizer } from "./tokenizer.ts";
import fixture from "../../tests/fixtures/tokenizers/config_cases.json" with { type: "json" };

type Json = Record<string, unknown>;

for (const { name, config, files, changes, v5 } of fixture.cases) {
  Deno.test(`tokenizer_config.json and the files beside it are read as transformers does: ${name}`, () => {
    const beside: Record<string, Json | undefined> = files;
    const tokenizer = createTokenizer({
      tokenizerJson: { ...fixture.base, ...changes },
      tokenizerConfig: config,
      specialTokensMap: beside["special_tokens_map.json"],
      addedTokens: beside["added_tokens.json"],
    });
    const ids = tokenizer.encode(fixture.text);
    assert.deepEqual([...ids], v5.ids);
    assert.equal(tokenizer.decode(ids, { skipSpecialTokens: true }), v5.text);
    assert.equal(tokenizer.eosTokenId, v5.eos);
    assert.equal(tokenizer.bosTokenId ?? null, v5.bos);
    // transformers has no padding token where ortune takes the eos token.
    assert.equal(tokenizer.padTokenId, v5.pad ?? v5.eos);
    assert.equal(tokenizer.vocabSize, v5.size);
  });
}

const toy = byteTokenizerFiles();
const notesOf = (config: Json, files: Json = {}): readonly string[] =>
  createTokenizer({ ...toy, ...files, tokenizerConfig: { ...toy.tokenizerConfig, ...config } })
    .notes;

Deno.test("a tokenizer_config.json that is honoured has no notes", () => {
  assert.deepEqual(notesOf({}), []);
  assert.deepEqual(
    notesOf({ add_bos_token: true, legacy: false, do_lower_case: true, model_max_length: 8 }),
    [],
  );
});

Deno.test("notes name what tokenizer_config.json says and does not come to pass", () => {
  const cases: [Json, RegExp][] = [
    [{ frobnicate: 1 }, /tokenizer_config\.json has fields that ortune doesn't know.*frobnicate/],
    [{ add_prefix_space: true }, /add_prefix_space is true and .* tokenizer\.json says false/],
    [{ auto_map: { AutoTokenizer: ["x.Y", null] } }, /auto_map is .*Python code is not run/],
    [{ tokenizer_class: "FooTokenizer" }, /tokenizer_class is FooTokenizer, which ortune doesn't/],
    [{ additional_special_tokens: ["<new>"] }, /tokens that tokenizer\.json lacks.*<new> 261/],
    [{ added_tokens_decoder: { 300: { content: "<new>" } } }, /<new> 261 and not 300/],
    [{ image_token: "<new>" }, /<new> 261/],
  ];
  for (const [config, expected] of cases) {
    const notes = notesOf(config);
    assert.equal(notes.length, 1, JSON.stringify(notes));
    assert.match(notes[0], expected);
  }
});

Deno.test("createTokenizer() refuses a tokenizer_config.json that asks for other ids", () => {
  const cases: [Json, RegExp][] = [
    [{ split_special_tokens: true }, /split_special_tokens is true: .*set it to false/],
    [{ fix_mistral_regex: true }, /fix_mistral_regex is true/],
    [{ tokenizer_class: "ByT5Tokenizer" }, /tokenizer_class is ByT5Tokenizer, which transformers/],
    [{ tokenizer_class: 7 }, /tokenizer_class is number 7/],
    [{ bos_token: 7 }, /bos_token is number 7, expected a token/],
    [{ additional_special_tokens: "<new>" }, /additional_special_tokens is string "<new>"/],
    [{ added_tokens_decoder: { x: { content: "<new>" } } }, /added_tokens_decoder\[x\] has no id/],
    [{ added_tokens_decoder: { "-1": { content: "a" } } }, /added_tokens_decoder\[-1\] has no id/],
    [
      { added_tokens_decoder: { 261: { content: "<new>", odd: 1 } } },
      /added_tokens_decoder\[261\] has fields that ortune doesn't know: odd/,
    ],
  ];
  for (const [config, expected] of cases) {
    assert.throws(() => notesOf(config), { name: "TypeError", message: expected });
  }
});

Deno.test("special_tokens_map.json names its own fields", () => {
  const notes = notesOf({}, { specialTokensMap: { odd: 1 } });
  assert.match(notes[0], /special_tokens_map\.json has fields that ortune doesn't know: odd/);
  assert.throws(() => notesOf({}, { addedTokens: { "<x>": -1 } }), {
    message: "Cannot read the tokenizer: added_tokens.json: <x> has no id or no content",
  });
});
