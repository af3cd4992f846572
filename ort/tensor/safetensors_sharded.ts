/**
 * The weights of a model folder, whether one file or shards with an index.
 *
 * In: a folder with `model.safetensors`, or `model.safetensors.index.json` and its shards. Out: one
 * TensorSource over them all.
 *
 * The index may come from anywhere: a shard it names must be a plain file name that ends in
 * `.safetensors`, and a regular file of that very folder, or of the cache that it is a part of.
 *
 * @module
 */

import { readdir, readFile, realpath, stat } from "node:fs/promises";
import { join } from "node:path";
import { notFoundError } from "../../internal/not_found_error.ts";
import { findRegularFile, isAbsent } from "../../internal/regular_file.ts";
import { parseStrictJson, type StrictJson } from "../../internal/json/strict_json.ts";
import { openSafetensors, type SafetensorsFile } from "./safetensors_file.ts";
import { maxSafetensorsTensors } from "./safetensors_header.ts";
import { missingTensorError, quoteName, quoteNames } from "./tensor_errors.ts";
import type { TensorInfo, TensorSource } from "./tensor_source.ts";

/** Options of {@linkcode openSafetensorsFolder}. */
export interface OpenSafetensorsFolderOptions {
  /**
   * Follow symbolic links out of the folder. Only for folders that you trust; those of Hugging
   * Face's own cache, from a snapshot to the blobs of the same repository, are followed anyway.
   * @default false
   */
  followLinks?: boolean;
}

const singleName = "model.safetensors";
const indexName = "model.safetensors.index.json";

/** 16 MiB: 65,536 tensors at 150 bytes take 10. */
const maxIndexBytes = 16 * 1024 * 1024;

/** Every shard is an open file, and systems commonly allow 1,024 of them. */
const maxShards = 512;

/**
 * Opens the weights of a folder; `model.safetensors` goes before an index, as with Hugging Face.
 * Throws Deno.errors.NotFound when there is neither, and a RangeError that lists everything wrong
 * with the index or its shards.
 *
 * @example
 * ```ts
 * import {
 *   openSafetensorsFolder, tensorSourceFromMap, writeSafetensorsSharded,
 * } from "@ortune/ortune/safetensors";
 * import assert from "node:assert/strict";
 *
 * const dir = await Deno.makeTempDir();
 * const tensor = { dtype: "uint8", shape: [4], data: new Uint8Array(4) } as const;
 * const source = tensorSourceFromMap(new Map([["a", tensor], ["b", tensor]]));
 * await writeSafetensorsSharded(dir, source, { maxShardBytes: 4 });
 * {
 *   await using weights = await openSafetensorsFolder(dir);
 *   assert.deepEqual(weights.names(), ["a", "b"]);
 * }
 * await Deno.remove(dir, { recursive: true });
 * ```
 */
export async function openSafetensorsFolder(
  dir: string,
  options: OpenSafetensorsFolderOptions = {},
): Promise<TensorSource & AsyncDisposable> {
  const { followLinks = false } = options;
  const files = await listFiles(dir);
  // The folder itself may be reached through a link: its real path is the root.
  const root = await realpath(dir);
  const check = (names: readonly string[]) => refuseUnsafe(dir, root, names, followLinks);
  if (files.includes(singleName)) {
    await check([singleName]);
    return await openSafetensors(join(root, singleName));
  }
  if (!files.includes(indexName)) {
    throw notFoundError(
      `Cannot open weights in ${
        quoteName(dir)
      }: it has neither ${singleName} nor ${indexName}, only ${
        quoteNames(files, 20) || "nothing"
      }. Give a model folder, or download it again`,
    );
  }
  await check([indexName]);
  const weightMap = await readWeightMap(join(root, indexName));
  const shardNames = [...new Set(weightMap.values())];
  await check(shardNames);
  return await openShards(root, weightMap, shardNames);
}

async function listFiles(dir: string): Promise<string[]> {
  const names: string[] = [];
  try {
    names.push(...await readdir(dir));
  } catch (error) {
    if (!isAbsent(error)) throw error;
    throw notFoundError(
      `Cannot open weights in ${quoteName(dir)}: there is no such folder. Check the path`,
      { cause: error },
    );
  }
  return names.sort();
}

/** Throws one RangeError over all names that are no regular files of the folder itself. */
async function refuseUnsafe(
  dir: string,
  root: string,
  names: readonly string[],
  followLinks: boolean,
): Promise<void> {
  const problems: string[] = [];
  for (const name of names) {
    const problem = await unsafe(root, name, followLinks);
    if (problem !== undefined) problems.push(`${quoteName(name)} ${problem}`);
  }
  if (problems.length === 0) return;
  const shown = problems.slice(0, 10).join("; ");
  const more = problems.length > 10 ? ` and ${problems.length - 10} more` : "";
  throw new RangeError(
    `Cannot open weights in ${
      quoteName(dir)
    }: ${shown}${more}. Download the folder again; if it is ` +
      "yours and has links, copy it with cp -L or set followLinks",
  );
}

async function unsafe(
  root: string,
  name: string,
  followLinks: boolean,
): Promise<string | undefined> {
  // deno-lint-ignore no-control-regex -- control characters are what it refuses
  if (!/^[^./\\:\x00-\x1f\x7f][^/\\:\x00-\x1f\x7f]{0,254}$/.test(name)) {
    return "is not a plain file name";
  }
  if (name !== indexName && !name.endsWith(".safetensors")) return "does not end in .safetensors";
  const path = join(root, name);
  try {
    if (followLinks) return (await stat(path)).isFile() ? undefined : "is not a regular file";
    return (await findRegularFile(path, { root })).problem;
  } catch (error) {
    if (isAbsent(error)) return "is missing";
    throw error;
  }
}

/** Tensor name to shard file name, in the order of the index. */
async function readWeightMap(path: string): Promise<Map<string, string>> {
  const fail = (problem: string): RangeError =>
    new RangeError(`Cannot read index ${quoteName(path)}: ${problem}. Download it again`);
  const { size } = await stat(path);
  if (size > maxIndexBytes) throw fail(`its ${size} bytes exceed the limit of ${maxIndexBytes}`);
  let root: StrictJson;
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(await readFile(path));
    // Other writers put counts, also as floats, beside total_size: nothing here depends on them.
    root = parseStrictJson(text, {
      maxDepth: 4,
      maxEntries: maxSafetensorsTensors,
      anyNumber: true,
    });
  } catch (error) {
    if (error instanceof SyntaxError) throw fail(error.message.replace(/\. Correct it there$/, ""));
    if (error instanceof TypeError) throw fail("it is not UTF-8");
    throw error;
  }
  const weightMap = root instanceof Map ? root.get("weight_map") : undefined;
  if (!(weightMap instanceof Map)) throw fail("it has no object weight_map");
  if (weightMap.size === 0) throw fail("its weight_map is empty");
  const shards = new Map<string, string>();
  for (const [name, shard] of weightMap) {
    if (typeof shard !== "string") {
      throw fail(`its weight_map gives ${quoteName(name)} something other than a file name`);
    }
    shards.set(name, shard);
  }
  const count = new Set(shards.values()).size;
  if (count > maxShards) throw fail(`its weight_map names ${count} shards, more than ${maxShards}`);
  return shards;
}

async function openShards(
  root: string,
  weightMap: ReadonlyMap<string, string>,
  shardNames: readonly string[],
): Promise<TensorSource & AsyncDisposable> {
  const shards = new Map<string, SafetensorsFile>();
  const close = async (): Promise<void> => {
    for (const shard of shards.values()) await shard[Symbol.asyncDispose]();
  };
  const homes = new Map<string, SafetensorsFile>();
  try {
    for (const name of shardNames) shards.set(name, await openSafetensors(join(root, name)));
    const missing: string[] = [];
    for (const [name, shardName] of weightMap) {
      const shard = shards.get(shardName);
      if (shard?.has(name)) homes.set(name, shard);
      else missing.push(`${name} in ${shardName}`);
    }
    if (missing.length > 0) {
      throw new RangeError(
        `Cannot open weights in ${
          quoteName(root)
        }: ${missing.length} tensors of ${indexName} are ` +
          `missing from their shards: ${quoteNames(missing)}. Download the folder again`,
      );
    }
  } catch (cause) {
    await close();
    throw cause;
  }
  const find = (name: string): SafetensorsFile => {
    const shard = homes.get(name);
    if (shard === undefined) throw missingTensorError(name, [...homes.keys()], quoteName(root));
    return shard;
  };
  return {
    names: (): readonly string[] => [...homes.keys()],
    info: (name: string): TensorInfo => find(name).info(name),
    read: async (name: string, into: Uint8Array, offset?: number): Promise<void> => {
      await find(name).read(name, into, offset);
    },
    [Symbol.asyncDispose]: close,
  };
}
