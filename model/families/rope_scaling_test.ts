import assert from "node:assert/strict";
import { parseConfig } from "../config.ts";

type Json = Readonly<Record<string, unknown>>;

const LEAST: Json = {
  model_type: "qwen3",
  hidden_size: 32,
  intermediate_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  head_dim: 16,
  vocab_size: 100,
  max_position_embeddings: 4096,
};

const YARN: Json = { rope_type: "yarn", factor: 4, original_max_position_embeddings: 1024 };

function rope(change: Json): unknown {
  const { layerKinds: [{ rope }], notes } = parseConfig({ ...LEAST, ...change });
  assert.deepEqual(notes, []);
  return rope;
}

Deno.test("all spellings of one scaling are read alike", () => {
  const { rope_type: type, ...rest } = YARN;
  const expected = rope({ rope_theta: 500, rope_scaling: YARN });
  assert.deepEqual(expected, {
    theta: 500,
    width: 16,
    maxPositions: 4096,
    scaling: {
      type: "yarn",
      factor: 4,
      attentionFactor: 0.1 * Math.log(4) + 1,
      betaFast: 32,
      betaSlow: 1,
      truncate: true,
      originalMaxPositions: 1024,
    },
  });
  const spellings: readonly Json[] = [
    { rope_theta: 500, rope_scaling: { ...rest, type } },
    { rope_theta: 500, rope_scaling: { ...YARN, type } },
    { rope_theta: 500, rope_parameters: YARN },
    { rope_parameters: { ...YARN, rope_theta: 500 } },
    { rope_theta: 500, rope_parameters: { ...YARN, rope_theta: 500 } },
    { rope_theta: 500, rope_scaling: YARN, rope_parameters: { ...YARN, rope_theta: 500 } },
    { rope_parameters: { full_attention: { ...YARN, rope_theta: 500 } } },
    {
      rope_theta: 500,
      rope_parameters: { full_attention: YARN, sliding_attention: { rope_type: "default" } },
    },
    { rope_theta: 500, rope_scaling: {}, rope_parameters: YARN },
    { rope_theta: 500, rope_scaling: null, rope_parameters: { ...YARN, partial_rotary_factor: 1 } },
    { rope_theta: 500, rope_scaling: { ...YARN, factor: null } },
    { rope_theta: 500, rope_scaling: { ...YARN, beta_fast: null, beta_slow: 0, mscale: 0 } },
    { rope_theta: 500, rope_scaling: YARN, original_max_position_embeddings: 1024 },
  ];
  for (const each of spellings) assert.deepEqual(rope(each), expected, JSON.stringify(each));
});

/** What two fields say of one fact, or one field cannot say, and the message. */
const REFUSED: readonly (readonly [Json, string])[] = [
  [
    { rope_theta: 10000, rope_parameters: { rope_type: "default", rope_theta: 1e6 } },
    "rope_theta is 10000 and rope_parameters.rope_theta is 1000000: versions of transformers " +
    "differ in which they take; remove the wrong one",
  ],
  [
    { rope_theta: 10000, rope_parameters: { full_attention: { rope_theta: 1e6 } } },
    "rope_theta is 10000 and rope_parameters.full_attention.rope_theta is 1000000: versions of " +
    "transformers differ in which they take; remove the wrong one",
  ],
  [
    { rope_scaling: { type: "linear", factor: 2 }, rope_parameters: { rope_theta: 1e6 } },
    'rope_scaling asks for {"type":"linear","factor":2} with rope_theta 10000 and rope_parameters ' +
    "for no scaling with rope_theta 1000000: versions of transformers differ in which they take; " +
    "remove the wrong one",
  ],
  [
    { rope_scaling: { ...YARN, type: "linear" } },
    'rope_scaling has rope_type "yarn" and type "linear": versions of transformers differ in which ' +
    "they take; remove the wrong one",
  ],
  [
    { rope_scaling: YARN, original_max_position_embeddings: 2048 },
    "original_max_position_embeddings is 2048 and rope_scaling.original_max_position_embeddings " +
    "is 1024: versions of transformers differ in which they take; remove the wrong one",
  ],
  [
    { rope_parameters: { sliding_attention: YARN } },
    "rope_parameters is by kind of layer (sliding_attention) without full_attention",
  ],
  [
    { rope_parameters: { full_attention: YARN, rope_theta: 5 } },
    "rope_parameters has parameters by kind of layer (full_attention) and rope_theta beside them; " +
    "move these into full_attention",
  ],
  [
    { rope_scaling: { ...YARN, mrope_section: [2, 3, 3] } },
    "rope_scaling.mrope_section is [2,3,3]: rotary embeddings of images are not supported; use a " +
    "text model",
  ],
  [
    { rope_scaling: { ...YARN, partial_rotary_factor: 0.5 } },
    "rope_scaling.partial_rotary_factor is 0.5: only 1 is supported",
  ],
  [
    { rope_scaling: { ...YARN, beta_fast: 1, beta_slow: 2 } },
    "rope_scaling.beta_fast must not be below beta_slow 2, got 1",
  ],
  [
    { rope_scaling: { ...YARN, truncate: "no" } },
    'rope_scaling.truncate must be true or false, got "no"',
  ],
  [
    { rope_scaling: { ...YARN, attention_factor: -1 } },
    "rope_scaling.attention_factor must be a number above 0, got -1",
  ],
  [{ rope_theta: 1, rope_scaling: YARN }, "rope_theta is 1: yarn needs another base"],
  [
    { head_dim: 2, rope_scaling: { type: "dynamic", factor: 2 } },
    "head_dim is 2: dynamic needs at least 4",
  ],
];

Deno.test("what two fields say differently, or one cannot say, is refused by name", () => {
  for (const [change, message] of REFUSED) {
    assert.throws(() => parseConfig({ ...LEAST, ...change }), {
      name: "RangeError",
      message: `Cannot read config.json: ${message}`,
    });
  }
});

/** What has no effect, and the note on it. */
const NOTED: readonly (readonly [Json, string])[] = [
  [
    { rope_scaling: { type: "linear", factor: 2, beta_fast: 32 } },
    "rope_scaling.beta_fast is 32: it has no effect with the type linear; remove it, or correct the " +
    "type",
  ],
  [
    { rope_scaling: { ...YARN, finetuned: true } },
    "rope_scaling holds fields that ortune does not know: finetuned; if they change the model its " +
    "results are wrong",
  ],
  [
    { rope_scaling: { ...YARN, factor: 2 } },
    "rope_scaling.factor is 2, but max_position_embeddings 4096 ÷ original_max_position_embeddings " +
    "1024 is 4: 2 is used",
  ],
  [
    { rope_scaling: { ...YARN, mscale: 2 } },
    "rope_scaling.mscale is 2: it has no effect without the other of the two",
  ],
  [
    { rope_scaling: { ...YARN, attention_factor: 1, mscale: 2, mscale_all_dim: 1 } },
    "rope_scaling.mscale is 2: it has no effect beside attention_factor",
  ],
  [
    { original_max_position_embeddings: 1024 },
    "original_max_position_embeddings is 1024: it has no effect with rotary embeddings of type " +
    "default",
  ],
];

Deno.test("what has no effect is noted by name", () => {
  for (const [change, note] of NOTED) {
    assert.deepEqual(parseConfig({ ...LEAST, ...change }).notes, [`config.json: ${note}`]);
  }
});
