import assert from "node:assert/strict";
import { assertClose } from "../../ort/tensor/assert_close.ts";
import {
  compareParity,
  type ParityModel,
  type ParityQuestions,
  parityReference,
  type ParityReport,
} from "./parity.ts";

const VOCAB = 4;

/** Tokens 1 to 3 of a vocabulary of four; each is likeliest after the one before it. */
const QUESTIONS: ParityQuestions = {
  prompts: [Int32Array.of(0, 1), Int32Array.of(2)],
  greedyTokens: 3,
  text: [Int32Array.of(0, 1, 2), Int32Array.of(3)],
};

/** A model that says what it is told to: logits after a token [vocab], and tokens after a prompt. */
function stub(
  logits: (id: number) => readonly number[],
  greedy: readonly number[] = [1, 2, 3],
): ParityModel {
  // As models do, it writes its next answer over this one.
  const memory = new Float32Array(3 * VOCAB);
  return {
    logits(ids) {
      ids.forEach((id, row) => memory.set(logits(id), row * VOCAB));
      return Promise.resolve(memory.subarray(0, ids.length * VOCAB));
    },
    greedy: (_, count) => Promise.resolve(greedy.slice(0, count)),
  };
}

const plain = (id: number): number[] =>
  Array.from({ length: VOCAB }, (_, token) => token === (id + 1) % VOCAB ? -1 : -3);

async function report(model: ParityModel): Promise<ParityReport> {
  return await compareParity(model, QUESTIONS, await parityReference(stub(plain), QUESTIONS));
}

/** Of a token that has the logit `own` among three of −3. */
const loss = (own: number): number => Math.log(Math.exp(own) + 3 * Math.exp(-3)) - own;

Deno.test("compareParity() of two alike finds no difference", async () => {
  const { maxAbsolute, meanAbsolute, largestLogit, positions, greedy, perplexity } = await report(
    stub(plain),
  );
  assert.deepEqual([maxAbsolute, meanAbsolute, largestLogit], [0, 0, 3]);
  assert.deepEqual(positions, { all: 3, same: 3 });
  const ids = [[1, 2, 3], [1, 2, 3]];
  assert.deepEqual(greedy, { prompts: 2, tokens: 3, same: [3, 3], ids });
  assert.deepEqual([perplexity.tokens, perplexity.difference], [2, 0]);
  // The window's last token has no next one.
  assertClose([perplexity.checkpoint], [Math.exp(loss(-1))], {
    relative: 1e-6,
    label: "checkpoint",
  });
});

Deno.test("compareParity() tells how far, how often and to which side an export differs", async () => {
  // After token 1 the likeliest is another by a half, and after token 0 it is likelier by 1.
  const changed = (id: number): number[] => {
    const logits = plain(id);
    if (id === 0) logits[1] = 0;
    if (id === 1) logits[3] = -0.5;
    return logits;
  };
  const found = await report(stub(changed, [1, 2, 0]));
  assert.equal(found.maxAbsolute, 2.5);
  assertClose([found.meanAbsolute], [3.5 / 12], { relative: 1e-6, label: "mean" });
  assert.equal(found.largestLogit, 3);
  assert.deepEqual(found.positions, { all: 3, same: 2 });
  assert.deepEqual(found.greedy.same, [2, 2]);
  const { checkpoint, export: own, difference } = found.perplexity;
  const after1 = Math.log(Math.exp(-1) + Math.exp(-0.5) + 2 * Math.exp(-3)) + 1;
  assertClose([own], [Math.exp((loss(0) + after1) / 2)], { relative: 1e-6, label: "export" });
  assert.equal(difference, own - checkpoint);
  assert.ok(difference > 0);
  // The other way round it is better by as much.
  const before = await parityReference(stub(changed), QUESTIONS);
  const back = await compareParity(stub(plain), QUESTIONS, before);
  assert.equal(back.perplexity.difference, -difference);
});

Deno.test("compareParity() shows a NaN, wherever it stands", async () => {
  for (const at of [0, VOCAB - 1]) {
    const found = await report(stub((id) => id === 1 ? plain(id).with(at, NaN) : plain(id)));
    assert.deepEqual([found.maxAbsolute, found.meanAbsolute], [NaN, NaN]);
  }
});

Deno.test("compareParity() counts tokens up to the first that differs", async () => {
  for (const [greedy, same] of [[[0, 2, 3], 0], [[1, 0, 3], 1], [[1, 2, 3], 3]] as const) {
    const found = await report(stub(plain, greedy));
    assert.deepEqual(found.greedy.same, [same, same]);
    assert.deepEqual(found.greedy.ids, [greedy, greedy]);
  }
});
