import assert from "node:assert/strict";
import { bootstrap, compareScores } from "./bootstrap.ts";
import { plainScore } from "./metric.ts";
import { metrics } from "./metrics.ts";

const values = Array.from({ length: 400 }, (_, i) => (i * 37 % 100) / 100);
const scores = values.map(plainScore);

Deno.test("bootstrap() gives the interval of a mean, the same for a seed", () => {
  const found = bootstrap(metrics.rouge_l, [undefined, ...scores])!;
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  const half = 1.96 * Math.sqrt(variance / values.length);
  assert.equal(found.rows, 400);
  assert.ok(Math.abs(found.value - mean) < 1e-12);
  // The normal interval; draws differ from it by some percent of its width, measured 3 %.
  assert.ok(Math.abs(found.low - (mean - half)) < 0.1 * half, `${found.low}`);
  assert.ok(Math.abs(found.high - (mean + half)) < 0.1 * half, `${found.high}`);
  assert.deepEqual(bootstrap(metrics.rouge_l, scores), found);
  assert.notDeepEqual(bootstrap(metrics.rouge_l, scores, { seed: 1 }), found);
  assert.equal(bootstrap(metrics.rouge_l, [undefined]), undefined);
});

Deno.test("compareScores() draws pairs, so that what all rows share has no spread", () => {
  const other = values.map((value, i) => i === 0 ? undefined : plainScore(value + 0.25));
  const found = compareScores(metrics.rouge_l, { base: scores, other })!;
  for (const each of [found.value, found.low, found.high]) assert.ok(Math.abs(each - 0.25) < 1e-12);
  assert.deepEqual([found.rows, found.wins, found.losses, found.ties], [399, 399, 0, 0]);
  const worse = compareScores(metrics.repetition, { base: scores, other })!;
  assert.deepEqual([worse.wins, worse.losses], [0, 399]);
  const neither = compareScores(metrics.reply_length, { base: scores, other })!;
  assert.equal(neither.ties, 399);
});
