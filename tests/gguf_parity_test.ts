/** Exported GGUF files in llama.cpp itself: the tokens of every family are those of the model that was exported. */

import assert from "node:assert/strict";
import { loadTokenizer } from "../data/text/tokenizer.ts";
import { createGenerator } from "../infer/generate/generator.ts";
import { exportGguf } from "../infer/gguf/export_gguf.ts";
import { LlamaLibrary } from "../infer/gguf/llama_library.ts";
import type { ModelType } from "../model/families/families.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { fixturePath } from "./support/parity_fixture.ts";
import { tempFolder } from "./support/temp_folder.ts";
import { FAMILY_FIELDS, familyConfig, randomWeights } from "./support/tiny_model.ts";

const NEW_TOKENS = 64;
const QUESTIONS = ["头痛怎么办？", "What is a fever?"];
const SIZES = {
  ...{ hidden_size: 64, intermediate_size: 96, head_dim: 16, vocab_size: 303 },
  ...{ max_position_embeddings: 512, bos_token_id: 296, eos_token_id: 298, pad_token_id: 296 },
};
/** What llama.cpp has in place of what shows a family elsewhere. */
const CHANGES: Readonly<Partial<Record<ModelType, Readonly<Record<string, unknown>>>>> = {
  mistral: { sliding_window: null },
  smollm3: {
    num_hidden_layers: 5,
    no_rope_layer_interval: 4,
    use_sliding_window: false,
    sliding_window: null,
  },
  phi3: { sliding_window: null },
  gemma3_text: { query_pre_attn_scalar: 16 },
  qwen3_5_text: { linear_key_head_dim: 8, linear_value_head_dim: 8 },
};

const runtime = new Runtime({ threads: 1 });
const tokenizer = await loadTokenizer(fixturePath("tokenizer"));

for (const [i, family] of (Object.keys(FAMILY_FIELDS) as ModelType[]).entries()) {
  Deno.test(`llama.cpp gives the tokens of ${family}`, async () => {
    using llama = await LlamaLibrary.open();
    await using folder = await tempFolder();
    const config = familyConfig(family, { ...SIZES, ...CHANGES[family] });
    using weights = randomWeights(runtime, config, i + 1);
    using generator = createGenerator({ runtime, config, weights });
    const path = `${folder.path}/f32.gguf`;
    await exportGguf(path, {
      config,
      weights,
      tokenizer,
      model: fixturePath("tokenizer"),
      dtype: "f32",
      name: family,
    });
    using model = await llama.load(path, { contextLength: 256 });
    for (const content of QUESTIONS) {
      const text = tokenizer.render([{ role: "user", content }], { addGenerationPrompt: true });
      const prompt = tokenizer.encode(text);
      assert.deepEqual(model.encode(text), prompt);
      const wanted = await Array.fromAsync(
        generator.generate(prompt, { maxNewTokens: NEW_TOKENS, greedy: true, eosTokenIds: [] }),
      );
      const got = await model.greedy(prompt, NEW_TOKENS);
      assert.deepEqual(got, wanted);
    }
  });
}
