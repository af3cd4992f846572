import assert from "node:assert/strict";
import { logitsProcessors } from "./logits_processors.ts";
import type { LogitsProcessorContext, LogitsProcessorOptions } from "./logits_processors.ts";
import { TokenSequence } from "./token_sequence.ts";

const NO = -Infinity;
const F32 = Math.fround;
const FLOAT32_MAX = (2 - 2 ** -23) * 2 ** 127;

type Options = LogitsProcessorOptions & LogitsProcessorContext;

function sequenceOf(prompt: readonly number[], reply: readonly number[] = []): TokenSequence {
  const sequence = new TokenSequence(prompt);
  for (const id of reply) sequence.push(id);
  return sequence;
}

/** What the options make of logits after a sequence. */
function processed(
  options: Options,
  logits: readonly number[],
  sequence: TokenSequence,
): readonly number[] {
  const scores = Float32Array.from(logits);
  for (const processor of logitsProcessors(options)) processor(scores, sequence);
  return [...scores];
}

interface Case {
  readonly options: Options;
  readonly prompt?: readonly number[];
  readonly reply?: readonly number[];
  readonly logits?: readonly number[];
  readonly expected: readonly number[];
}

function check(cases: readonly Case[]): void {
  for (const { options, prompt = [0], reply = [], logits = [1, 2, 3, 4], expected } of cases) {
    assert.deepEqual(
      processed(options, logits, sequenceOf(prompt, reply)),
      expected,
      JSON.stringify([options, prompt, reply]),
    );
  }
}

Deno.test("logitsProcessors() makes none of options that are left out or change nothing", () => {
  assert.deepEqual(logitsProcessors({}), []);
  assert.deepEqual(
    logitsProcessors({
      sequenceBias: [],
      encoderRepetitionPenalty: 1,
      repetitionPenalty: 1,
      noRepeatNgramSize: 0,
      encoderNoRepeatNgramSize: 0,
      badWordsIds: [],
      minLength: 0,
      minNewTokens: 0,
      forcedEosTokenIds: [],
      removeInvalidValues: false,
      suppressTokens: [],
      beginSuppressTokens: [],
      endIds: [1],
      maxLength: 5,
    }),
    [],
  );
});

Deno.test("sequenceBias is added to a token, and to what completes a sequence", () => {
  check([
    { options: { sequenceBias: [{ ids: [2], bias: 1.5 }] }, expected: [1, 2, 4.5, 4] },
    {
      options: { sequenceBias: [{ ids: [0], bias: -1 }, { ids: [3], bias: 2 }] },
      expected: [0, 2, 3, 6],
    },
    // Of one sequence given twice the last bias counts.
    {
      options: { sequenceBias: [{ ids: [1], bias: 5 }, { ids: [1], bias: 7 }] },
      expected: [1, 9, 3, 4],
    },
    // Two tokens: the first one must have come just now, in the prompt or in the reply.
    {
      options: { sequenceBias: [{ ids: [3, 1], bias: 1 }] },
      prompt: [2, 3],
      expected: [1, 3, 3, 4],
    },
    {
      options: { sequenceBias: [{ ids: [3, 1], bias: 1 }] },
      prompt: [2],
      reply: [3],
      expected: [1, 3, 3, 4],
    },
    {
      options: { sequenceBias: [{ ids: [3, 1], bias: 1 }] },
      prompt: [3, 2],
      expected: [1, 2, 3, 4],
    },
    // The whole sequence is the beginning, or shorter than it.
    {
      options: { sequenceBias: [{ ids: [2, 3, 0], bias: 8 }] },
      prompt: [2, 3],
      expected: [9, 2, 3, 4],
    },
    {
      options: { sequenceBias: [{ ids: [2, 3, 0], bias: 8 }] },
      prompt: [3],
      expected: [1, 2, 3, 4],
    },
    // One token before differs, the first or the second.
    {
      options: { sequenceBias: [{ ids: [2, 3, 0], bias: 8 }] },
      prompt: [1, 1, 3],
      expected: [1, 2, 3, 4],
    },
    {
      options: { sequenceBias: [{ ids: [2, 3, 0], bias: 8 }] },
      prompt: [1, 2, 1],
      expected: [1, 2, 3, 4],
    },
    // All that ends in one token is added up, rounded to float32 at each step.
    {
      options: {
        sequenceBias: [{ ids: [1], bias: 0.1 }, { ids: [3, 1], bias: 0.2 }, {
          ids: [2, 3, 1],
          bias: 0.7,
        }, { ids: [0, 3, 1], bias: 100 }],
      },
      prompt: [2, 3],
      logits: [0, 0, 0, 0],
      expected: [0, F32(F32(F32(0.1) + F32(0.2)) + F32(0.7)), 0, 0],
    },
  ]);
});

Deno.test("sequenceBias of one step is gone at the next one", () => {
  const [processor] = logitsProcessors({ sequenceBias: [{ ids: [3, 1], bias: 1 }] });
  const sequence = sequenceOf([3]);
  const scores = new Float32Array(4);
  processor(scores, sequence);
  assert.deepEqual([...scores], [0, 1, 0, 0]);
  sequence.push(1);
  processor(scores, sequence);
  assert.deepEqual([...scores], [0, 1, 0, 0]);
});

Deno.test("repetitionPenalty scales what has come, encoderRepetitionPenalty the prompt the other way", () => {
  const logits = [4, -4, 0, -6];
  check([
    {
      options: { repetitionPenalty: 2 },
      prompt: [0, 1],
      reply: [2],
      logits,
      expected: [2, -8, 0, -6],
    },
    {
      options: { repetitionPenalty: 2 },
      prompt: [0],
      reply: [3, 3],
      logits,
      expected: [2, -4, 0, -12],
    },
    {
      options: { encoderRepetitionPenalty: 2 },
      prompt: [0, 1, 2],
      reply: [3],
      logits,
      expected: [8, -2, 0, -6],
    },
    {
      options: { encoderRepetitionPenalty: 4, repetitionPenalty: 2 },
      prompt: [0],
      reply: [1],
      logits,
      expected: [8, -8, 0, -6],
    },
    // In the logits' own type.
    {
      options: { repetitionPenalty: 1.1 },
      logits: [0, 3],
      prompt: [1],
      expected: [0, F32(3 / F32(1.1))],
    },
  ]);
});

Deno.test("a processor follows one sequence and then another one", () => {
  for (
    const { options, expected } of [
      { options: { encoderRepetitionPenalty: 2 }, expected: [[2, 1, 1, 1], [1, 1, 2, 2]] },
      { options: { noRepeatNgramSize: 1 }, expected: [[NO, 1, 1, 1], [1, 1, NO, NO]] },
      { options: { encoderNoRepeatNgramSize: 1 }, expected: [[NO, 1, 1, 1], [1, 1, NO, NO]] },
    ]
  ) {
    const [processor] = logitsProcessors(options);
    const results = [[0], [2, 3]].map((prompt) => {
      const scores = Float32Array.of(1, 1, 1, 1);
      processor(scores, sequenceOf(prompt));
      return [...scores];
    });
    assert.deepEqual(results, expected);
  }
});

Deno.test("noRepeatNgramSize rules out what would end an n-gram that was there", () => {
  const of = (noRepeatNgramSize: number): Options => ({ noRepeatNgramSize });
  check([
    { options: of(1), prompt: [0], reply: [2], expected: [NO, 2, NO, 4] },
    { options: of(2), prompt: [1, 2, 1], reply: [3, 1], expected: [1, 2, NO, NO] },
    { options: of(2), prompt: [1, 2], expected: [1, 2, 3, 4] },
    { options: of(3), prompt: [1, 2, 3, 1, 2], expected: [1, 2, 3, NO] },
    { options: of(3), prompt: [1, 2, 3, 0, 2], expected: [1, 2, 3, 4] },
    { options: of(3), prompt: [1], expected: [1, 2, 3, 4] },
  ]);
});

Deno.test("encoderNoRepeatNgramSize counts n-grams of the prompt only", () => {
  const of = (encoderNoRepeatNgramSize: number): Options => ({ encoderNoRepeatNgramSize });
  check([
    { options: of(2), prompt: [1, 2], reply: [3, 1], expected: [1, 2, NO, 4] },
    { options: of(2), prompt: [0, 2, 3], reply: [1, 0, 1], expected: [1, 2, 3, 4] },
    { options: of(1), prompt: [0, 2], reply: [3], expected: [NO, 2, NO, 4] },
  ]);
});

Deno.test("badWordsIds are ruled out but for the ends of a reply", () => {
  const endIds = [3];
  check([
    { options: { badWordsIds: [[0], [2]] }, expected: [NO, 2, NO, 4] },
    { options: { badWordsIds: [[3], [2]], endIds }, expected: [1, 2, NO, 4] },
    { options: { badWordsIds: [[3]] }, expected: [1, 2, 3, NO] },
    { options: { badWordsIds: [[1, 3]], endIds }, prompt: [1], expected: [1, 2, 3, NO] },
    { options: { badWordsIds: [[3, 1]], endIds }, prompt: [3], expected: [1, NO, 3, 4] },
    { options: { badWordsIds: [[1, 2]] }, prompt: [0], expected: [1, 2, 3, 4] },
  ]);
  assert.equal(logitsProcessors({ badWordsIds: [[3]], endIds }).length, 0);
});

Deno.test("minLength counts prompt and reply, minNewTokens the reply, and stands in its place", () => {
  const endIds = [1, 3];
  const banned = [1, NO, 3, NO];
  const free = [1, 2, 3, 4];
  check([
    { options: { minLength: 4, endIds }, prompt: [0, 0], reply: [0], expected: banned },
    { options: { minLength: 4, endIds }, prompt: [0, 0], reply: [0, 0], expected: free },
    { options: { minLength: 4, endIds }, prompt: [0, 0, 0, 0, 0], expected: free },
    { options: { minLength: 1, endIds }, prompt: [], expected: banned },
    { options: { minNewTokens: 2, endIds }, prompt: [0, 0, 0], reply: [0], expected: banned },
    { options: { minNewTokens: 2, endIds }, prompt: [0, 0, 0], reply: [0, 0], expected: free },
    { options: { minNewTokens: 1, endIds }, expected: banned },
    { options: { minNewTokens: 1, minLength: 9, endIds }, reply: [0], expected: free },
    { options: { minNewTokens: 0, minLength: 9, endIds }, expected: free },
    // Without tokens that end a reply nothing is ruled out.
    { options: { minLength: 9 }, expected: free },
    { options: { minNewTokens: 9 }, expected: free },
    // An id that the model does not have.
    { options: { minNewTokens: 9, endIds: [4, 0] }, expected: [NO, 2, 3, 4] },
  ]);
});

Deno.test("forcedBosTokenId comes after one token, forcedEosTokenIds before the limit", () => {
  check([
    { options: { forcedBosTokenId: 2 }, prompt: [1], expected: [NO, NO, 0, NO] },
    { options: { forcedBosTokenId: 0 }, prompt: [1], expected: [0, NO, NO, NO] },
    { options: { forcedBosTokenId: 2 }, prompt: [1, 1], expected: [1, 2, 3, 4] },
    { options: { forcedBosTokenId: 2 }, prompt: [1], reply: [2], expected: [1, 2, 3, 4] },
    {
      options: { forcedEosTokenIds: [3, 0], maxLength: 4 },
      prompt: [1, 1],
      reply: [1],
      expected: [0, NO, NO, 0],
    },
    { options: { forcedEosTokenIds: [3], maxLength: 4 }, prompt: [1, 1], expected: [1, 2, 3, 4] },
    {
      options: { forcedEosTokenIds: [3], maxLength: 4 },
      prompt: [1, 1, 1, 1],
      expected: [1, 2, 3, 4],
    },
    { options: { forcedEosTokenIds: [2], maxLength: 2 }, expected: [NO, NO, 0, NO] },
    { options: { forcedEosTokenIds: [3] }, prompt: [1], expected: [1, 2, 3, 4] },
  ]);
});

Deno.test("removeInvalidValues makes NaN 0 and infinities the largest numbers", () => {
  check([{
    options: { removeInvalidValues: true },
    logits: [NaN, 5, Infinity, -Infinity, NaN],
    expected: [0, 5, FLOAT32_MAX, -FLOAT32_MAX, 0],
  }, {
    // After what is ruled out before it, and before what is ruled out after it.
    options: { removeInvalidValues: true, badWordsIds: [[0]], suppressTokens: [2] },
    logits: [1, 2, 3],
    expected: [-FLOAT32_MAX, 2, NO],
  }]);
});

Deno.test("exponentialDecayLengthPenalty grows with each token after its start", () => {
  const options = {
    exponentialDecayLengthPenalty: { start: 2, factor: 1.5 },
    endIds: [1, 3],
  };
  const logits = [1, 4, 1, -8];
  check([
    { options, prompt: [0, 0, 0], reply: [0, 0], logits, expected: logits },
    // 1.5 − 1 times the logit without its sign.
    { options, prompt: [0, 0, 0], reply: [0, 0, 0], logits, expected: [1, 6, 1, -4] },
    // 1.5² − 1.
    { options, prompt: [0, 0, 0], reply: [0, 0, 0, 0], logits, expected: [1, 9, 1, 2] },
    { options, reply: [0, 0, 0], logits: [1, NO, 1, -8], expected: [1, NO, 1, -4] },
    {
      options: { exponentialDecayLengthPenalty: { start: 0, factor: 1.1 }, endIds: [0] },
      reply: [1],
      logits: [3],
      expected: [F32(3 + F32(3 * F32(1.1 - 1)))],
    },
    {
      options: { exponentialDecayLengthPenalty: { start: 0, factor: 2 } },
      reply: [1],
      expected: [1, 2, 3, 4],
    },
  ]);
});

Deno.test("suppressTokens are never generated, beginSuppressTokens not first", () => {
  const begin = { beginSuppressTokens: [0, 2] };
  check([
    { options: { suppressTokens: [0, 3, 9] }, reply: [1], expected: [NO, 2, 3, NO] },
    { options: begin, prompt: [1, 1, 1], expected: [NO, 2, NO, 4] },
    { options: begin, prompt: [1, 1, 1], reply: [1], expected: [1, 2, 3, 4] },
    { options: begin, prompt: [1], expected: [NO, 2, NO, 4] },
    { options: begin, prompt: [1], reply: [1], expected: [1, 2, 3, 4] },
    // After a prompt of one token the forced one comes first, and the reply begins behind it.
    { options: { ...begin, forcedBosTokenId: 3 }, prompt: [1], expected: [NO, NO, NO, 0] },
    {
      options: { ...begin, forcedBosTokenId: 3 },
      prompt: [1],
      reply: [3],
      expected: [NO, 2, NO, 4],
    },
    {
      options: { ...begin, forcedBosTokenId: 3 },
      prompt: [1],
      reply: [3, 1],
      expected: [1, 2, 3, 4],
    },
    { options: { ...begin, forcedBosTokenId: 3 }, prompt: [1, 1], expected: [NO, 2, NO, 4] },
    {
      options: { ...begin, forcedBosTokenId: 3 },
      prompt: [1, 1],
      reply: [1],
      expected: [1, 2, 3, 4],
    },
  ]);
});

Deno.test("biases come before penalties, penalties before forced tokens, and a length before its growth", () => {
  check([
    {
      options: { sequenceBias: [{ ids: [0], bias: 2 }], repetitionPenalty: 3 },
      logits: [1, 0],
      expected: [1, 0],
    },
    {
      options: { repetitionPenalty: 2, forcedBosTokenId: 1, suppressTokens: [0] },
      expected: [NO, 0, NO, NO],
    },
    {
      options: {
        minNewTokens: 5,
        exponentialDecayLengthPenalty: { start: 0, factor: 2 },
        endIds: [0],
      },
      reply: [1],
      logits: [1, 1],
      expected: [NO, 1],
    },
  ]);
});
