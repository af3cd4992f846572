/**
 * Every step, flag and model beside Hugging Face's Rust library, with the first of the hostile texts;
 * `tests/tokenizer_parity_test.ts` has all of them, and published tokenizers.
 */

import assert from "node:assert/strict";
import bases from "../../../tests/fixtures/tokenizers/bases.json" with { type: "json" };
import variants from "../../../tests/fixtures/tokenizers/variants.json" with { type: "json" };
import { hostileTexts } from "../../../tests/support/hostile_texts.ts";
import { BLOCK, factsOf, type TokenizerFacts } from "../../../tests/support/tokenizer_facts.ts";
import { createTokenizer } from "../tokenizer.ts";

type Json = Record<string, unknown>;

const texts = hostileTexts(undefined, BLOCK);
const firstOf = (hashes?: string): string | undefined => hashes?.split(" ")[0];

for (const variant of variants) {
  const { name, base, patch, rows, ids, texts: decoded }: TokenizerFacts & {
    readonly base: string;
    readonly patch: Json;
  } = variant;
  Deno.test(`the first ${BLOCK} texts have the Rust library's ids and texts: ${name}`, () => {
    const json: Json = (bases as Record<string, Json>)[base];
    const tokenizer = createTokenizer({
      tokenizerJson: {
        ...json,
        ...patch,
        model: { ...json.model as Json, ...patch.model as Json | undefined },
      },
      tokenizerConfig: {},
    });
    assert.deepEqual(factsOf(tokenizer, texts, decoded !== undefined), {
      rows,
      ids: firstOf(ids),
      texts: firstOf(decoded),
    });
  });
}
