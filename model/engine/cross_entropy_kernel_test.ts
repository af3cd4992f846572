/**
 * The loss in a kernel beside the loss in graphs, on host memory: the kernel is compiled for the
 * processor, behind a stand-in for libcuda.
 */

import assert from "node:assert/strict";
import { CrossEntropyKernel } from "../../ort/kernels/cross_entropy_kernels.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { assertClose } from "../../ort/tensor/assert_close.ts";
import { hostGpu } from "../../tests/support/test_gpu.ts";
import {
  emptyStore,
  randomExamples,
  randomWeights,
  tinyBatch,
  tinyConfig,
} from "../../tests/support/tiny_model.ts";
import { TrainingEngine } from "./training_engine.ts";
import type { EngineKernels } from "./engine_context.ts";

// As parts of the largest of a tensor. Measured: losses 1.6e-7, gradients 9.8e-7.
const LOSSES = 2e-6;
const GRADIENTS = 2e-6;

const host = await hostGpu();
const ignore = !host;
if (ignore) console.warn("cross-entropy kernel tests skipped: they need Linux, gcc and g++");

const runtime = new Runtime({ threads: 2 });
const examples = randomExamples([6, 4, 7, 5, 3], 61);
const batches = [tinyBatch([examples], 25), tinyBatch(examples.map((each) => [each]), 7)];

for (const tie_word_embeddings of [true, false]) {
  // 64 and 61 logits: rows that are aligned for the kernel's wide loads, and rows that are not.
  for (const vocab_size of [64, 61]) {
    const config = tinyConfig({ tie_word_embeddings, vocab_size });
    Deno.test({
      name:
        `${vocab_size} logits, ${tie_word_embeddings ? "tied" : "untied"}: the kernel gives the ` +
        "losses and gradients of graphs",
      ignore,
      async fn() {
        using weights = randomWeights(runtime, config);
        const crossEntropy = await CrossEntropyKernel.load(host!.gpu, "float32");
        const pass = async (kernel: CrossEntropyKernel | undefined) => {
          using gradients = emptyStore(runtime, config);
          using engine = new TrainingEngine(runtime, config, weights, gradients, {
            headChunk: 4,
            graphsOnly: true,
            kernels: kernel && { loss: kernel },
          });
          const losses: number[] = [];
          for (const [i, batch] of batches.entries()) {
            const made = await engine.forwardBackward(batch, { scale: 0.1, first: i === 0 });
            losses.push(...made.losses);
            assert.deepEqual((await engine.evaluate(batch)).losses, made.losses);
          }
          const kept = gradients.names().map((name): [string, Float32Array] => [
            name,
            gradients.tensor(name).float32().slice(),
          ]);
          return { losses, gradients: new Map(kept) };
        };
        const expected = await pass(undefined);
        host!.records();
        const actual = await pass(crossEntropy);
        // 15 supervised tokens in chunks of 4, twice, trained and evaluated.
        assert.deepEqual(
          host!.records().map(({ name, grid }) => `${name} ${grid[0]}`),
          Array(4).fill([4, 4, 4, 3].map((rows) => `crossEntropy ${rows}`)).flat(),
        );
        const { maxRelative } = assertClose(actual.losses, expected.losses, {
          relativeToMax: LOSSES,
          label: "losses",
        });
        let worst = 0;
        for (const [name, values] of expected.gradients) {
          const { maxAbsolute } = assertClose(actual.gradients.get(name)!, values, {
            relativeToMax: GRADIENTS,
            label: name,
          });
          const largest = values.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
          assert.ok(largest > 1e-4, `${name} is all but zero`);
          worst = Math.max(worst, maxAbsolute / largest);
        }
        if (Deno.env.get("ORTUNE_REPORT")) console.log({ losses: maxRelative, gradients: worst });
      },
    });
  }
}

Deno.test("an objective without a kernel stays in graphs beside other kernels", async () => {
  const config = tinyConfig();
  using weights = randomWeights(runtime, config);
  const pass = async (kernels: EngineKernels | undefined) => {
    using gradients = emptyStore(runtime, config);
    using engine = new TrainingEngine(runtime, config, weights, gradients, {
      graphsOnly: true,
      kernels,
    });
    const { losses } = await engine.forwardBackward(batches[0], { scale: 0.1, first: true });
    const evaluated = await engine.evaluate(batches[0]);
    assert.deepEqual(evaluated.losses, losses);
    return { losses, gradients: gradients.flat.float32().slice() };
  };
  assert.deepEqual(await pass({}), await pass(undefined));
});

Deno.test({
  name: "a target outside of the vocabulary is refused before a kernel reads it",
  ignore,
  async fn() {
    const config = tinyConfig();
    using weights = randomWeights(runtime, config);
    using engine = new TrainingEngine(runtime, config, weights, undefined, {
      kernels: { loss: await CrossEntropyKernel.load(host!.gpu, "float32") },
    });
    const [batch] = batches;
    const token = batch.targets.findIndex((target) => target >= 0);
    const targets = batch.targets.with(token, config.vocabSize);
    await assert.rejects(
      engine.evaluate({ ...batch, targets }),
      /^RangeError: Cannot take the loss of token \d+: its target 64 is not below vocab_size 64$/,
    );
  },
});
