/** CONTRIBUTING.md's worked example of an optimizer is code that compiles, trains, and can be resumed. */

import assert from "node:assert/strict";
import { readExamples } from "../data/examples/read_examples.ts";
import { loadTokenizer } from "../data/text/tokenizer.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { Tensor } from "../ort/runtime/tensor.ts";
import { layoutParameters, ParameterStore } from "../model/engine/parameter_store.ts";
import { assertClose } from "../ort/tensor/assert_close.ts";
import { train } from "../train/loop/loop.ts";
import { linearSchedule } from "../train/schedules/schedules.ts";
import { createFullTrainer } from "../train/trainers/full_trainer.ts";
import { checkOptimizer } from "./support/check_optimizer.ts";
import { folderHashes } from "./support/folder_hashes.ts";
import { quickstartFolder, THREADS } from "./support/quickstart_folder.ts";
import { repositoryPath } from "./support/run_script.ts";
import { sgd } from "./support/sgd.ts";

const runtime = new Runtime({ threads: THREADS });

Deno.test("CONTRIBUTING.md shows the optimizer that is tested here", async () => {
  const [guide, source] = await Promise.all(
    ["CONTRIBUTING.md", "tests/support/sgd.ts"].map((path) =>
      Deno.readTextFile(repositoryPath(path))
    ),
  );
  // As it would stand beside the others.
  const example = source.replaceAll("../../train/optimizers/", "./");
  assert.ok(guide.includes(`\`\`\`ts\n${example}\`\`\`\n`), "the two differ");
});

await checkOptimizer("sgd", sgd);

// Measured: 1.0e-7, of parameters about 1.
const ABSOLUTE = 5e-7;

Deno.test("the example makes the updates of torch.optim.SGD", async () => {
  using owned = new DisposableStack();
  const layout = layoutParameters([
    { name: "weight", shape: [3], decays: true },
    { name: "norm", shape: [2], decays: false },
  ]);
  const [parameters, gradients] = [0, 1].map(() => owned.use(new ParameterStore(runtime, layout)));
  const stores = { runtime, parameters, gradients, format: "float32" as const };
  const optimizer = owned.use(
    sgd.make({ ...stores, maxGradNorm: 0, constants: { weightDecay: 0.1 }, graphsOnly: false }),
  );
  using losses = Tensor.from(runtime, "float32", [1, 1], Float32Array.of(1));
  const expected = new Map([["weight", [1, -2, 0.5]], ["norm", [1, 0.25]]]);
  const momenta = new Map([...expected].map(([name, p]) => [name, p.map(() => 0)]));
  for (const [name, p] of expected) parameters.tensor(name).float32().set(p);
  for (let step = 0; step < 5; step++) {
    const rate = 0.1 / (1 + step);
    for (const [name, p] of expected) {
      const g = p.map((_, i) => Math.sin(1 + i + 3 * step));
      gradients.tensor(name).float32().set(g);
      const decay = name === "weight" ? 0.1 : 0;
      const buffer = momenta.get(name)!;
      p.forEach((each, i) => {
        buffer[i] = 0.9 * buffer[i] + g[i] + decay * each;
        p[i] -= rate * buffer[i];
      });
    }
    optimizer.begin({ learningRate: rate, tokens: 1, seed: step });
    optimizer.addLosses(losses);
    await optimizer.update();
  }
  for (const [name, p] of expected) {
    assertClose(parameters.tensor(name).float32(), p, { absolute: ABSOLUTE, label: name });
  }
});

for (const graphsOnly of [false, true]) {
  const where = graphsOnly ? "in graphs alone" : "on the host";
  Deno.test(`the example trains ${where}, and a resumed run ends in the same bytes`, async () => {
    await using folder = await quickstartFolder();
    const model = `${folder.path}/models/tiny`;
    const tokenizer = await loadTokenizer(model);
    const path = `${folder.path}/data/train.jsonl`;
    const { examples } = await readExamples(path, { tokenizer, maxLength: 128, limit: 8 });
    const run = async (directory: string, resumeFrom?: string): Promise<number[]> => {
      await using trainer = await createFullTrainer(model, { runtime, graphsOnly, optim: sgd });
      const losses: number[] = [];
      const events = train(trainer, {
        examples,
        padId: tokenizer.padTokenId!,
        schedule: (totalSteps) => linearSchedule({ peak: 0.05, totalSteps }),
        batchSize: 4,
        maxSteps: 8,
        saveSteps: 4,
        resumeFrom,
        output: { directory, facts: {} },
      });
      for await (const event of events) if (event.type === "step") losses.push(event.loss);
      return losses;
    };
    const [whole, cut] = [`${folder.path}/whole`, `${folder.path}/cut`];
    const losses = await run(whole);
    assert.ok(losses.at(-1)! < 0.95 * losses[0], losses.join());
    assert.equal((await run(cut, `${whole}/checkpoint-4`)).length, 4);
    assert.deepEqual(
      await folderHashes(`${cut}/checkpoint-8`),
      await folderHashes(`${whole}/checkpoint-8`),
    );
  });
}
