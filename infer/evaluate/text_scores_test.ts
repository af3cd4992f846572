/** ROUGE and BLEU are those of pip's rouge-score and sacrebleu. */

import assert from "node:assert/strict";
import { bleuOf, bleuSums } from "./metrics/bleu.ts";
import { rouge } from "./metrics/rouge.ts";

interface Pair {
  readonly zh: boolean;
  readonly text: string;
  readonly reference: string;
  readonly rouge: readonly number[];
  readonly bleu: number;
}

interface Fixture {
  readonly pairs: readonly Pair[];
  readonly corpus: Readonly<Record<"en" | "zh", number>>;
}

/** Largest difference allowed; measured: 0. */
const TOLERANCE = 1e-6;

const packed = await Deno.open(
  new URL("../../tests/fixtures/text_scores/pairs.json.gz", import.meta.url),
);
const { pairs, corpus }: Fixture = await new Response(
  packed.readable.pipeThrough(new DecompressionStream("gzip")),
).json();

function assertNear(
  values: readonly (readonly [got: number, expected: number, what: string])[],
): void {
  for (const [got, expected, what] of values) {
    const error = Math.abs(got - expected);
    assert.ok(error <= TOLERANCE, `${error} at ${what}`);
  }
}

Deno.test("rouge() is rouge-score's F-measure on 500 pairs in English and Chinese", () => {
  assert.equal(pairs.length, 500);
  assertNear(pairs.flatMap(({ zh, text, reference, rouge: expected }, i) => {
    const { rouge1, rouge2, rougeL } = rouge(text, reference, { chinese: zh });
    return [rouge1, rouge2, rougeL].map((got, at) => [got, expected[at], `${i}: ${text}`] as const);
  }));
});

Deno.test("BLEU is sacrebleu's on 500 pairs in English and Chinese, of sentences and of a corpus", () => {
  const all = pairs.map((pair) => ({
    ...pair,
    sums: bleuSums(pair.text, pair.reference, { chinese: pair.zh }),
  }));
  assertNear(
    all.map(({ sums, bleu, text }, i) =>
      [bleuOf(sums, { effective: true }), bleu, `${i}: ${text}`] as const
    ),
  );
  for (const language of ["en", "zh"] as const) {
    const own = all.filter(({ zh }) => zh === (language === "zh"));
    const sums = own[0].sums.map((_, at) => own.reduce((sum, each) => sum + each.sums[at], 0));
    assertNear([[bleuOf(sums, { effective: false }), corpus[language], language]]);
  }
});
