/**
 * One file of a dataset from a hub.
 *
 * In: a dataset's id and the path of a file in it. Out: the path of the file here, whole and
 * checked.
 *
 * @module
 */

import { HubError } from "./hub_error.ts";
import type { HubOptions } from "./hub_options.ts";
import { checkFilePath } from "./repository_path.ts";
import { syncRepository } from "./sync_repository.ts";

/** Most files that an error lists. */
const SHOWN = 8;

/**
 * Fetches a file of a dataset, or finds it in the cache. As {@linkcode resolveModel} in all else.
 *
 * @param id `owner/name`.
 * @param file path in the dataset, such as `train.jsonl`.
 * @returns `{cacheDir}/{owner}/{name}/{file}`.
 * @throws {HubError} if the file cannot be had.
 *
 * @example
 * ```ts
 * import { resolveDatasetFile } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 *
 * const options = { source: "modelscope", cacheDir: "no/such/folder", offline: true } as const;
 * await assert.rejects(
 *   resolveDatasetFile("krisfu/delicate_medical_r1_data", "r1_data_example.jsonl", options),
 *   /no complete copy/,
 * );
 * ```
 */
export async function resolveDatasetFile(
  id: string,
  file: string,
  options: HubOptions,
): Promise<string> {
  checkFilePath(file);
  const folder = await syncRepository(id, {
    kind: "dataset",
    isComplete: ({ files }) => Object.hasOwn(files, file),
    select: (files, host) => {
      const found = files.find(({ path }) => path === file);
      if (found !== undefined) return [found];
      const names = files.slice(0, SHOWN).map(({ path }) => path).join(", ");
      throw new HubError(
        `Cannot fetch ${file} of ${id} from ${host}: the dataset has no such file. It has ${
          names || "no files"
        }${files.length > SHOWN ? ` and ${files.length - SHOWN} more` : ""}; name one of them`,
        { host, file },
      );
    },
  }, options);
  return `${folder}/${file}`;
}
