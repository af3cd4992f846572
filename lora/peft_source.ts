/**
 * An adapter's tensors under PEFT's names. In: a source under Hugging Face's names, or a file of PEFT
 * or of another tool. Out: the other.
 *
 * @module
 */

import { missingTensorError, quoteName } from "../ort/tensor/tensor_errors.ts";
import type { TensorInfo, TensorSource } from "../ort/tensor/tensor_source.ts";

const PREFIX = "base_model.model.";

function renamed(
  source: TensorSource,
  { outer, inner }: {
    /** The names that the new source has, in the order of the old one. */
    readonly outer: readonly string[];
    readonly inner: (name: string) => string;
  },
): TensorSource {
  return {
    names: (): readonly string[] => outer,
    info: (name: string): TensorInfo => source.info(inner(name)),
    // deno-lint-ignore require-await -- so that errors reject instead of throwing at the call
    read: async (name: string, into: Uint8Array, offset?: number): Promise<void> =>
      source.read(inner(name), into, offset),
  };
}

const strip = (name: string): string => name.startsWith(PREFIX) ? name.slice(PREFIX.length) : name;

/** `model.layers.0.…` as `base_model.model.model.layers.0.…`. */
export function toPeft(source: TensorSource): TensorSource {
  return renamed(source, { outer: source.names().map((name) => PREFIX + name), inner: strip });
}

/**
 * The other way round. Names of tools that save what PEFT has in memory are understood too: with an
 * adapter's name in them (`lora_A.default.weight`), without the prefix, of compiled modules (`_orig_mod`).
 *
 * @throws {RangeError} where two tensors have one name then, as with two adapters in a file
 */
export function fromPeft(source: TensorSource): TensorSource {
  const inner = new Map<string, string>();
  for (const name of source.names()) {
    const plain = plainName(name);
    const other = inner.get(plain);
    if (other !== undefined) {
      throw new RangeError(
        `Cannot tell ${quoteName(other)} from ${quoteName(name)}: both are ${
          quoteName(plain)
        }, as of ` +
          "two adapters in one file; save one adapter by itself",
      );
    }
    inner.set(plain, name);
  }
  const names = [...inner.keys()];
  return renamed(source, {
    outer: names,
    inner: (name) => {
      const held = inner.get(name);
      if (held === undefined) throw missingTensorError(name, names, "the adapter");
      return held;
    },
  });
}

function plainName(name: string): string {
  return strip(name.replaceAll("_orig_mod.", ""))
    .replace(/\.lora_([AB])\.[^.]+\.weight$/, ".lora_$1.weight")
    .replace(/\.lora_magnitude_vector(?:\.[^.]+){1,2}$/, ".lora_magnitude_vector");
}
