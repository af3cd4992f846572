/** Attention in chunks of queries against attention with a mask, and against finite differences. */

import { DEFAULT_LORA } from "../lora/lora_options.ts";
import { chunkBackwardGraph, chunkForwardGraph } from "../model/graphs/attention_chunk_graphs.ts";
import { MASKED } from "../model/graphs/attention.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { assertClose } from "../ort/tensor/assert_close.ts";
import { byElements, weightedSum } from "./support/central_differences.ts";
import {
  assertAttention,
  ATTENTION_CASES,
  chunkedNumbers,
  maskedNumbers,
} from "./support/chunked_attention.ts";
import { assertSamePass, type EngineCase, enginePass } from "./support/engine_pass.ts";
import { draws } from "./support/random.ts";
import { dense, interpret } from "./support/reference_interpreter.ts";
import { FAMILY_FIELDS, randomExamples, tinyBatch, tinyConfig } from "./support/tiny_model.ts";

// Times the largest of a tensor. Measured: 5.0e-7.
const TOLERANCE = 5e-6;
// Times the largest of a tensor, of a model. Measured: gradients 2.2e-6, losses 2.2e-7.
const LIMITS = { gradients: 5e-6, losses: 2e-6 };
// Times the largest of a tensor, in float64. Measured: 7.5e-11.
const DIFFERENCES = 1e-9;

const runtime = new Runtime({ threads: 2 });

for (const { title, queries, ...given } of ATTENTION_CASES) {
  Deno.test(`attention in chunks is attention with a mask: ${title}`, () => {
    const expected = maskedNumbers(runtime, given);
    for (const views of [true, false]) {
      const actual = chunkedNumbers(runtime, given, { queries, views });
      const worst = assertAttention(actual, { expected, given, tolerance: TOLERANCE });
      if (Deno.env.get("ORTUNE_REPORT")) console.log(title, worst);
    }
  });
}

Deno.test("a chunk's gradients are those of finite differences", () => {
  const config = tinyConfig({ num_attention_heads: 2, num_key_value_heads: 1, head_dim: 4 });
  const [tokens, start, firstKey] = [9, 3, 1];
  const [length, keys] = [4, 6];
  const symbols = { rows: 1, length, keys, tokens };
  const draw = draws(2);
  const random = (width: number) => dense([tokens, width], () => draw(-1, 1));
  const inChunk = (i: number) => i >= start * 8 && i < (start + length) * 8;
  const r = dense([tokens, 8], (i) => inChunk(i) ? draw(-1, 1) : 0);
  const zeros = (width: number) => dense([tokens, width], () => 0);
  const inputs = {
    ...{ q: random(8), k: random(4), v: random(4), d_mixed: r },
    mask: dense(
      [1, 1, 1, length, keys],
      (i) => firstKey + i % keys <= start + Math.floor(i / keys) ? 0 : MASKED,
    ),
    query_ids: dense([length, 1], (i) => start + i),
    key_ids: dense([keys, 1], (i) => firstKey + i),
    ...{ mixed_before: zeros(8), dq_before: zeros(8), dk_before: random(4), dv_before: random(4) },
  };
  const { mixed } = interpret(chunkForwardGraph(config), inputs, symbols);
  const loss = weightedSum(chunkForwardGraph(config), "mixed", r, symbols);
  for (const first of [false, true]) {
    const gradients = interpret(
      chunkBackwardGraph(config, { first }),
      { ...inputs, mixed },
      symbols,
    );
    for (const name of ["q", "k", "v"] as const) {
      const elements = inputs[name].data.length;
      const expected = byElements(
        loss,
        inputs,
        name,
        Array.from({ length: elements }, (_, i) => i),
      );
      const before = name === "q" || first ? undefined : inputs[`d${name}_before` as const].data;
      const actual = gradients[`d${name}`].data.map((each, i) => each - (before?.[i] ?? 0));
      const { maxAbsolute } = assertClose(actual, Float64Array.from(expected), {
        label: `d${name}`,
        relativeToMax: DIFFERENCES,
      });
      const largest = expected.reduce((most, each) => Math.max(most, Math.abs(each)), 0);
      if (Deno.env.get("ORTUNE_REPORT")) console.log(`d${name}`, maxAbsolute / largest);
    }
  }
});

const [a, b, c, d] = randomExamples([40, 33, 17, 60], 64);
const BATCHES = [tinyBatch([[a, c], [d]], 60), tinyBatch([[b], [c, c]], 40)];

const FAMILIES = {
  qwen3: {},
  qwen2: { model_type: "qwen2", num_key_value_heads: 4 },
  llama: { model_type: "llama", num_key_value_heads: 1 },
  smollm3: { model_type: "smollm3", ...FAMILY_FIELDS.smollm3 },
  granite: { model_type: "granite", ...FAMILY_FIELDS.granite },
};
const LORA = { ...DEFAULT_LORA, dropout: 0.1 };
const KINDS = {
  "all weights": {},
  "all weights, activations kept": { options: { gradientCheckpointing: false } },
  "LoRA with dropout": { lora: LORA },
  "DoRA, activations kept": {
    ...{ lora: { ...LORA, dora: true }, options: { gradientCheckpointing: false } },
  },
};

for (const [family, change] of Object.entries(FAMILIES)) {
  for (const [kind, how] of Object.entries(KINDS)) {
    // Its scale is in all of them alike.
    if (family === "granite" && kind !== "all weights") continue;
    Deno.test(`training with attention in chunks is training with a mask: ${family}, ${kind}`, async () => {
      const given = { ...how, config: tinyConfig(change), batches: BATCHES };
      const expected = await enginePass(runtime, runtime, given);
      const { options = {} } = given as EngineCase;
      for (const chunks of [{ attentionChunk: 16, skipPadding: true }, { attentionChunk: 512 }]) {
        const actual = await enginePass(runtime, runtime, {
          ...given,
          options: { ...options, ...chunks },
        });
        const worst = assertSamePass(actual, expected, LIMITS);
        if (Deno.env.get("ORTUNE_REPORT")) console.log(family, kind, worst);
      }
    });
  }
}
