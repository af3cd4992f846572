import assert from "node:assert/strict";
import { GENERATION_FIELDS, generationNotes } from "./generation_fields.ts";

const notes = (fields: Readonly<Record<string, unknown>>) => generationNotes(fields, "a.json");

/** Fields that are warned of: a value, values that ask for nothing, and what is said. */
const WARNED: Readonly<Record<string, readonly [unknown, readonly unknown[], string]>> = {
  num_beams: [
    4,
    [1, null],
    "beams are not searched here, so that replies are made one token after another, as with num_beams 1",
  ],
  num_return_sequences: [2, [1], "one reply is made at a time; ask again for more"],
  penalty_alpha: [
    0.6,
    [0],
    "contrastive search is not there, so that the likeliest token is taken",
  ],
  dola_layers: [
    "high",
    [null],
    "DoLa is not there, so that the last layer's logits are taken as they are",
  ],
  guidance_scale: [
    1.5,
    [1],
    "classifier-free guidance is not there, so that replies are made as with 1",
  ],
  watermarking_config: [{}, [null], "watermarks are not there, so that replies bear none"],
  constraints: [
    [1],
    [null],
    "constrained beam search is not there, so that nothing is enforced",
  ],
  force_words_ids: [
    [[1]],
    [null],
    "constrained beam search is not there, so that no word is enforced",
  ],
  token_healing: [true, [false], "the prompt is taken as it is, without healing"],
  is_assistant: [true, [false], "replies do not end where the model is unsure"],
};

Deno.test("generationNotes() warns of each field that would change replies, unless it asks for nothing", () => {
  for (const [field, [value, nothing, remedy]] of Object.entries(WARNED)) {
    const shown = JSON.stringify(value);
    assert.deepEqual(notes({ [field]: value }), [`a.json: ${field} is ${shown}: ${remedy}`]);
    for (const each of nothing) assert.deepEqual(notes({ [field]: each }), []);
  }
  const all = Object.fromEntries(Object.entries(WARNED).map(([field, [value]]) => [field, value]));
  assert.equal(notes(all).length, Object.keys(WARNED).length);
});

Deno.test("generationNotes() warns of contrastive search only where it would be done", () => {
  const count = (fields: Readonly<Record<string, unknown>>): number =>
    notes({ penalty_alpha: 0.6, ...fields }).length;
  assert.equal(count({ do_sample: true }), 0);
  assert.equal(count({ do_sample: false }), 1);
  assert.equal(count({ top_k: 0 }), 0);
  assert.equal(count({ top_k: 1 }), 0);
  assert.equal(count({ top_k: 2 }), 1);
  assert.equal(count({ top_k: "1" }), 1);
});

Deno.test("generationNotes() says nothing of fields that are honoured, or without effect", () => {
  const known = GENERATION_FIELDS.known.filter((field) => !Object.hasOwn(WARNED, field));
  assert.ok(known.includes("do_sample") && known.includes("use_cache"));
  assert.deepEqual(notes(Object.fromEntries(known.map((field) => [field, true]))), []);
});

Deno.test("generationNotes() lists what it does not know behind the warnings", () => {
  assert.deepEqual(notes({ other: 1, num_beams: 2, more: 2, none: null }).slice(1), [
    "a.json: not known here, and without effect: other, more; if a field matters to the replies, make " +
    "them with the program that it is for",
  ]);
});
