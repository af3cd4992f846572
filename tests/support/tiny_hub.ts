/**
 * A tiny model on a stand-in hub, and what a download of it leaves.
 *
 * In: a stand-in and a folder. Out: options to fetch by, and what is in the folder then.
 */

import assert from "node:assert/strict";
import type { HubOptions } from "../../hub/hub_options.ts";
import { isModelFile } from "../../hub/resolve_model.ts";
import { PythonRandom } from "../../ort/tensor/python_random.ts";
import type { HubStub } from "./hub_stub.ts";
import type { TempFolder } from "./temp_folder.ts";

/** Its name. */
export const ID = "owner/tiny";
/** A token that must not go astray. */
export const TOKEN = "hf_secretSECRET";

function bytes(length: number, seed: number): Uint8Array {
  const random = new PythonRandom(seed);
  return Uint8Array.from({ length }, () => random.randrange(256));
}

/** All files of its repository. */
export const FILES: Readonly<Record<string, string | Uint8Array>> = {
  "config.json": '{"model_type": "qwen3"}',
  "tokenizer.json": "{}",
  "generation_config.json": "",
  "model-00001-of-00002.safetensors": bytes(30_000, 1),
  "model-00002-of-00002.safetensors": bytes(20_000, 2),
  "model.safetensors.index.json": "{}",
  "pytorch_model.bin": bytes(100, 3),
  "onnx/model.onnx": bytes(100, 4),
  "README.md": "read me",
};
/** Those that are needed. */
export const WANTED = Object.keys(FILES).filter(isModelFile).sort();

/** Options that lead to the stand-in. */
export function options(
  hub: HubStub,
  folder: TempFolder,
  more: Partial<HubOptions> = {},
): HubOptions {
  return {
    source: "huggingface",
    cacheDir: `${folder.path}/models`,
    endpoint: hub.endpoint,
    sleep: () => Promise.resolve(),
    stallMilliseconds: 2000,
    ...more,
  };
}

/** Files of the model that a user sees. */
export async function present(folder: TempFolder): Promise<string[]> {
  const names = [];
  try {
    for await (const { name } of Deno.readDir(`${folder.path}/models/${ID}`)) names.push(name);
  } catch { /* none yet */ }
  return names.filter((name) => !name.startsWith(".ortune")).sort();
}

/** Compares files that are here with the hub's. */
export async function assertGood(
  hub: HubStub,
  folder: TempFolder,
  names: readonly string[],
): Promise<void> {
  for (const name of names) {
    const found = await Deno.readFile(`${folder.path}/models/${ID}/${name}`);
    assert.ok(sameBytes(found, hub.files.get(name)!), `${name} is bad`);
  }
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
