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
  [
    { rope_scaling: { ...YARN, mrope_interleaved: true } },
    "rope_scaling.mrope_interleaved is true: only text models are supported",
  ],
  [
    { rope_scaling: { type: 3 } },
    "rope_scaling has type 3: ortune supports default, linear, dynamic, yarn, llama3, longrope; use " +
    "a model with one of these",
  ],
  [
    { rope_scaling: { type: "toString" } },
    'rope_scaling has type "toString": ortune supports default, linear, dynamic, yarn, llama3, ' +
    "longrope; use a model with one of these",
  ],
  // A name that only Phi-3's class knows.
  [
    { rope_scaling: { type: "su" } },
    'rope_scaling has type "su": ortune supports default, linear, dynamic, yarn, llama3, longrope; ' +
    "use a model with one of these",
  ],
  // A kind of layers is told by its name, or by its being a dictionary.
  [
    { rope_parameters: { swa: { rope_theta: 5 } } },
    "rope_parameters is by kind of layer (swa) without full_attention",
  ],
  [
    { rope_parameters: { full_attention: 3 } },
    "rope_parameters is by kind of layer (full_attention) without full_attention",
  ],
  ...[0, -1, NaN, Infinity, "2"].map((factor): readonly [Json, string] => [
    { rope_scaling: { type: "linear", factor } },
    `rope_scaling.factor must be a number above 0, got ${JSON.stringify(factor)}`,
  ]),
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

Deno.test("fields that ask for nothing are read without a note", () => {
  const image = { ...YARN, mrope_interleaved: false, mrope_section: null };
  assert.deepEqual(rope({ rope_scaling: image }), rope({ rope_scaling: YARN }));
  // Read by types of their own, and no more than a null where nothing reads it.
  assert.deepEqual(rope({ original_max_position_embeddings: null }), {
    ...{ theta: 10000, width: 16, maxPositions: 4096 },
  });
});

Deno.test("bounds of YaRN may be one, and heads of dynamic scaling of four", () => {
  const one = rope({ rope_scaling: { ...YARN, beta_fast: 3, beta_slow: 3 } });
  assert.partialDeepStrictEqual(one, { scaling: { betaFast: 3, betaSlow: 3 } });
  assert.deepEqual(rope({ head_dim: 4, rope_scaling: { type: "dynamic", factor: 2 } }), {
    ...{ theta: 10000, width: 4, maxPositions: 4096, scaling: { type: "dynamic", factor: 2 } },
  });
});

Deno.test("YaRN's scale of attention is 0.1 · m · ln(factor) + 1, of two m their quotient", () => {
  const factorOf = (change: Json): number => {
    const { layerKinds: [{ rope }] } = parseConfig({
      ...LEAST,
      rope_scaling: { ...YARN, ...change },
    });
    return rope?.scaling?.type === "yarn" ? rope.scaling.attentionFactor : NaN;
  };
  const ln = Math.log;
  assert.equal(factorOf({}), 0.1 * ln(4) + 1);
  assert.equal(factorOf({ factor: 1.5 }), 0.1 * ln(1.5) + 1);
  for (const factor of [0.5, 1]) {
    assert.equal(factorOf({ factor }), 1);
    assert.equal(factorOf({ factor, mscale: 2, mscale_all_dim: 3 }), 1);
  }
  assert.equal(
    factorOf({ mscale: 2, mscale_all_dim: 3 }),
    (0.1 * 2 * ln(4) + 1) / (0.1 * 3 * ln(4) + 1),
  );
  // One alone has no effect.
  assert.equal(factorOf({ mscale: 2 }), 0.1 * ln(4) + 1);
  assert.equal(factorOf({ mscale_all_dim: 2 }), 0.1 * ln(4) + 1);
  assert.equal(factorOf({ mscale: 2, mscale_all_dim: 3, attention_factor: 1.25 }), 1.25);
});

Deno.test("a factor that is not that of the positions is noted, unless positions are not stretched", () => {
  const notes = (change: Json): readonly string[] =>
    parseConfig({ ...LEAST, rope_scaling: { ...YARN, ...change } }).notes;
  assert.deepEqual(notes({ original_max_position_embeddings: 4096 }), []);
  assert.deepEqual(notes({ original_max_position_embeddings: 2048, factor: 2 }), []);
  assert.deepEqual(notes({ original_max_position_embeddings: 2048, factor: 4 }), [
    "config.json: rope_scaling.factor is 4, but max_position_embeddings 4096 ÷ " +
    "original_max_position_embeddings 2048 is 2: 4 is used",
  ]);
  assert.deepEqual(notes({ mscale_all_dim: 2 }), [
    "config.json: rope_scaling.mscale_all_dim is 2: it has no effect without the other of the two",
  ]);
});

Deno.test("Llama 3's fields are read from their own", () => {
  const llama3 = { rope_type: "llama3", factor: 8, low_freq_factor: 2, high_freq_factor: 5 };
  const expected = { type: "llama3", factor: 8, lowFreqFactor: 2, highFreqFactor: 5 };
  assert.deepEqual(rope({ rope_scaling: llama3 }), {
    ...{ theta: 10000, width: 16, maxPositions: 4096 },
    scaling: { ...expected, originalMaxPositions: 4096 },
  });
  assert.deepEqual(rope({ rope_scaling: llama3, original_max_position_embeddings: 512 }), {
    ...{ theta: 10000, width: 16, maxPositions: 4096 },
    scaling: { ...expected, originalMaxPositions: 512 },
  });
});

const PHI3: Json = { ...LEAST, model_type: "phi3", head_dim: 8 };
const LONG: Json = {
  type: "longrope",
  ...{ short_factor: [1, 2, 3, 4], long_factor: [5, 6, 7, 8] },
  original_max_position_embeddings: 1024,
};

/** LongRoPE's scaling of Phi-3. */
function longRope(change: Json, scaling: Json = {}): unknown {
  const config = parseConfig({ ...PHI3, rope_scaling: { ...LONG, ...scaling }, ...change });
  return config.layerKinds[0].rope;
}

Deno.test("LongRoPE is read under any of its names, with its scale of attention", () => {
  const expected = {
    ...{ theta: 10000, width: 8, maxPositions: 4096 },
    scaling: {
      ...{ type: "longrope", shortFactors: [1, 2, 3, 4], originalMaxPositions: 1024 },
      attentionFactor: Math.sqrt(1 + Math.log(4) / Math.log(1024)),
    },
  };
  for (const type of ["longrope", "su", "yarn"]) {
    assert.deepEqual(longRope({}, { type }), expected, type);
  }
  const attention = (factor: number): unknown => ({
    ...expected,
    scaling: { ...expected.scaling, attentionFactor: factor },
  });
  assert.deepEqual(longRope({}, { attention_factor: 1.5 }), attention(1.5));
  assert.deepEqual(
    longRope({}, { factor: 1.5 }),
    attention(Math.sqrt(1 + Math.log(1.5) / Math.log(1024))),
  );
  // Positions that are not stretched leave the scores alone.
  for (const factor of [0.5, 1]) assert.deepEqual(longRope({}, { factor }), attention(1));
  // Phi-3's own original positions.
  const { original_max_position_embeddings: _, ...short } = LONG;
  assert.deepEqual(
    parseConfig({ ...PHI3, max_position_embeddings: 8192, rope_scaling: short }).layerKinds[0].rope,
    {
      ...{ theta: 10000, width: 8, maxPositions: 8192 },
      scaling: {
        ...{ type: "longrope", shortFactors: [1, 2, 3, 4], originalMaxPositions: 4096 },
        attentionFactor: Math.sqrt(1 + Math.log(2) / Math.log(4096)),
      },
    },
  );
});

Deno.test("LongRoPE has a factor a frequency, of the part of a head that is turned", () => {
  const half = { short_factor: [3, 4], long_factor: [5, 6] };
  assert.partialDeepStrictEqual(longRope({ partial_rotary_factor: 0.5 }, half), {
    width: 4,
    scaling: { shortFactors: [3, 4] },
  });
  assert.partialDeepStrictEqual(longRope({}, { ...half, partial_rotary_factor: 0.5 }), {
    width: 4,
    scaling: { shortFactors: [3, 4] },
  });
  const wrong: readonly (readonly [unknown, string])[] = [
    [[1, 2, 3], "[1,2,3]"],
    [[1, 2, 3, 4, 5], "[1,2,3,4,5]"],
    [[1, 2, 3, 0], "[1,2,3,0]"],
    [[1, 2, 3, -1], "[1,2,3,-1]"],
    [[1, 2, 3, Infinity], "[1,2,3,null]"],
    [[1, 2, 3, "4"], '[1,2,3,"4"]'],
    ["1234", '"1234"'],
    [undefined, "missing"],
  ];
  for (const name of ["short_factor", "long_factor"]) {
    for (const [value, shown] of wrong) {
      assert.throws(() => longRope({}, { [name]: value }), {
        name: "RangeError",
        message:
          `Cannot read config.json: rope_scaling.${name} must be a list of 4 numbers above ` +
          `0, one a frequency, got ${shown}`,
      });
    }
  }
});

Deno.test("the part of a head that is turned is an even number of its numbers", () => {
  const width = (partial_rotary_factor: number): number | undefined =>
    parseConfig({ ...PHI3, partial_rotary_factor }).layerKinds[0].rope?.width;
  // Of heads of 8: whole numbers below.
  assert.deepEqual([0.25, 0.3, 0.5, 0.75, 1].map(width), [2, 2, 4, 6, 8]);
  for (const [part, turned] of [[0.2, 1], [0.4, 3], [1.25, 10], [0.1, 0]]) {
    assert.throws(() => width(part), {
      name: "RangeError",
      message:
        `Cannot read config.json: partial_rotary_factor is ${part}: of heads of 8 numbers it ` +
        `turns ${turned}; that must be an even number from 2 to 8`,
    });
  }
  assert.throws(() => width(0), {
    message: "Cannot read config.json: partial_rotary_factor must be a number above 0, got 0",
  });
  // Heads of 2 can be turned whole.
  assert.equal(parseConfig({ ...PHI3, head_dim: 2 }).layerKinds[0].rope?.width, 2);
});
