import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ModelConfig, parseConfig } from "../../model/config.ts";
import { parseGenerationConfig, readGenerationConfig } from "./generation_config.ts";

function modelConfig(more: Record<string, unknown> = {}): ModelConfig {
  return parseConfig({
    model_type: "qwen3",
    hidden_size: 8,
    intermediate_size: 8,
    num_hidden_layers: 1,
    num_attention_heads: 1,
    vocab_size: 200_000,
    ...more,
  });
}

const config = modelConfig({ eos_token_id: 151645 });

Deno.test("parseGenerationConfig() reads Qwen3's file", () => {
  const json = {
    bos_token_id: 151643,
    do_sample: true,
    eos_token_id: [151645, 151643],
    temperature: 0.6,
    top_k: 20,
    top_p: 0.95,
  };
  assert.deepEqual(parseGenerationConfig(json, { config }), {
    eosTokenIds: [151645, 151643],
    sampling: { temperature: 0.6, topK: 20, topP: 0.95, repetitionPenalty: 1 },
    notes: [],
  });
});

Deno.test("parseGenerationConfig() is greedy without do_sample, whatever else is written", () => {
  const json = { temperature: 0, top_p: null, repetition_penalty: 1.1 };
  const { sampling } = parseGenerationConfig(json, { config });
  assert.deepEqual(sampling, { greedy: true, repetitionPenalty: 1.1 });
});

Deno.test("parseGenerationConfig() keeps what a file without do_sample says of draws, where it is valid", () => {
  const json = { temperature: 0, top_p: 0.9, top_k: 20, min_p: "much", typical_p: null };
  assert.deepEqual(parseGenerationConfig(json, { config }).drawing, { topP: 0.9, topK: 20 });
  assert.equal(parseGenerationConfig({}, { config }).drawing, undefined);
  const drawn = { do_sample: true, top_p: 0.9 };
  assert.equal(parseGenerationConfig(drawn, { config }).drawing, undefined);
});

Deno.test("parseGenerationConfig() takes Hugging Face's defaults for sampling", () => {
  const { sampling } = parseGenerationConfig({ do_sample: true }, { config });
  assert.deepEqual(sampling, { temperature: 1, topK: 50, topP: 1, repetitionPenalty: 1 });
});

Deno.test("parseGenerationConfig() falls back to config.json's eos and then the tokenizer's", () => {
  const tokenizer = { eosTokenId: 7 };
  const eos = (json: unknown, config: ModelConfig): readonly number[] =>
    parseGenerationConfig(json, { config, tokenizer }).eosTokenIds;
  assert.deepEqual(eos({ eos_token_id: 3 }, config), [3]);
  assert.deepEqual(eos({}, config), [151645]);
  assert.deepEqual(eos({}, modelConfig({ eos_token_id: [1, 2] })), [1, 2]);
  assert.deepEqual(eos({}, modelConfig()), [7]);
  assert.throws(
    () => parseGenerationConfig({}, { config: modelConfig() }),
    /Cannot tell where a reply ends.*eos_token_id/,
  );
});

Deno.test("parseGenerationConfig() names the file, the field and the value", () => {
  const wrong: [unknown, RegExp][] = [
    [[], /a\/generation_config.json: expected a JSON object/],
    [{ do_sample: "yes" }, /do_sample must be true or false, got "yes"/],
    [{ do_sample: true, temperature: "hot" }, /temperature must be a number, got "hot"/],
    [{ do_sample: true, temperature: 0 }, /generation_config.json: .*temperature 0/],
    [{ do_sample: true, top_p: 2 }, /topP 2/],
    [{ eos_token_id: [] }, /eos_token_id must be one or several ids below 200000, got \[\]/],
    [{ eos_token_id: 200_000 }, /got 200000/],
    [{ eos_token_id: ["<|im_end|>"] }, /got \["<\|im_end\|>"\]/],
  ];
  for (const [json, message] of wrong) {
    const path = "a/generation_config.json";
    assert.throws(() => parseGenerationConfig(json, { config, path }), message);
  }
});

Deno.test("readGenerationConfig() reads a folder with the file, without it, and with a bad one", async () => {
  const folder = await mkdtemp(join(tmpdir(), "ortune-"));
  try {
    assert.deepEqual((await readGenerationConfig(folder, { config })).eosTokenIds, [151645]);
    const path = join(folder, "generation_config.json");
    await writeFile(path, '{"eos_token_id": 5}');
    assert.deepEqual((await readGenerationConfig(folder, { config })).eosTokenIds, [5]);
    await writeFile(path, "{");
    await assert.rejects(
      readGenerationConfig(folder, { config }),
      /not valid JSON .*; copy it again/,
    );
  } finally {
    await rm(folder, { recursive: true });
  }
});

Deno.test("parseGenerationConfig() names what is wrong in lists and limits", () => {
  const wrong: [Record<string, unknown>, RegExp][] = [
    [{ no_repeat_ngram_size: -1 }, /no_repeat_ngram_size must be a whole number from 0 up, got -1/],
    [{ no_repeat_ngram_size: 1.5 }, /no_repeat_ngram_size .* got 1.5/],
    [{ max_new_tokens: 0 }, /max_new_tokens must be a whole number from 1 up, got 0/],
    [{ bad_words_ids: [5] }, /bad_words_ids must be lists of token ids below 200000, got \[5\]/],
    [{ bad_words_ids: [[]] }, /bad_words_ids/],
    [{ bad_words_ids: [[200_000]] }, /bad_words_ids/],
    [{ sequence_bias: { "[5]": 1 } }, /sequence_bias must be pairs .* got {"\[5\]":1}/],
    [{ sequence_bias: [[[5], "1"]] }, /sequence_bias/],
    [{ suppress_tokens: ["a"] }, /suppress_tokens must be token ids, got \["a"\]/],
    [{ forced_bos_token_id: [1] }, /forced_bos_token_id must be a token id below 200000/],
    [{ forced_eos_token_id: 200_000 }, /forced_eos_token_id must be token ids below 200000/],
    [{ exponential_decay_length_penalty: [1] }, /exponential_decay_length_penalty .* \[20, 1.05\]/],
    [{ remove_invalid_values: 1 }, /remove_invalid_values must be true or false, got 1/],
    [{ stop_strings: [""] }, /stop_strings must be a text/],
    [{ stop_strings: "END" }, /stop_strings needs the tokenizer/],
    [{ repetition_penalty: 0 }, /repetitionPenalty 0: expected a number above 0/],
    [{ do_sample: true, min_p: 1.5 }, /minP 1.5: expected a number from 0 to 1/],
    [{ do_sample: true, typical_p: 0 }, /typicalP 0/],
    [{ do_sample: true, top_h: 2 }, /topH 2/],
  ];
  for (const [json, message] of wrong) {
    const path = "a/generation_config.json";
    assert.throws(() => parseGenerationConfig(json, { config, path }), (error: Error) => {
      assert.ok(error instanceof RangeError, JSON.stringify(json));
      assert.match(error.message, message);
      assert.match(error.message, /^Cannot read a\/generation_config\.json: /);
      return true;
    });
  }
});

Deno.test("readGenerationConfig() reads config.json's fields where there is no file, as Hugging Face", async () => {
  const folder = await mkdtemp(join(tmpdir(), "ortune-"));
  try {
    const legacy = modelConfig({
      eos_token_id: 7,
      no_repeat_ngram_size: 3,
      max_length: 60,
      num_beams: 2,
      torch_dtype: "float32",
    });
    const { sampling, maxLength, eosTokenIds, notes } = await readGenerationConfig(folder, {
      config: legacy,
    });
    assert.deepEqual([sampling.noRepeatNgramSize, maxLength, eosTokenIds], [3, 60, [7]]);
    assert.equal(notes.length, 1);
    assert.match(notes[0], /\/config\.json: num_beams is 2: /);
    await writeFile(join(folder, "generation_config.json"), "{}");
    const own = await readGenerationConfig(folder, { config: legacy });
    assert.deepEqual(own.sampling, { greedy: true, repetitionPenalty: 1 });
  } finally {
    await rm(folder, { recursive: true });
  }
});
