import assert from "node:assert/strict";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import { assertClose } from "../../ort/tensor/assert_close.ts";
import {
  emptyStore,
  randomExamples,
  randomWeights,
  tinyBatch,
  tinyConfig,
} from "../../tests/support/tiny_model.ts";
import { crossEntropy } from "../graphs/cross_entropy.ts";
import { EngineContext } from "./engine_context.ts";
import { Head, headChunkOf } from "./head.ts";

Deno.test("as many tokens' logits are held at once as fit beside those of the largest usual head", () => {
  const cases:
    readonly (readonly [vocab: number, adapted: boolean, kernels: boolean, tokens: number])[] = [
      [32000, false, false, 256],
      [32000, true, false, 128],
      [32000, false, true, 2048],
      [32000, true, true, 1024],
      // Qwen2.5's 152,064 rows are the largest head whose tokens are not cut.
      [152064, false, false, 256],
      [152065, false, false, 192],
      [152064, false, true, 2048],
      [152065, false, true, 1984],
      [262144, false, false, 128],
      [262144, true, false, 64],
      [262144, false, true, 1152],
      // Not fewer than 64.
      [1_000_000, false, false, 64],
      [1_000_000, true, false, 64],
      [1_000_000, false, true, 256],
    ];
  for (const [vocabSize, adapted, kernels, tokens] of cases) {
    assert.equal(
      headChunkOf({ vocabSize, adapted, kernels }),
      tokens,
      `${vocabSize} ${adapted} ${kernels}`,
    );
  }
  assert.equal(headChunkOf({ vocabSize: 32000, adapted: false }), 256);
});

Deno.test("the head's losses and gradients are the same where chunks are copied, not seen", async () => {
  using runtime = new Runtime({ threads: 1 });
  const config = tinyConfig();
  using weights = randomWeights(runtime, config);
  const batch = tinyBatch([randomExamples([9, 5], 64)], 14);
  const tokens = batch.length;
  const results: Float32Array[][] = [];
  for (const views of [true, false]) {
    using context = new EngineContext({
      ...{ runtime, config, weights, objective: crossEntropy, graphsOnly: true },
    });
    Object.defineProperty(context, "views", { value: views });
    const hidden = context.hidden(config.layers, batch).float32();
    hidden.forEach((_, i) => hidden[i] = Math.sin(i));
    for (const chunk of [3, 100]) {
      using gradients = emptyStore(runtime, config);
      gradients.flat.float32().fill(NaN);
      const head = new Head(context, chunk);
      const supervised = head.supervised(batch);
      await head.losses(batch, supervised);
      const losses = supervised.values.loss.float32().slice();
      using dx = Tensor.from(runtime, "float32", [tokens, 16], new Float32Array(tokens * 16));
      await head.gradients(batch, supervised, {
        ...{ scale: 0.5, dx, store: gradients, first: true },
      });
      results.push([
        losses,
        supervised.values.loss.float32().slice(),
        dx.float32().slice(),
        gradients.tensor("model.norm.weight").float32().slice(),
        gradients.tensor("model.embed_tokens.weight").float32().slice(),
      ]);
    }
  }
  const [first, ...others] = results;
  // 10 tokens: chunks of 3, and one that is smaller.
  assert.equal(first[0].length, 10);
  for (const each of others) {
    each.forEach((values, i) =>
      assertClose(values, first[i], { relativeToMax: 2e-6, label: `${i}` })
    );
  }
  assert.deepEqual(first[0], first[1]);
});

Deno.test("tokens are not weighed one by one in a kernel", async () => {
  using runtime = new Runtime({ threads: 1 });
  const config = tinyConfig();
  using weights = randomWeights(runtime, config);
  const kernels = { loss: { launch: () => {} } } as never;
  using context = new EngineContext({
    ...{ runtime, config, weights, objective: crossEntropy, graphsOnly: true, kernels },
  });
  const batch = tinyBatch([randomExamples([5], 64)], 5);
  const head = new Head(context, 4);
  const supervised = head.supervised(batch);
  using dx = Tensor.from(runtime, "float32", [5, 16], new Float32Array(80));
  const factors = new Float32Array(supervised.tokens.length);
  await assert.rejects(
    head.gradients(batch, supervised, { scale: 1, factors, dx, first: true }),
    { message: "Cannot weigh tokens one by one in a kernel: make the engine without kernels" },
  );
});
