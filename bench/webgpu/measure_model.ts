/**
 * Updates and tokens of a model with random weights. In: a runtime, a model's size, seconds. Out: tokens a
 * second, and what the host was asked for.
 */

import type { Batch } from "../../data/batches/collator.ts";
import { collate } from "../../data/batches/collator.ts";
import { Decoder } from "../../infer/generate/decoder.ts";
import { isFile } from "../../internal/path_kind.ts";
import { deviceName } from "../../ort/runtime/device.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import { createFullTrainer } from "../../train/trainers/full_trainer.ts";
import { createLoraTrainer } from "../../train/trainers/lora_trainer.ts";
import type { Trainer } from "../../train/trainer.ts";
import { median } from "../measure.ts";
import type { Method } from "../gpu/entries.ts";
import { writeRandomModel } from "../gpu/random_model.ts";
import type { TimeBudget } from "../gpu/time_budget.ts";
import type { CallCounter, CallCounts } from "./call_counter.ts";
import type { ModelSize } from "./model_sizes.ts";

/** What was measured of one thing that a model does again and again. */
export interface Repeated {
  /** An update of all weights or of an adapter, or a token that is generated. */
  readonly what: Method | "decode";
  readonly device: string;
  readonly model: string;
  /** Tokens of each. */
  readonly tokens: number;
  /** Median of those that are warm, or of the only one. */
  readonly seconds: number;
  /** How many were warm; of 0 the time is the first one's, with all compilation. */
  readonly warm: number;
  /** Host time of an update until the last of it is queued, of the same; none where nothing is queued. */
  readonly hostSeconds?: number;
  /** Calls of the last. */
  readonly calls: CallCounts;
}

/** A size on a device. */
export interface ModelOptions {
  readonly runtime: Runtime;
  readonly counter: CallCounter;
  readonly size: ModelSize;
  readonly method: Method;
  /** Folder for weights; those that are there are taken. */
  readonly folder: string;
  readonly budget: TimeBudget;
  /** Whether to generate on the weights as well. */
  readonly decode: boolean;
  /** Supervised tokens whose logits are held at once. @default the trainer's */
  readonly headChunk?: number;
  /** Updates and tokens in any case, the first among them. @default 1 */
  readonly least?: number;
}

const SEED = 42;
const MOST_UPDATES = 6;
const LEARNING_RATE = 1e-5;
const PROMPT = 16;
const MOST_TOKENS = 32;
/** Updates, of all that is done. */
const UPDATES_SHARE = 0.7;

/** Trains, and perhaps generates, as long as there is time: once at least. */
export async function measureModel(options: ModelOptions): Promise<readonly Repeated[]> {
  const { runtime, size, method, folder, budget, decode, headChunk } = options;
  const [model, adapter] = [`${folder}/${size.name}`, `${folder}/${size.name}-adapter`];
  if (!await isFile(`${adapter}/adapter_config.json`)) {
    await writeRandomModel({ model, adapter, shape: size.shape, seed: SEED, dtype: "bfloat16" });
  }
  await using trainer = method === "full"
    ? await createFullTrainer(model, { runtime, headChunk })
    : await createLoraTrainer(model, { runtime, headChunk, initAdapter: adapter });
  const updating = decode ? budget.part([UPDATES_SHARE, 1 - UPDATES_SHARE]) : budget;
  const updates = await measureUpdates(trainer, { ...options, budget: updating });
  return decode ? [updates, await measureTokens(trainer, options)] : [updates];
}

async function measureUpdates(trainer: Trainer, options: ModelOptions): Promise<Repeated> {
  const { runtime, counter, size, method } = options;
  const { rows, length } = size;
  const batch = randomBatch(size);
  const { deferred } = trainer;
  const step = { learningRate: LEARNING_RATE };
  const measured = await repeat(options, MOST_UPDATES, async (queued) => {
    if (!deferred) {
      const { loss } = await trainer.trainStep([batch], step);
      return assertFinite(loss);
    }
    await deferred.launch([batch], step);
    queued();
    const [{ loss }] = await deferred.results();
    assertFinite(loss);
  });
  return {
    ...measured,
    ...{
      what: method,
      device: deviceName(runtime.device),
      model: size.name,
      tokens: rows * length,
    },
    calls: counter.take(),
  };
}

async function measureTokens(trainer: Trainer, options: ModelOptions): Promise<Repeated> {
  const { runtime, counter, size } = options;
  const { config, weights, linear } = trainer;
  using decoder = new Decoder(runtime, config, weights, { linear });
  await decoder.prefill(Int32Array.from({ length: PROMPT }, (_, i) => i));
  let id = 0;
  const measured = await repeat(options, MOST_TOKENS, async () => {
    const logits = await decoder.decode(id++ % config.vocabSize);
    assertFinite(logits[0]);
  });
  return {
    ...measured,
    ...{ what: "decode", device: deviceName(runtime.device), model: size.name, tokens: 1 },
    calls: counter.take(),
  };
}

/** The first is not among those that count, unless there is time for it alone. */
async function repeat(
  { counter, budget, least = 1 }: Pick<ModelOptions, "counter" | "budget" | "least">,
  most: number,
  work: (queued: () => void) => Promise<void>,
): Promise<Pick<Repeated, "seconds" | "hostSeconds" | "warm">> {
  const times: { seconds: number; hostSeconds?: number }[] = [];
  do {
    counter.take();
    const began = performance.now();
    const since = (): number => (performance.now() - began) / 1000;
    let hostSeconds: number | undefined;
    await work(() => hostSeconds = since());
    times.push({ seconds: since(), hostSeconds });
  } while (
    times.length < least || times.length <= most && budget.left() > times.at(-1)!.seconds
  );
  const [first, ...warm] = times;
  const counted = warm.length > 0 ? warm : [first];
  return {
    warm: warm.length,
    seconds: median(counted.map(({ seconds }) => seconds)),
    hostSeconds: median(counted.flatMap(({ hostSeconds }) => hostSeconds ?? [])),
  };
}

/** Rows that are supervised throughout. */
function randomBatch({ rows, length, shape: { vocab_size: vocabulary } }: ModelSize): Batch {
  const examples = Array.from({ length: rows }, (_, row) => {
    const inputIds = Int32Array.from({ length }, (_, i) => (row * 7919 + i * 293) % vocabulary);
    return {
      inputIds,
      labels: inputIds,
      ...{ promptLength: 1, truncatedTokens: 0, supervised: length - 1, terminated: true },
    };
  });
  return collate(examples, { padId: 0 });
}

function assertFinite(number: number): void {
  if (!Number.isFinite(number)) throw new Error(`Cannot go on: a loss or logit is ${number}`);
}
