import assert from "node:assert/strict";
import { Command } from "commander";
import { DEFAULT_LORA } from "../../lora/lora_options.ts";
import { addLoraFlags, loraArguments, type LoraFlags } from "./lora_flags.ts";

function parse(...args: string[]): LoraFlags {
  const command = new Command().exitOverride().configureOutput({ writeErr: () => {} });
  addLoraFlags(command);
  return command.parse(args, { from: "user" }).opts();
}

Deno.test("addLoraFlags() has defaults, and loraArguments() says the same as arguments", () => {
  const { rank, alpha, dropout, targetModules } = DEFAULT_LORA;
  const base = { baseDtype: undefined, baseBlockSize: undefined, baseCompute: undefined };
  assert.deepEqual(loraArguments(parse()), {
    ...{ rank, alpha, dropout, targetModules, rslora: false, dora: false },
    ...{ initAdapter: undefined, ...base },
  });
  const given = parse(
    ...[
      "--lora-rank",
      "3",
      "--lora-alpha",
      "1.5",
      "--lora-dropout",
      "0",
      "--target-modules",
      " q_proj ,v_proj",
    ],
    ...["--use-rslora", "--use-dora", "--init-lora-weights", "pissa", "--lora-plus-ratio", "4"],
    ...["--rank-pattern", '{"q": 2}', "--alpha-pattern", '{"v": 0.5}', "--init-adapter", "dir"],
    ...["--base-dtype", "int4", "--base-compute", "fp32", "--base-block-size", "64"],
  );
  assert.deepEqual(loraArguments(given), {
    rank: 3,
    alpha: 1.5,
    dropout: 0,
    targetModules: ["q_proj", "v_proj"],
    rslora: true,
    dora: true,
    rankPattern: { q: 2 },
    alphaPattern: { v: 0.5 },
    initLoraWeights: "pissa",
    loraPlusRatio: 4,
    initAdapter: "dir",
    baseDtype: "int4",
    baseBlockSize: 64,
    baseCompute: "fp32",
  });
});

Deno.test("addLoraFlags() takes the ends of what numbers may be, and refuses what lies outside", () => {
  const refused = (flag: string, value: string): string | undefined => {
    try {
      parse(flag, value);
    } catch (error) {
      return (error as Error).message.replace(/^.* is invalid\. /, "");
    }
  };
  const names = "It must be names of linear layers, with commas between.";
  const below = "It must be a number from 0 to below 1.";
  const ranks =
    'It must be numbers by patterns as JSON, such as {"down_proj": 16}: each a whole number from 1 up.';
  for (
    const [flag, good, bad, why] of [
      ["--lora-rank", ["1"], ["0", "1.5", "-1"], "It must be a whole number from 1 up."],
      ["--lora-alpha", ["0.1"], ["0", "-1"], "It must be a number above 0."],
      ["--lora-dropout", ["0", "0.99"], ["1", "-0.1", " ", "x"], below],
      ["--target-modules", ["a", "ALL-linear "], ["", "a,", ",a", "a, ,b"], names],
      ["--rank-pattern", ["{}", '{"a":1}'], ['{"a":0}', "[]", "x", "null", '{"a":"1"}'], ranks],
      ["--base-block-size", ["32", "64", "128"], ["16", "x"], "It must be one of 32, 64, 128."],
    ] as const
  ) {
    for (const value of good) assert.equal(refused(flag, value), undefined, `${flag} ${value}`);
    for (const value of bad) assert.equal(refused(flag, value), why, `${flag} ${value}`);
  }
  assert.deepEqual(
    parse("--target-modules", "All-Linear").targetModules,
    DEFAULT_LORA.targetModules,
  );
});
