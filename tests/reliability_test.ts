/** A short form of bench/reliability: nothing is lost, nothing hangs, no damage goes unnoticed. */

import assert from "node:assert/strict";
import { damage } from "../bench/reliability/damages.ts";
import { fuzz } from "../bench/reliability/fuzz.ts";
import { FUZZ_TARGETS, SELF_CHECK } from "../bench/reliability/fuzz_targets.ts";
import { kill } from "../bench/reliability/kills.ts";
import { mutateBytes, mutateJsonText, mutateText } from "../bench/reliability/mutate.ts";
import { seededRandom } from "../bench/reliability/random.ts";

const SEED = 1;
// It looks at processes by /proc.
const ignore = Deno.build.os !== "linux";

Deno.test({
  name: "runs, merges and exports that are killed lose nothing and end in the same bytes",
  ignore,
  fn: async () => {
    const { counts, findings } = await kill({ kills: 8, seed: SEED });
    assert.deepEqual(findings, []);
    assert.deepEqual(counts.map(({ kills }) => kills), [2, 2, 2, 2]);
    assert.ok(counts.every(({ compared }) => compared > 0));
  },
});

Deno.test({
  name: "every damage of a checkpoint is noticed, with its place",
  ignore,
  fn: async () => {
    const { findings } = await damage({ damages: 40, seed: SEED });
    assert.deepEqual(findings, []);
  },
});

Deno.test({
  name: `${FUZZ_TARGETS.length} readers take or refuse hostile inputs, in time, memory and words`,
  ignore,
  fn: async () => {
    const { counts, findings } = await fuzz({ inputs: 3200, seed: SEED, targets: FUZZ_TARGETS });
    assert.deepEqual(findings, []);
    for (const { target, accepted, refused, inputs } of counts) {
      assert.equal(accepted + refused, inputs, target);
      // A target that refuses all, or takes all, is not near the border.
      assert.ok(accepted > 0 || target.endsWith("bomb"), `${target} refused all`);
      assert.ok(refused > 0 || target === "swanlab frames", `${target} took all`);
    }
  },
});

Deno.test({
  name: "a reader that hangs, grows, falls or fails without words is found, and the rest is read",
  ignore,
  fn: async () => {
    const { counts: [counts], findings } = await fuzz({
      inputs: 7,
      seed: SEED,
      targets: [SELF_CHECK],
    });
    assert.deepEqual(
      findings.map(({ input, kind }) => [input, kind]),
      [[2, "raw error"], [3, "hang"], [4, "crash"], [5, "memory"]],
    );
    assert.equal(counts.inputs, 7);
    assert.equal(counts.accepted + counts.refused, 7);
  },
});

Deno.test("the same seed makes the same inputs, another one others", () => {
  const bytes = Uint8Array.from({ length: 200 }, (_, i) => i);
  const value = { a: [1, { b: "text of some length" }], c: null, d: 2.5 };
  const made = (seed: number) =>
    Array.from({ length: 50 }, (_, i) => {
      const random = seededRandom(seed, i);
      return [
        mutateText("{{ messages[0].content }} 12", random),
        mutateJsonText(value, random),
        mutateBytes(bytes, random).join(),
      ].join("\n");
    });
  assert.deepEqual(made(1), made(1));
  assert.ok(new Set([...made(1), ...made(2)]).size > 95);
  assert.deepEqual(value, { a: [1, { b: "text of some length" }], c: null, d: 2.5 });
});
