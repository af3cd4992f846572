/** Tokenizers give the ids and texts of Hugging Face's Rust library: 4,096 hostile texts each. */

import assert from "node:assert/strict";
import { createTokenizer } from "../data/text/tokenizer.ts";
import bases from "./fixtures/tokenizers/bases.json" with { type: "json" };
import variants from "./fixtures/tokenizers/variants.json" with { type: "json" };
import real from "./fixtures/tokenizers/real.json" with { type: "json" };
import { hostileTexts, TEXT_COUNT } from "./support/hostile_texts.ts";
import { realTokenizerFiles } from "./support/real_tokenizer.ts";
import { differing, factsOf, type TokenizerFacts } from "./support/tokenizer_facts.ts";

const texts = hostileTexts();
type Json = Record<string, unknown>;

function check(expected: TokenizerFacts, files: Parameters<typeof createTokenizer>[0]): void {
  const actual = factsOf(createTokenizer(files), texts, expected.texts !== undefined);
  const help = `blocks differ; see tests/fixtures/tokenizers/README.md to find the texts`;
  assert.deepEqual(actual.rows, expected.rows);
  assert.deepEqual(differing(expected.ids, actual.ids), [], `ids of these ${help}`);
  assert.deepEqual(differing(expected.texts, actual.texts), [], `texts of these ${help}`);
}

Deno.test("the hostile texts are those of the fixtures", () => {
  assert.equal(texts.length, TEXT_COUNT);
  assert.ok(variants.length > 100);
});

for (const variant of variants) {
  Deno.test(`encode() and decode() are the Rust library's: ${variant.name}`, () => {
    const base: Json = (bases as Record<string, Json>)[variant.base];
    const patch: Json = variant.patch;
    check(variant, {
      tokenizerJson: {
        ...base,
        ...patch,
        model: { ...base.model as Json, ...patch.model as Json | undefined },
      },
      tokenizerConfig: {},
    });
  });
}

for (const facts of real) {
  Deno.test(`encode() and decode() are the Rust library's for the published ${facts.name}`, async () => {
    check(facts, await realTokenizerFiles(facts.name));
  });
}
