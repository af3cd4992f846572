import assert from "node:assert/strict";
import { ApiError } from "./api_error.ts";
import { parseSampling } from "./request_sampling.ts";

const ids = (count: number): number[] => Array.from({ length: count }, (_, id) => id);

/** Of each field the first and last values that are taken, and those next to them that are refused. */
const LIMITS: readonly (readonly [string, readonly unknown[], readonly unknown[]])[] = [
  ["max_tokens", [1, 2 ** 53 - 1], [0, 1.5]],
  ["max_completion_tokens", [1], [0]],
  ["min_tokens", [0], [-1]],
  ["temperature", [0, 2], [-0.01, 2.01]],
  ["top_p", [0.01, 1], [-0.01, 0, 1.01]],
  ["top_k", [-1, 0, 1], [-2, 1.5]],
  ["min_p", [0, 1], [-0.01, 1.01]],
  ["typical_p", [0.01, 1], [0, 1.01]],
  ["top_h", [0.01, 1], [0, 1.01]],
  ["epsilon_cutoff", [0, 0.99], [-0.01, 1]],
  ["eta_cutoff", [0, 0.99], [-0.01, 1]],
  ["repetition_penalty", [0.01, 10], [0, 10.01]],
  ["no_repeat_ngram_size", [0, 1], [-1, 0.5]],
  ["suppress_tokens", [[], [0], ids(1024)], [[-1], [0.5], ids(1025), 3]],
  ["stop_token_ids", [[], [0], ids(1024)], [[-1], [0.5], ids(1025), 3]],
  ["ignore_eos", [true, false], [1]],
  ["seed", [-1, 0, 2 ** 53 - 1], [0.5, 2 ** 53]],
];

for (const [field, taken, refused] of LIMITS) {
  Deno.test(`parseSampling() takes ${field} up to its limits, and nothing beyond`, () => {
    for (const value of taken) parseSampling({ [field]: value });
    for (const value of refused) {
      assert.throws(
        () => parseSampling({ [field]: value }),
        (error) => error instanceof ApiError && error.status === 400 && error.param === field,
        `${field}: ${JSON.stringify(value)?.slice(0, 40)}`,
      );
    }
  });
}

Deno.test("parseSampling() takes as many tokens at least as at most, and no more", () => {
  const { minNewTokens, maxNewTokens } = parseSampling({ min_tokens: 3, max_tokens: 3 });
  assert.deepEqual([minNewTokens, maxNewTokens], [3, 3]);
  assert.throws(() => parseSampling({ min_tokens: 4, max_tokens: 3 }), /min_tokens 4 must not/);
  assert.equal(parseSampling({ max_tokens: 0 }, { leastTokens: 0 }).maxNewTokens, 0);
});
