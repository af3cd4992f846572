/**
 * The weights that all contenders of a shape start from. In: the two sides' settings, whether Python
 * can write them. Out: a model folder, a PEFT folder and one of the same without dropout; those that
 * an earlier call left are kept.
 */

import { Contender } from "./contender.ts";
import type { TorchSide } from "./entries.ts";
import { writeRandomModel } from "./random_model.ts";
import type { TimeBudget } from "./time_budget.ts";
import type { ModelShape } from "./workload.ts";

const SECONDS = 75;

/** How to write them. */
export interface InitialWeightsOptions {
  readonly python: string;
  readonly script: string;
  readonly side: TorchSide & { readonly shape: ModelShape };
  /** Whether PyTorch is there to write them, as it should: then its own initialization counts. */
  readonly torch: boolean;
  readonly budget: TimeBudget;
}

/** Writes them, unless they are there; whether they were written. */
export async function writeInitialWeights(options: InitialWeightsOptions): Promise<boolean> {
  const { python, script, side, torch, budget } = options;
  const { model, adapter } = side;
  // The last file that is written.
  const last = `${adapter}-still/adapter_config.json`;
  if (await exists(last)) return false;
  if (torch) {
    const maker = new Contender(python, [script, "weights", JSON.stringify(side)]);
    try {
      await maker.reply(budget, SECONDS);
    } finally {
      await maker.stop();
    }
  } else {
    const { shape, seed, device } = side;
    const dtype = device === "cpu" ? "float32" : "bfloat16";
    await writeRandomModel({ model, adapter, shape, seed, dtype });
  }
  await writeStillAdapter(adapter, last);
  return true;
}

/** A copy of the adapter whose dropout is 0. */
async function writeStillAdapter(adapter: string, last: string): Promise<void> {
  await Deno.mkdir(`${adapter}-still`, { recursive: true });
  const config = JSON.parse(await Deno.readTextFile(`${adapter}/adapter_config.json`));
  for await (const { name } of Deno.readDir(adapter)) {
    if (!last.endsWith(`/${name}`)) {
      await Deno.copyFile(`${adapter}/${name}`, `${adapter}-still/${name}`);
    }
  }
  await Deno.writeTextFile(last, JSON.stringify({ ...config, lora_dropout: 0 }));
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
