/**
 * What decides the tokens of a file of rows, in one hash. In: the file, training flags and a
 * tokenizer. Out: a sha256: the same tokens for the same key, whatever the run.
 */

import type { Tokenizer } from "../../data/text/tokenizer.ts";
import { hashFile, sha256 } from "../checkpoints/checkpoint.ts";
import { isFile } from "../../internal/path_kind.ts";
import type { TrainingArguments } from "./training_arguments.ts";
import { VERSION } from "../../internal/version.ts";

export type TokenKeyArguments =
  & Pick<
    TrainingArguments,
    | "model"
    | "maxLength"
    | "system"
    | "compat"
    | "emptyThink"
    | "dropRefusedRows"
    | "columns"
    | "teach"
    | "truncation"
  >
  & {
    /** Most rows of the file. @default all */
    readonly limit?: number;
  };

/** Hashes contents, not paths. */
export async function tokenKey(
  path: string,
  {
    model,
    maxLength,
    system,
    compat,
    emptyThink,
    dropRefusedRows = false,
    columns = {},
    teach = "all",
    truncation = "right",
    limit,
  }: TokenKeyArguments,
  { chatTemplate }: Pick<Tokenizer, "chatTemplate">,
): Promise<string> {
  const hash = async (file: string) => (await hashFile(file)).sha256;
  return sha256(JSON.stringify({
    // A new version may encode otherwise.
    ortune: VERSION,
    data: await hash(path),
    tokenizer: await hash(`${model}/tokenizer.json`),
    config: await hash(`${model}/tokenizer_config.json`),
    ...await hashOlder(model),
    template: chatTemplate ?? null,
    // Such a template prints the date.
    day: chatTemplate?.includes("strftime_now") ? new Date().toDateString() : null,
    maxLength,
    system,
    compat: compat ?? null,
    emptyThink: emptyThink ?? null,
    dropRefusedRows,
    columns: Object.entries(columns).sort(([a], [b]) => a < b ? -1 : 1),
    teach,
    truncation,
    // Left out where there is none, so that earlier files are found.
    ...limit === undefined ? {} : { limit },
  }));
}

/** Files of older models, which may add tokens. */
async function hashOlder(model: string): Promise<Record<string, string>> {
  const hashes: Record<string, string> = {};
  for (const name of ["special_tokens_map.json", "added_tokens.json"]) {
    const path = `${model}/${name}`;
    if (await isFile(path)) hashes[name] = (await hashFile(path)).sha256;
  }
  return hashes;
}
