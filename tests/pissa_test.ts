/**
 * An adapter that is trained from PiSSA and saved as one of twice the rank: PEFT's logits with it are ours. Fixture:
 * `tests/fixtures/pissa/make.py`.
 */

import assert from "node:assert/strict";
import { loadAdapter } from "../lora/load_adapter.ts";
import { loadModel } from "../model/engine/load_model.ts";
import { TrainingEngine } from "../model/engine/training_engine.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { assertClose } from "../ort/tensor/assert_close.ts";
import { openSafetensors } from "../ort/tensor/safetensors_file.ts";
import { readFloat32 } from "../ort/tensor/tensor_source.ts";
import { expectedBatch, fixturePath } from "./support/parity_fixture.ts";
import { runPissa } from "./support/pissa_run.ts";
import { tempFolder } from "./support/temp_folder.ts";

// Without the adapter they are 3.5 away.
const LOGITS = 1e-4; // absolute, measured 1.7e-6
/** Of a run anew from the fixture's, L2 a tensor, relative. */
const WEIGHTS = 1e-4; // measured 0 on the machine that made it

Deno.test("PEFT's logits with an adapter trained from PiSSA are ours, and training it again gives it", async () => {
  using runtime = new Runtime({ threads: 1 });
  await using folder = await tempFolder();
  const told = await runPissa(runtime, folder.path);
  const [fixture, again] = [fixturePath("../pissa/adapter"), folder.path];
  await using one = await openSafetensors(`${fixture}/adapter_model.safetensors`);
  await using other = await openSafetensors(`${again}/adapter_model.safetensors`);
  assert.deepEqual(other.names(), one.names());
  // Before each matrix, of which a file has two parts, and after the last one.
  const total = one.names().length / 2;
  assert.deepEqual(told, Array.from({ length: total + 1 }, (_, done) => ({ done, total })));
  let worst = 0;
  for (const name of one.names()) {
    const [x, y] = [await readFloat32(one, name), await readFloat32(other, name)];
    const norm = (of: (i: number) => number): number =>
      Math.sqrt(x.reduce((sum, _, i) => sum + of(i) ** 2, 0));
    worst = Math.max(worst, norm((i) => x[i] - y[i]) / norm((i) => x[i]));
  }
  assert.ok(worst < WEIGHTS, `${worst}`);

  await using expected = await openSafetensors(fixturePath("../pissa/expected.safetensors"));
  const batch = await expectedBatch(expected);
  const real = Int32Array.from(batch.segmentIds.keys()).filter((i) => batch.segmentIds[i] > 0);
  const wanted = await readFloat32(expected, "logits");
  const columns = expected.info("logits").shape.at(-1)!;
  const { config, weights: base } = await loadModel(runtime, fixturePath("qwen3"));
  const stride = Math.ceil(config.vocabSize / columns);
  for (const adapter of [fixture, again]) {
    using adapted = await loadAdapter(runtime, adapter, { config, base });
    const { block, weights } = adapted;
    using engine = new TrainingEngine(runtime, config, base, undefined, {
      adapter: { block, weights },
    });
    const logits = await engine.logits(batch, real);
    const got = Float32Array.from(
      { length: real.length * columns },
      (_, i) => logits[Math.floor(i / columns) * config.vocabSize + i % columns * stride],
    );
    const reference = got.map((_, i) =>
      wanted[real[Math.floor(i / columns)] * columns + i % columns]
    );
    const { maxAbsolute } = assertClose(got, reference, { absolute: LOGITS, label: adapter });
    if (Deno.env.get("ORTUNE_REPORT")) console.log({ logits: maxAbsolute, weights: worst });
  }
  base[Symbol.dispose]();
});
