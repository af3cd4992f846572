/**
 * Writes a checkpoint's logits for `tests/fixtures/parity/check_checkpoint.py`, which compares them
 * with those of transformers. In: a checkpoint folder and a safetensors path. Out: input_ids
 * [1, length] and logits [1, length, vocab] of a chat prompt.
 *
 *     deno run -A tests/support/write_logits.ts output/quickstart/checkpoint-258 /tmp/logits.safetensors
 */

import { loadTokenizer } from "../../data/text/tokenizer.ts";
import { sequenceGrid } from "../../model/engine/batch.ts";
import { loadModel } from "../../model/engine/load_model.ts";
import { TrainingEngine } from "../../model/engine/training_engine.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { writeSafetensors } from "../../ort/tensor/safetensors_writer.ts";
import { tensorSourceFromMap } from "../../ort/tensor/tensor_source.ts";

const [checkpoint, path] = Deno.args;
const runtime = new Runtime();
const tokenizer = await loadTokenizer(checkpoint);
const { config, weights } = await loadModel(runtime, checkpoint);
using engine = new TrainingEngine(runtime, config, weights);
const ids = tokenizer.encode(
  tokenizer.render([{ role: "user", content: "医生，我发烧了怎么办？ What helps?" }], {
    addGenerationPrompt: true,
  }),
);
const length = ids.length;
const grid = sequenceGrid(ids);
const logits = await engine.logits(grid, Int32Array.from(ids.keys()));
await writeSafetensors(
  path,
  tensorSourceFromMap(
    new Map([
      ["input_ids", {
        dtype: "int64",
        shape: [1, length],
        data: new Uint8Array(grid.inputIds.buffer),
      }],
      ["logits", {
        dtype: "float32",
        shape: [1, length, config.vocabSize],
        data: new Uint8Array(logits.slice().buffer),
      }],
    ]),
  ),
);
