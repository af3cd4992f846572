/** Rows of one batch of an export have the logits that each has alone, wherever a client pads them. */

import assert from "node:assert/strict";
import { EXPORT_FORMATS, type ExportDtype, modelFile } from "../infer/export/export_format.ts";
import { exportModel } from "../infer/export/export_model.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { Session } from "../ort/runtime/session.ts";
import { Tensor } from "../ort/runtime/tensor.ts";
import { assertClose } from "../ort/tensor/assert_close.ts";
import { draws } from "./support/random.ts";
import { tempFolder } from "./support/temp_folder.ts";
import { randomWeights, tinyConfig } from "./support/tiny_model.ts";

const runtime = new Runtime({ threads: 2 });
const config = tinyConfig({
  hidden_size: 64,
  intermediate_size: 96,
  head_dim: 16,
  max_position_embeddings: 64,
});
const LENGTHS = [7, 3, 1, 5];
const NEW_TOKENS = 4;

/** One call of a client: ids and mask of each row, and the cache of the call before. */
interface Step {
  readonly ids: readonly (readonly number[])[];
  readonly mask: readonly (readonly number[])[];
  readonly cache?: ReadonlyMap<string, Tensor>;
  /** Logits from the end; 0 for all. */
  readonly keep: number;
}

/** Logits [rows, kept, vocab], and the cache for the next call; all tensors are owned by the stack. */
function runStep(
  session: Session,
  owned: DisposableStack,
  { float, ids, mask, cache, keep }: Step & { readonly float: "float32" | "float16" },
): { logits: Float32Array; cache: ReadonlyMap<string, Tensor> } {
  const int64 = (rows: readonly (readonly number[])[]) =>
    owned.use(
      Tensor.from(
        runtime,
        "int64",
        [rows.length, rows[0].length],
        BigInt64Array.from(rows.flat(), BigInt),
      ),
    );
  const { layers, kvHeads, headDim, vocabSize } = config;
  const [rows, length, total] = [ids.length, ids[0].length, mask[0].length];
  const inputs: Record<string, Tensor> = { input_ids: int64(ids), attention_mask: int64(mask) };
  inputs.num_logits_to_keep = owned.use(
    Tensor.from(runtime, "int64", [], BigInt64Array.of(BigInt(keep))),
  );
  const kept = keep || length;
  const outputs: Record<string, Tensor> = {
    logits: owned.use(Tensor.allocate(runtime, float, [rows, kept, vocabSize])),
  };
  const next = new Map<string, Tensor>();
  for (let layer = 0; layer < layers; layer++) {
    for (const part of ["key", "value"]) {
      const name = `${layer}.${part}`;
      const tensor = (size: number) =>
        owned.use(Tensor.allocate(runtime, float, [rows, kvHeads, size, headDim]));
      inputs[`past_key_values.${name}`] = cache?.get(name) ?? tensor(0);
      outputs[`present.${name}`] = tensor(total);
      next.set(name, outputs[`present.${name}`]);
    }
  }
  session.run({ inputs, outputs });
  const bytes = outputs.logits.bytes();
  const logits = float === "float32"
    ? Float32Array.from(outputs.logits.float32())
    : Float32Array.from(new Float16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2));
  return { logits, cache: next };
}

/** Each row's logits of its own tokens, then of each next token: [tokens + NEW_TOKENS, vocab]. */
function rowLogits(
  session: Session,
  rows: readonly (readonly number[])[],
  { float, left }: { readonly float: "float32" | "float16"; readonly left: boolean },
): Float32Array[] {
  using owned = new DisposableStack();
  const { vocabSize } = config;
  const length = Math.max(...rows.map((row) => row.length)) - NEW_TOKENS;
  const padded = (row: readonly number[], value: (at: number) => number, pad: number): number[] => {
    const own = Array.from({ length: row.length - NEW_TOKENS }, (_, at) => value(at));
    const padding = new Array(length - own.length).fill(pad);
    return left ? [...padding, ...own] : [...own, ...padding];
  };
  // What pads is a token like others.
  let mask = rows.map((row) => padded(row, () => 1, 0));
  const prompt = { ids: rows.map((row) => padded(row, (at) => row[at], 5)), mask, keep: 0, float };
  let { logits, cache } = runStep(session, owned, prompt);
  const said = rows.map((row, i) => {
    const own = row.length - NEW_TOKENS;
    const first = i * length + (left ? length - own : 0);
    return [...logits.subarray(first * vocabSize, (first + own) * vocabSize)];
  });
  const last = runStep(session, owned, { ...prompt, keep: 1 }).logits;
  for (const [i, row] of rows.entries()) {
    // The last column is a token of every row that is padded on the left.
    if (!left && row.length - NEW_TOKENS < length) continue;
    assert.deepEqual(
      [...last.subarray(i * vocabSize, (i + 1) * vocabSize)],
      said[i].slice(-vocabSize),
    );
  }
  for (let at = 0; at < NEW_TOKENS; at++) {
    mask = mask.map((row) => [...row, 1]);
    const ids = rows.map((row) => [row[row.length - NEW_TOKENS + at]]);
    ({ logits, cache } = runStep(session, owned, { ids, mask, cache, keep: 1, float }));
    for (const [i, each] of said.entries()) {
      each.push(...logits.subarray(i * vocabSize, (i + 1) * vocabSize));
    }
  }
  return said.map((each) => Float32Array.from(each));
}

for (
  const [dtype, relativeToMax] of [
    // Measured worst: EXACT.
    ["fp32", 1e-5],
    ["fp16", 1e-2],
    ["q4", 1e-5],
  ] as const satisfies readonly (readonly [ExportDtype, number])[]
) {
  Deno.test(`rows of a batch in ${dtype} have the logits that they have alone, padded left or right`, async () => {
    await using folder = await tempFolder();
    await Deno.mkdir(`${folder.path}/onnx`);
    using weights = randomWeights(runtime, config);
    await exportModel(folder.path, { config, weights, dtype });
    using session = new Session(runtime, `${folder.path}/onnx/${modelFile(dtype)}`);
    const { float } = EXPORT_FORMATS[dtype];
    const draw = draws(9);
    const rows = LENGTHS.map((length) =>
      Array.from({ length: length + NEW_TOKENS }, () => Math.floor(draw(0, config.vocabSize)))
    );
    const alone = rows.map((row) => rowLogits(session, [row], { float, left: true })[0]);
    for (const left of [true, false]) {
      for (const [i, logits] of rowLogits(session, rows, { float, left }).entries()) {
        const label = `row ${i}, padded ${left ? "left" : "right"}`;
        if (Deno.env.get("ORTUNE_REPORT")) {
          const worst = Math.max(...logits.map((each, at) => Math.abs(each - alone[i][at])));
          console.log(dtype, label, worst, Math.max(...alone[i].map(Math.abs)));
        }
        assertClose(logits, alone[i], { relativeToMax, label });
      }
    }
  });
}

Deno.test("an export refuses rows whose new tokens are not one run of ones", async () => {
  await using folder = await tempFolder();
  await Deno.mkdir(`${folder.path}/onnx`);
  using weights = randomWeights(runtime, config);
  await exportModel(folder.path, { config, weights, dtype: "fp32" });
  using session = new Session(runtime, `${folder.path}/onnx/${modelFile("fp32")}`);
  const ids = [[1, 2, 3, 4], [5, 6, 7, 8]];
  for (const hole of [[1, 0, 1, 1], [0, 1, 0, 1], [0, 0, 0, 0]]) {
    using owned = new DisposableStack();
    const step = { ids, mask: [[1, 1, 1, 1], hole], keep: 1, float: "float32" } as const;
    assert.throws(
      () => runStep(session, owned, step),
      /attention_mask_must_have_one_run_of_ones_for_the_new_tokens_of_each_row/,
      String(hole),
    );
  }
});
