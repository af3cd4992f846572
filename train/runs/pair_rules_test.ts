import assert from "node:assert/strict";
import { UsageError } from "../../internal/usage_error.ts";
import { assertPairOptions } from "./pair_rules.ts";
import type { TrainingOptions } from "./training_arguments.ts";

/** What is refused of options, if anything. */
function refusal(options: TrainingOptions): string | undefined {
  try {
    return assertPairOptions(options) as undefined;
  } catch (cause) {
    assert.ok(cause instanceof UsageError);
    return cause.message;
  }
}

Deno.test("assertPairOptions() refuses what a loss of pairs cannot be combined with, and says why", () => {
  const rows = "a batch has as many pairs as rows";
  for (
    const [options, flag, why] of [
      [{ packing: true }, "--packing", rows],
      [{ tokensPerStep: 1 }, "--tokens-per-step", rows],
      [{ teach: "last" }, "--teach last", "of a pair both replies count, and none before them"],
      [{ teach: "marked" }, "--teach marked", "of a pair both replies count, and none before them"],
      [
        { truncation: "left" },
        "--truncation left",
        "both replies would lose other turns of their prompt",
      ],
      [{ compat: "seed" }, "--compat seed", "the seed knows no pairs"],
      [{ neftuneNoiseAlpha: 5 }, "--neftune-noise-alpha", "replies are compared without noise"],
    ] as const
  ) {
    for (const loss of ["dpo", "orpo"]) {
      assert.equal(
        refusal({ ...options, loss }),
        `Cannot use ${flag} with --loss ${loss}: ${why}; leave it out`,
      );
    }
    assert.equal(refusal(options), undefined);
    assert.equal(refusal({ ...options, loss: "dft" }), undefined);
  }
});

Deno.test("assertPairOptions() refuses CUDA for pairs", () => {
  for (const device of ["cuda", "cuda:1"]) {
    assert.equal(
      refusal({ device, loss: "dpo" }),
      `Cannot use --device ${device} with --loss dpo: pairs are weighed on the host between the forward and the ` +
        "backward pass, which a run on CUDA does not wait for; give --device cpu or --device webgpu",
    );
    assert.equal(refusal({ device }), undefined);
  }
});

Deno.test("assertPairOptions() takes pairs with all that goes with them", () => {
  for (const device of ["cpu", "webgpu", undefined]) {
    assert.equal(
      refusal({
        ...{ loss: "orpo", device, packing: false, teach: "all", truncation: "right", beta: 0.2 },
        ...{ neftuneNoiseAlpha: 0, metricForBestModel: "eval_rewards/margins" },
      }),
      undefined,
    );
  }
  assert.equal(refusal({ loss: "dpo" }), undefined);
});

Deno.test("assertPairOptions() refuses settings of pairs without them", () => {
  const end = "it is of pairs; leave it out, or give --loss dpo or --loss orpo";
  assert.equal(
    refusal({ beta: 0.1 }),
    `Cannot use --beta 0.1 with the loss cross_entropy: ${end}`,
  );
  assert.equal(
    refusal({ loss: "dft", metricForBestModel: "eval_rewards/margins" }),
    `Cannot use --metric-for-best-model eval_rewards/margins with the loss dft: ${end}`,
  );
  assert.equal(refusal({ metricForBestModel: "eval_loss" }), undefined);
  assert.equal(refusal({}), undefined);
});
