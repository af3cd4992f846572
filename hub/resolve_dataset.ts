/**
 * A dataset from a hub: its subsets and splits, and the files of one of them.
 *
 * In: an id such as `openai/gsm8k`, and which subset and split. Out: what there is, or the paths of
 * the split's files here, whole and checked.
 *
 * @module
 */

import { readCappedText } from "../internal/regular_file.ts";
import { type DatasetCard, parseDatasetCard } from "./dataset_card.ts";
import { datasetLayout, type HubSplit, type HubSubset } from "./dataset_layout.ts";
import { SERVICES } from "./hub_client.ts";
import { HubError } from "./hub_error.ts";
import type { HubOptions } from "./hub_options.ts";
import type { HubFile } from "./list_files.ts";
import { readRecord } from "./repository_folder.ts";
import { syncRepository } from "./sync_repository.ts";

const CARD = "README.md";
/** Largest card that is read: those in use have some kilobytes, lists of many subsets some more. */
const MAX_CARD_BYTES = 8 * 1024 * 1024;
/** Most names that an error lists. */
const SHOWN = 20;

/** Which rows of a dataset. */
export interface ResolveDatasetOptions extends HubOptions {
  /** A subset (config). @default the only one, or the one that the dataset calls its default */
  readonly subset?: string;
  /** A split. @default "train", or the only one */
  readonly split?: string;
}

/** A dataset's files of rows. */
export interface DatasetListing {
  /** Subsets with files of rows. */
  readonly subsets: readonly HubSubset[];
  /** Bytes of each file. */
  readonly sizes: ReadonlyMap<string, number>;
}

/** A split that is here. */
export interface ResolvedDataset {
  /** The subset that was asked for, or its default. */
  readonly subset: HubSubset;
  /** The split that was asked for, or `train`. */
  readonly split: HubSplit;
  /** Paths of its files, in order. */
  readonly files: readonly string[];
}

/**
 * Lists subsets and splits, by the card's `configs` or by the names of files and folders, as the
 * Python package datasets does. Fetches the card alone.
 *
 * @param id `owner/name`.
 * @throws {HubError} if it cannot be listed, or has no files of rows.
 *
 * @example
 * ```ts
 * import { listDataset } from "@ortune/ortune/hub";
 * import assert from "node:assert/strict";
 *
 * const options = { source: "huggingface", cacheDir: "no/such/folder", offline: true } as const;
 * await assert.rejects(listDataset("openai/gsm8k", options), /no complete copy/);
 * ```
 */
export async function listDataset(id: string, options: HubOptions): Promise<DatasetListing> {
  let listed: readonly Pick<HubFile, "path" | "size">[] = [];
  const folder = await syncRepository(id, {
    kind: "dataset",
    isComplete: () => true,
    select: (files) => {
      listed = files;
      return files.filter(isReadableCard);
    },
  }, options);
  if (options.offline) {
    const { files } = (await readRecord(folder))!;
    listed = Object.entries(files).map(([path, { size }]) => ({ path, size }));
  }
  const paths = listed.map(({ path }) => path);
  try {
    const card: DatasetCard = listed.some(isReadableCard)
      ? parseDatasetCard(
        await readCappedText(`${folder}/${CARD}`, {
          maxBytes: MAX_CARD_BYTES,
          remedy: "fetch it again",
        }),
      )
      : parseDatasetCard("");
    const subsets = datasetLayout(paths, card, id.split("/")[1]);
    return { subsets, sizes: new Map(listed.map(({ path, size }) => [path, size])) };
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause;
    throw new HubError(
      `Cannot tell the rows of ${id} at ${SERVICES[options.source].name}: ${cause.message}. ${
        wayOut(options, cause.message)
      }`,
      { cause },
    );
  }
}

/**
 * Fetches the files of a split, or finds them in the cache. As {@linkcode resolveModel} in all else.
 *
 * @param id `owner/name`.
 * @throws {HubError} if subset or split are not there, or a file cannot be had.
 *
 * @example
 * ```ts
 * import { resolveDataset } from "@ortune/ortune/hub";
 * import assert from "node:assert/strict";
 *
 * const options = { source: "modelscope", cacheDir: "no/such/folder", offline: true } as const;
 * await assert.rejects(resolveDataset("owner/name", { ...options, split: "train" }), /no complete copy/);
 * ```
 */
export async function resolveDataset(
  id: string,
  options: ResolveDatasetOptions,
): Promise<ResolvedDataset> {
  const { subsets } = await listDataset(id, options);
  const { subset, split } = chooseSplit(id, subsets, options);
  const wanted = new Set(split.files);
  const folder = await syncRepository(id, {
    kind: "dataset",
    isComplete: ({ files }) => split.files.every((path) => Object.hasOwn(files, path)),
    select: (files) => files.filter(({ path }) => wanted.has(path)),
  }, options);
  return { subset, split, files: split.files.map((path) => `${folder}/${path}`) };
}

function isReadableCard({ path, size }: Pick<HubFile, "path" | "size">): boolean {
  return path === CARD && size <= MAX_CARD_BYTES;
}

/** The subset and the split that are asked for, or those that need not be named. */
export function chooseSplit(
  id: string,
  subsets: readonly HubSubset[],
  { subset: subsetName, split: splitName }: Pick<ResolveDatasetOptions, "subset" | "split">,
): { readonly subset: HubSubset; readonly split: HubSplit } {
  const subset = subsetName === undefined
    ? subsets.length === 1 ? subsets[0] : subsets.find(({ isDefault }) => isDefault)
    : subsets.find(({ name }) => name === subsetName);
  if (subset === undefined) {
    throw new HubError(
      `Cannot choose the subset${
        subsetName === undefined ? "" : ` ${JSON.stringify(subsetName)}`
      } of ` +
        `${id}: it has ${listNames(subsets)}; name one with --subset`,
    );
  }
  const { splits } = subset;
  const split = splitName === undefined
    ? splits.find(({ name }) => name === "train") ?? (splits.length === 1 ? splits[0] : undefined)
    : splits.find(({ name }) => name === splitName);
  if (split !== undefined) return { subset, split };
  const slice = /[[\]:%+]/.test(splitName ?? "") ? ", and --max-rows for a part of it" : "";
  throw new HubError(
    `Cannot choose the split${splitName === undefined ? "" : ` ${JSON.stringify(splitName)}`} of ` +
      `${id}: its subset ${subset.name} has ${listNames(splits)}; name one with --split${slice}`,
  );
}

function listNames(all: readonly { readonly name: string }[]): string {
  const shown = all.slice(0, SHOWN).map(({ name }) => name).join(", ");
  return all.length > SHOWN ? `${shown} and ${all.length - SHOWN} more` : shown;
}

/** What there is to do about a dataset that has no rows to be read. */
function wayOut({ source }: HubOptions, problem: string): string {
  const file = "Name a file of it with --dataset-file";
  return source === "huggingface" && problem.includes("script")
    ? `Try --revision refs/convert/parquet, which has what Hugging Face made of it. ${file} otherwise`
    : `${file}, or choose another dataset`;
}
