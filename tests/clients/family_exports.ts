/** Exports of every family in transformers.js: its tokens are those of the model that was exported. */

import assert from "node:assert/strict";
import { loadTokenizer } from "../../data/text/tokenizer.ts";
import { exportClientFiles } from "../../infer/export/client_files.ts";
import { exportModel } from "../../infer/export/export_model.ts";
import { createGenerator } from "../../infer/generate/generator.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { fixturePath } from "../support/parity_fixture.ts";
import { repositoryPath, runDeno } from "../support/run_script.ts";
import { tempFolder } from "../support/temp_folder.ts";
import { EXPORTED_FAMILIES, familyConfig, randomWeights } from "../support/tiny_model.ts";

const NEW_TOKENS = 24;
const QUESTIONS = ["头痛怎么办？", "What is a fever?"];
const SIZES = {
  ...{ hidden_size: 64, intermediate_size: 96, head_dim: 16, vocab_size: 303 },
  ...{ max_position_embeddings: 512, bos_token_id: 296, eos_token_id: 298, pad_token_id: 296 },
};

Deno.test("transformers.js gives the tokens of every family", async () => {
  using runtime = new Runtime({ threads: 2 });
  await using folder = await tempFolder();
  const tokenizer = await loadTokenizer(fixturePath("tokenizer"));
  const prompts = QUESTIONS.map((content) =>
    tokenizer.encode(
      tokenizer.render([{ role: "user", content }], { addGenerationPrompt: true }),
    )
  );
  const families = EXPORTED_FAMILIES;
  const wanted: { prompt: number[]; ids: number[] }[] = [];
  for (const [i, family] of families.entries()) {
    const config = familyConfig(family, SIZES);
    using weights = randomWeights(runtime, config, i + 1);
    const directory = `${folder.path}/${family}`;
    await Deno.mkdir(`${directory}/onnx`, { recursive: true });
    const exported = [await exportModel(directory, { config, weights, dtype: "fp32" })];
    await exportClientFiles(directory, { model: fixturePath("tokenizer"), config, exported });
    using generator = createGenerator({ runtime, config, weights });
    for (const prompt of prompts) {
      const options = { maxNewTokens: NEW_TOKENS, greedy: true, eosTokenIds: [] };
      const ids = await Array.fromAsync(generator.generate(prompt, options));
      wanted.push({ prompt: [...prompt], ids });
    }
  }
  const models = families.map((model) => ({ model, dtype: "fp32" }));
  const { code, stdout, stderr } = await runDeno([
    ...["run", "--quiet", "--allow-all"],
    `--config=${repositoryPath("examples/browser/deno.json")}`,
    repositoryPath("tests/clients/greedy_client.ts"),
    folder.path,
    JSON.stringify({ models, questions: QUESTIONS, newTokens: NEW_TOKENS }),
  ]);
  assert.equal(code, 0, stderr);
  const replies: typeof wanted = JSON.parse(stdout);
  for (const [i, family] of families.entries()) {
    const own = [2 * i, 2 * i + 1];
    assert.deepEqual(own.map((at) => replies[at]), own.map((at) => wanted[at]), family);
    // A model that repeats one token would show little.
    assert.ok(own.some((at) => new Set(wanted[at].ids).size > 4), `${family} repeats itself`);
  }
});
