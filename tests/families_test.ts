/** A row of the table of families comes with a parity fixture, and with the facts of transformers' classes. */

import assert from "node:assert/strict";
import { parseConfig } from "../model/config.ts";
import { FAMILIES } from "../model/families/families.ts";
import type { Family } from "../model/families/family.ts";
import { readConfigFixture } from "./support/config_fixture.ts";
import { readFixtureJson, withFixtureFile } from "./support/parity_fixture.ts";

for (const modelType of Object.keys(FAMILIES)) {
  Deno.test(`${modelType} has a parity fixture of logits, gradients, tokens and a Trainer series`, async () => {
    for (
      const file of ["model.safetensors", "expected.safetensors", "generate.json", "series.json"]
    ) {
      const models = await withFixtureFile(file);
      assert.ok(
        models.includes(modelType),
        `there is no tests/fixtures/parity/${modelType}/${file}; add ${modelType} to make.py there`,
      );
    }
    const { model_type } = await readFixtureJson<{ model_type: string }>(
      `${modelType}/config.json`,
    );
    assert.equal(model_type, modelType);
  });
}

/** Config classes that the older version does not have. */
const NEWER = ["Ministral3Config", "Qwen3_5TextConfig"];

for (const version of ["5.24.0", "4.57.6"]) {
  const { classes } = await readConfigFixture<
    { readonly classes: Readonly<Record<string, Readonly<Record<string, unknown>>>> }
  >(`fields-${version}.json`);

  Deno.test(`defaults of the families are those of the config classes of transformers ${version}`, () => {
    for (const [modelType, family] of Object.entries<Family>(FAMILIES)) {
      const { className, configClass = `${className}Config`, defaults, attentionBias } = family;
      const fields = classes[configClass];
      if (version === "4.57.6" && NEWER.includes(configClass)) {
        assert.equal(fields, undefined);
        continue;
      }
      assert.ok(fields, `tests/fixtures/config/make.py does not list ${configClass}`);
      assert.equal(fields.model_type, modelType);
      assert.equal(defaults.maxPositions, fields.max_position_embeddings, modelType);
      assert.equal(defaults.rmsNormEps ?? 1e-6, fields.rms_norm_eps, modelType);
      assert.equal(defaults.padTokenId ?? null, fields.pad_token_id, modelType);
      assert.equal(defaults.tiedEmbeddings ?? false, fields.tie_word_embeddings, modelType);
      // Without the field the model's code has or has not biases.
      assert.equal(attentionBias === undefined, "attention_bias" in fields, modelType);
    }
  });
}

Deno.test("an unknown model_type is answered with the families there are, and which models they cover", () => {
  assert.throws(() => parseConfig({ model_type: "gpt2" }), ({ name, message }: Error) => {
    assert.equal(name, "RangeError");
    const [start, families, covered] = message.split(/ortune supports | \(/);
    assert.equal(start, 'Cannot read config.json: model_type is "gpt2": ');
    assert.deepEqual(families.split(", "), Object.keys(FAMILIES));
    assert.match(covered, /^([^;]+; )*llama covers SmolLM; ([^;]+; )*qwen2 covers Qwen2\.5/);
    return true;
  });
});

Deno.test("a block's stacks are of its own parameters", () => {
  for (const [modelType, { block }] of Object.entries(FAMILIES)) {
    const sizes = { hiddenSize: 16, intermediateSize: 32, heads: 4, kvHeads: 2, headDim: 8 };
    for (const attentionBias of [false, true]) {
      const scales = { attentionScale: 1, residualScale: 1, normOffset: 0 };
      const { parameters, stacks } = block(
        { ...sizes, ...scales, rmsNormEps: 1e-6, attentionBias },
        { name: "full_attention" },
      );
      const names = parameters.map(({ name }) => name);
      assert.equal(new Set(names).size, names.length, modelType);
      for (const { name, of } of stacks) {
        assert.deepEqual(of.filter((part) => !names.includes(part)), [], `${modelType} ${name}`);
        assert.ok(!names.includes(name));
      }
    }
  }
});
