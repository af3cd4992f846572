import assert from "node:assert/strict";
import { UsageError } from "../../internal/usage_error.ts";
import { DEFAULT_LORA } from "../../lora/lora_options.ts";
import { recordedLoraFlags } from "./recorded_lora.ts";

const recorded = (lora: unknown) => recordedLoraFlags(lora, "run.json");

/** What is said of it. */
function refusal(lora: unknown): string {
  try {
    recorded(lora);
  } catch (error) {
    assert.ok(error instanceof UsageError);
    return error.message;
  }
  return "taken";
}

const NUMBER = (what: string) => `it must be ${what}`;
const COUNT = "a whole number from 1 up";
const POSITIVE = "a number above 0";
const PATTERNS = "numbers by patterns, each";

/** Of each field what it may be, and what it may not and why. */
const FIELDS: Readonly<
  Record<string, { good: readonly unknown[]; bad: readonly unknown[]; what: string }>
> = {
  rank: { good: [1, 64], bad: [0, 1.5, "8", Infinity], what: NUMBER(COUNT) },
  alpha: { good: [0.5, 16], bad: [0, -1, "8", NaN], what: NUMBER(POSITIVE) },
  dropout: { good: [0, 0.5], bad: [1, -0.1, true], what: NUMBER("a number from 0 to below 1") },
  targetModules: {
    good: [["q_proj"], ["q_proj", "v_proj"]],
    bad: [[], [""], ["q_proj", 3], "q_proj", "", {}],
    what: "it must be a list of names or all-linear",
  },
  rslora: { good: [true, false], bad: [0, "true"], what: "it must be true or false" },
  dora: { good: [true, false], bad: [1, "false"], what: "it must be true or false" },
  rankPattern: {
    good: [{}, { q: 1 }],
    bad: [{ q: 0 }, { q: 1, v: 1.5 }, []],
    what: `it must be ${PATTERNS} ${COUNT}`,
  },
  alphaPattern: {
    good: [{}, { q: 0.5 }],
    bad: [{ q: 0 }, { q: "1" }, { q: Infinity }, 3],
    what: `it must be ${PATTERNS} ${POSITIVE}`,
  },
  initLoraWeights: {
    good: ["default", "pissa"],
    bad: ["olora", "", true],
    what: "it must be default or pissa",
  },
  loraPlusRatio: { good: [0.5, 16], bad: [0, "16"], what: NUMBER(POSITIVE) },
  initAdapter: { good: ["dir"], bad: ["", 3], what: "it must be a folder's path" },
  baseDtype: {
    good: ["fp32", "fp16", "int8", "int4"],
    bad: ["int2", "", 8],
    what: "it must be fp32 or fp16 or int8 or int4",
  },
  baseBlockSize: { good: [32, 64, 128], bad: [16, 256, "32"], what: "it must be 32 or 64 or 128" },
  baseCompute: { good: ["int8", "fp32"], bad: ["fp16", "", 8], what: "it must be int8 or fp32" },
};

Deno.test("recordedLoraFlags() takes what each field may be, and names what it may not", () => {
  for (const [field, { good, bad, what }] of Object.entries(FIELDS)) {
    for (const value of good) assert.equal(refusal({ [field]: value }), "taken", field);
    for (const value of bad) {
      assert.match(
        refusal({ [field]: value }),
        new RegExp(`^Cannot use run\\.json: arguments\\.lora\\.${field} is `),
      );
      assert.ok(refusal({ [field]: value }).endsWith(`: ${what}`), refusal({ [field]: value }));
    }
    assert.equal(refusal({ [field]: null }), "taken", field);
  }
});

Deno.test("recordedLoraFlags() makes flags of fields", () => {
  const lora = {
    rank: 4,
    alpha: 8,
    dropout: 0.25,
    targetModules: ["q_proj"],
    rslora: true,
    dora: false,
    rankPattern: { q: 2 },
    alphaPattern: null,
    initLoraWeights: "pissa",
    loraPlusRatio: 2,
    baseDtype: "int8",
    baseBlockSize: 64,
    baseCompute: "fp32",
  };
  assert.deepEqual(recorded(lora), {
    loraRank: 4,
    loraAlpha: 8,
    loraDropout: 0.25,
    targetModules: ["q_proj"],
    useRslora: true,
    useDora: false,
    rankPattern: { q: 2 },
    initLoraWeights: "pissa",
    loraPlusRatio: 2,
    baseDtype: "int8",
    baseBlockSize: 64,
    baseCompute: "fp32",
  });
  assert.deepEqual(recorded({ targetModules: "all-linear" }), {
    targetModules: DEFAULT_LORA.targetModules,
  });
  assert.deepEqual([recorded(undefined), recorded(null)], [{}, {}]);
});

Deno.test("recordedLoraFlags() leaves to an adapter's own file what that says", () => {
  const own = {
    initAdapter: "dir",
    rank: 3,
    targetModules: "q_.*",
    rankPattern: { q: 0 },
    alphaPattern: 5,
    layersToTransform: [0],
    layersPattern: "layers",
    excludeModules: ["x"],
  };
  assert.deepEqual(recorded(own), {
    initAdapter: "dir",
    loraRank: 3,
    targetModules: DEFAULT_LORA.targetModules,
  });
  // Its rank is a flag as ever.
  assert.equal(
    refusal({ ...own, rank: 0 }),
    "Cannot use run.json: arguments.lora.rank is 0: it must be a whole number from 1 up",
  );
});

Deno.test("recordedLoraFlags() tells all that no flag says, and what is no setting", () => {
  assert.equal(
    refusal({
      layersToTransform: [0],
      layersPattern: "l",
      excludeModules: "x",
      ranks: 3,
      toString: 1,
    }),
    "Cannot use run.json: " + [
      "arguments.lora.layersToTransform is [0]: no flag says that; start the run from the program that did, or " +
      "from an adapter with it",
      'arguments.lora.layersPattern is "l": no flag says that; start the run from the program that did, or from ' +
      "an adapter with it",
      'arguments.lora.excludeModules is "x": no flag says that; start the run from the program that did, or from ' +
      "an adapter with it",
      "arguments.lora.ranks is 3: there is no such setting of an adapter",
      "arguments.lora.toString is 1: there is no such setting of an adapter",
    ].join("\n  "),
  );
  assert.equal(refusal([1]), "Cannot use run.json: arguments.lora is [1]: it must be an object");
  assert.equal(refusal("x"), 'Cannot use run.json: arguments.lora is "x": it must be an object');
});
