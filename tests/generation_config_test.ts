/** generation_config.json: each field does what it does in Hugging Face's generate(), or is named. */

import assert from "node:assert/strict";
import { loadTokenizer } from "../data/text/tokenizer.ts";
import { BatchGenerator } from "../infer/generate/batch_generator.ts";
import { createDistribution } from "../infer/sampling/distribution.ts";
import { parseGenerationConfig } from "../infer/generate/generation_config.ts";
import { GENERATION_FIELDS } from "../infer/generate/generation_fields.ts";
import { createGenerator } from "../infer/generate/generator.ts";
import { TokenSequence } from "../infer/sampling/token_sequence.ts";
import { parseConfig } from "../model/config.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { assertClose } from "../ort/tensor/assert_close.ts";
import { fixturePath, loadFixtureModel } from "./support/parity_fixture.ts";

// Float64 here, float32 there. Measured worst: 1.2e-7.
const PROBABILITY_ABSOLUTE = 2e-6;

type Json = Readonly<Record<string, unknown>>;

interface GreedyCase {
  readonly name: string;
  readonly config: Json;
  readonly prompt_ids: number[];
  readonly new_ids: number[];
}

interface Distributions {
  readonly logits: readonly number[][];
  readonly sequences: readonly { readonly prompt_ids: number[]; readonly new_ids: number[] }[];
  readonly cases: readonly {
    readonly name: string;
    readonly config: Json;
    /** Of which logits and which sequence. */
    readonly logits: number;
    readonly ids: number[];
    readonly probabilities: number[];
  }[];
}

async function fixture<T>(name: string): Promise<T> {
  return JSON.parse(
    await Deno.readTextFile(new URL(`fixtures/generation_config/${name}`, import.meta.url)),
  );
}

const tokenizer = await loadTokenizer(fixturePath("tokenizer"));
const config = parseConfig(JSON.parse(await Deno.readTextFile(fixturePath("qwen3/config.json"))));

/** What generate() does not do at these values. */
const WITHOUT_EFFECT = [
  "plain",
  "forced_bos_token_id after a longer prompt",
  "sampling fields without do_sample",
];

Deno.test("a generation_config.json gives the greedy tokens that it gives in generate(), alone and in a batch", async () => {
  using runtime = new Runtime({ threads: 2 });
  const { weights, expected } = await loadFixtureModel(runtime, "qwen3");
  await expected[Symbol.asyncDispose]();
  using _weights = weights;
  const cases = await fixture<GreedyCase[]>("greedy.json");
  const plain = async (fields: Json, prompt: number[]): Promise<number[]> => {
    const limit = fields.max_new_tokens ?? 24;
    const json = { eos_token_id: 298, max_new_tokens: limit };
    const generation = parseGenerationConfig(json, { config });
    using generator = createGenerator({ runtime, config, weights, generation });
    return await Array.fromAsync(generator.generate(prompt));
  };
  const moved: string[] = [];
  for (const { name, config: fields, prompt_ids, new_ids } of cases) {
    const generation = parseGenerationConfig(fields, { config, tokenizer });
    assert.deepEqual(generation.notes, [], name);
    using generator = createGenerator({ runtime, config, weights, generation });
    const reply = generator.generate(prompt_ids);
    const ids = await Array.fromAsync(reply);
    // generate() gives out the token that ends a reply, too.
    const ended = generation.eosTokenIds.includes(new_ids.at(-1)!);
    assert.deepEqual(ids, ended ? new_ids.slice(0, -1) : new_ids, name);
    assert.equal(reply.endToken, ended ? new_ids.at(-1) : undefined, name);
    const length = fields.max_new_tokens ?? Number(fields.max_length) - prompt_ids.length;
    const reason = ended ? "eos" : new_ids.length === length ? "length" : "stop";
    assert.equal(reply.finishReason, reason, name);

    await using batch = new BatchGenerator({ runtime, config, slots: [{ weights }], generation });
    const together = [1, 2].map(() => batch.generator().generate(prompt_ids));
    for (const each of together) {
      assert.deepEqual(await Array.fromAsync(each), ids, `${name}, in a batch`);
      assert.deepEqual([each.finishReason, each.endToken], [reason, reply.endToken], name);
    }
    const without = await plain(name.startsWith("max_") ? {} : fields, prompt_ids);
    if (`${without}` !== `${ids}`) moved.push(name);
  }
  const names = cases.map(({ name }) => name);
  assert.deepEqual(moved, names.filter((name) => !WITHOUT_EFFECT.includes(name)));
});

Deno.test("a generation_config.json gives the distributions that it gives in generate()", async () => {
  const { logits, sequences, cases } = await fixture<Distributions>("distributions.json");
  let worst = 0;
  for (const { name, config: fields, logits: which, ids, probabilities } of cases) {
    const json = { do_sample: true, eos_token_id: 298, ...fields };
    const { sampling, notes } = parseGenerationConfig(json, { config });
    assert.deepEqual(notes, []);
    const sequence = new TokenSequence(sequences[which].prompt_ids);
    for (const id of sequences[which].new_ids) sequence.push(id);
    const { candidates } = createDistribution({ ...sampling, endIds: [298] });
    const found = candidates(Float32Array.from(logits[which]), sequence);
    const total = found.weights.reduce((sum, each) => sum + each);
    const shares = new Map(
      Array.from(found.ids, (id, i) => [id, found.weights[i] / total]),
    );
    // What is zero in float32 is not drawn there.
    const drawn = [...shares].filter(([, share]) => share > 1e-45).map(([id]) => id);
    assert.deepEqual(drawn.toSorted((a, b) => a - b), ids, `${name}, logits ${which}`);
    const actual = Float32Array.from(ids, (id) => shares.get(id)!);
    const report = assertClose(actual, Float32Array.from(probabilities), {
      absolute: PROBABILITY_ABSOLUTE,
      label: `${name}, logits ${which}`,
    });
    worst = Math.max(worst, report.maxAbsolute);
  }
  if (Deno.env.get("ORTUNE_REPORT")) console.log("probabilities", worst);
});

Deno.test("every field of transformers' GenerationConfig, old and new, is in the table", async () => {
  for (const version of ["4.57.6", "5.24.0"]) {
    const names = await fixture<string[]>(`fields-${version}.json`);
    assert.ok(names.length > 65);
    assert.deepEqual(names.filter((name) => !GENERATION_FIELDS.knows(name)), [], version);
  }
});

Deno.test("what changes replies in generate() and not here is named, with its value", () => {
  const asked: readonly (readonly [Json, RegExp])[] = [
    [{ num_beams: 4 }, /num_beams is 4: beams are not searched here.*one token after another/],
    [{ num_return_sequences: 2 }, /num_return_sequences is 2: one reply/],
    [{ penalty_alpha: 0.6, top_k: 4 }, /penalty_alpha is 0.6: contrastive search/],
    [{ dola_layers: "high" }, /dola_layers is "high": DoLa/],
    [{ guidance_scale: 1.5 }, /guidance_scale is 1.5: classifier-free guidance/],
    [{ watermarking_config: { bias: 2.5 } }, /watermarking_config is {"bias":2.5}: watermarks/],
    [{ constraints: [[1]] }, /constraints is \[\[1\]\]/],
    [{ force_words_ids: [[1]] }, /force_words_ids is/],
    [{ token_healing: true }, /token_healing is true/],
    [{ is_assistant: true }, /is_assistant is true/],
    [{ max_windows: 6144, chat_format: "chatml" }, /not known here.*: max_windows, chat_format;/],
  ];
  for (const [fields, message] of asked) {
    const { notes } = parseGenerationConfig({ eos_token_id: 298, ...fields }, {
      config,
      path: "models/m/generation_config.json",
    });
    assert.equal(notes.length, 1, JSON.stringify(fields));
    assert.match(notes[0], message);
    assert.ok(notes[0].startsWith("models/m/generation_config.json: "));
  }
  const asksForNothing = {
    eos_token_id: 298,
    num_beams: 1,
    num_return_sequences: 1,
    penalty_alpha: 0,
    guidance_scale: 1,
    token_healing: false,
    is_assistant: false,
    dola_layers: null,
    custom: null,
  };
  assert.deepEqual(parseGenerationConfig(asksForNothing, { config }).notes, []);
  const drawn = { eos_token_id: 298, do_sample: true, penalty_alpha: 0.6, top_k: 4 };
  assert.deepEqual(parseGenerationConfig(drawn, { config }).notes, []);
});

Deno.test("files as models have them bring no notes but for fields that nobody knows", async () => {
  const models = await fixture<Readonly<Record<string, Json>>>("models.json");
  const wide = parseConfig({ ...config.raw, vocab_size: 300_000 });
  for (const [name, json] of Object.entries(models)) {
    const { notes, sampling, eosTokenIds } = parseGenerationConfig(json, { config: wide });
    const [, unknown] = / \((.*)\)$/.exec(name) ?? [];
    assert.equal(notes.length, unknown === undefined ? 0 : 1, `${name}: ${notes}`);
    if (unknown !== undefined) assert.ok(notes[0].includes(unknown), notes[0]);
    assert.equal(sampling.greedy ?? false, json.do_sample !== true, name);
    assert.ok(eosTokenIds.length > 0);
  }
});
