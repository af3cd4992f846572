/**
 * The flags of an adapter, under PEFT's names. In: a commander command. Out: the flags added, what
 * they parse to, and flags from that again.
 */

import { type Command, InvalidArgumentError, Option } from "commander";
import { isRecord } from "../../internal/json/is_record.ts";
import { COUNT, type NumberRange, POSITIVE } from "../../internal/number_range.ts";
import { defined } from "../../internal/json/defined.ts";
import { INIT_LORA_WEIGHTS, type InitLoraWeights } from "../../lora/init_lora_weights.ts";
import { DEFAULT_LORA } from "../../lora/lora_options.ts";
import { BASE_STORAGES, type BaseDtype } from "../../model/base_storage.ts";
import { BASE_BLOCK_SIZES, BASE_COMPUTES, type BaseCompute } from "../../model/quantization.ts";
import type { LoraArguments } from "../../train/runs/training_arguments.ts";
import { count, positive } from "./flag_values.ts";
import { toggle } from "./toggle.ts";

/** Parsed flags. */
export interface LoraFlags {
  readonly loraRank: number;
  readonly loraAlpha: number;
  readonly loraDropout: number;
  readonly targetModules: readonly string[] | string;
  readonly useRslora?: boolean;
  readonly useDora?: boolean;
  readonly initLoraWeights?: InitLoraWeights;
  readonly loraPlusRatio?: number;
  readonly rankPattern?: Readonly<Record<string, number>>;
  readonly alphaPattern?: Readonly<Record<string, number>>;
  readonly initAdapter?: string;
  readonly baseDtype?: BaseDtype;
  readonly baseBlockSize?: number;
  readonly baseCompute?: BaseCompute;
}

/** Adds the flags. */
export function addLoraFlags(command: Command): void {
  const { rank, alpha, dropout: rate, targetModules } = DEFAULT_LORA;
  command
    .option("--lora-rank <n>", "rows of A and columns of B", count, rank)
    .option("--lora-alpha <x>", "the update is scaled by alpha ÷ rank", positive, alpha)
    .option("--lora-dropout <p>", "share of inputs zeroed before A in training", dropout, rate)
    .addOption(
      new Option(
        "--target-modules <names>",
        "layers that get an adapter, with commas between, such as q_proj,v_proj; all-linear: all",
      ).argParser(modules).default(targetModules),
    )
    .addOption(toggle("--use-rslora", "scale by alpha ÷ √rank"))
    .addOption(
      toggle(
        "--use-dora",
        "DoRA: trains row magnitudes too; much slower unless --lora-dropout is 0",
      ),
    )
    .addOption(
      new Option(
        "--init-lora-weights <name>",
        "pissa: start from the largest singular values of the weights, with --lora-dropout 0; saved with twice " +
          "the rank, as PEFT converts it (default: A at random, B zero)",
      ).choices(INIT_LORA_WEIGHTS),
    )
    .option(
      "--lora-plus-ratio <x>",
      "LoRA+: the learning rate of B is that of A times this (default: 1)",
      positive,
    )
    .option(
      "--rank-pattern <json>",
      'ranks of layers whose names end in what a pattern matches, such as {"down_proj": 16}',
      patterns(COUNT),
    )
    .option(
      "--alpha-pattern <json>",
      "the same of alpha",
      patterns(POSITIVE),
    )
    .option(
      "--init-adapter <dir>",
      "start from this adapter, or the one that a run ended with; with its settings",
    )
    .addOption(
      new Option(
        "--base-dtype <name>",
        "what the frozen model's matrices are kept in; fp16: half the memory, computes in fp32; " +
          "int8, int4: a quarter, an eighth (default: fp32; not on cuda, where --precision says)",
      ).choices(Object.keys(BASE_STORAGES)),
    )
    .addOption(
      new Option(
        "--base-compute <name>",
        "in int8 and int4, what products with the frozen model are computed in; int8: rounds " +
          "activations too, two copies; fp32: exact for the rounded weights, one copy (default: int8; on webgpu fp32 alone)",
      ).choices(BASE_COMPUTES),
    )
    .addOption(
      new Option(
        "--base-block-size <n>",
        `in int8 and int4, how many numbers share a scale: ${
          BASE_BLOCK_SIZES.join(", ")
        } (default: 128)`,
      ).argParser(blockSize),
    );
}

/** What the flags say. */
export function loraArguments(flags: LoraFlags): LoraArguments {
  return {
    rank: flags.loraRank,
    alpha: flags.loraAlpha,
    dropout: flags.loraDropout,
    targetModules: flags.targetModules,
    rslora: flags.useRslora ?? false,
    dora: flags.useDora ?? false,
    ...defined({
      rankPattern: flags.rankPattern,
      alphaPattern: flags.alphaPattern,
      initLoraWeights: flags.initLoraWeights,
      loraPlusRatio: flags.loraPlusRatio,
    }),
    initAdapter: flags.initAdapter,
    baseDtype: flags.baseDtype,
    baseBlockSize: flags.baseBlockSize,
    baseCompute: flags.baseCompute,
  };
}

/** Flags that say the same; of what is left out there is none. */
export function loraFlags(lora: Partial<LoraArguments>): Partial<LoraFlags> {
  return defined({
    loraRank: lora.rank,
    loraAlpha: lora.alpha,
    loraDropout: lora.dropout,
    // An adapter's own settings count, and may be what no flag says.
    targetModules: lora.initAdapter === undefined && typeof lora.targetModules !== "string"
      ? lora.targetModules
      : DEFAULT_LORA.targetModules,
    useRslora: lora.rslora,
    useDora: lora.dora,
    ...lora.initAdapter === undefined
      ? { rankPattern: lora.rankPattern, alphaPattern: lora.alphaPattern }
      : {},
    initLoraWeights: lora.initLoraWeights,
    loraPlusRatio: lora.loraPlusRatio,
    initAdapter: lora.initAdapter,
    baseDtype: lora.baseDtype,
    baseBlockSize: lora.baseBlockSize,
    baseCompute: lora.baseCompute,
  });
}

function blockSize(text: string): number {
  const value = Number(text);
  if (BASE_BLOCK_SIZES.includes(value)) return value;
  throw new InvalidArgumentError(`It must be one of ${BASE_BLOCK_SIZES.join(", ")}.`);
}

/** Numbers by patterns of names; whether a pattern can be read is for who reads names to tell. */
function patterns(
  { what, holds }: NumberRange,
): (text: string) => Readonly<Record<string, number>> {
  const each = `numbers by patterns as JSON, such as {"down_proj": 16}: each ${what}`;
  return (text) => {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      // As a value that is no object.
    }
    if (isNumbers(value, holds)) return value;
    throw new InvalidArgumentError(`It must be ${each}.`);
  };
}

/** Whether a value is an object of such numbers. */
export function isNumbers(
  value: unknown,
  holds: NumberRange["holds"],
): value is Readonly<Record<string, number>> {
  return isRecord(value) &&
    Object.values(value).every((each) =>
      typeof each === "number" && Number.isFinite(each) && holds(each)
    );
}

function dropout(text: string): number {
  const value = Number(text);
  if (text.trim() !== "" && value >= 0 && value < 1) return value;
  throw new InvalidArgumentError("It must be a number from 0 to below 1.");
}

/** Whether the model has such layers is for who knows the model to tell. */
function modules(text: string): readonly string[] | string {
  if (text.trim().toLowerCase() === "all-linear") return DEFAULT_LORA.targetModules;
  const targetModules = text.split(",").map((each) => each.trim());
  if (targetModules.every((each) => each !== "")) return targetModules;
  throw new InvalidArgumentError("It must be names of linear layers, with commas between.");
}
