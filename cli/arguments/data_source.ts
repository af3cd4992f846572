/**
 * What `--source` names. In: its text. Out: a hub with a dataset's id, or a name of files.
 */

import { checkRepositoryId } from "../../hub/repository_path.ts";
import type { HubSource } from "../../hub/hub_options.ts";
import { ID } from "../../train/runs/named_folders.ts";
import { ROW_EXTENSIONS } from "../../data/records/row_format.ts";

/** A dataset on a hub, or files. */
export type DataSource =
  | { readonly hub: HubSource; readonly id: string | undefined }
  | { readonly hub?: undefined; readonly path: string };

const HUBS: Readonly<Record<string, HubSource>> = {
  modelscope: "modelscope",
  ms: "modelscope",
  huggingface: "huggingface",
  hf: "huggingface",
};
const PAGE =
  /^https:\/\/(huggingface\.co|(?:www\.)?modelscope\.cn)\/datasets\/([^/?#]+\/[^/?#]+?)(?:[/?#].*)?$/;

/** Names of hubs, for messages. */
export const HUB_NAMES: readonly HubSource[] = ["modelscope", "huggingface"];

/**
 * Reads the text; what may be a dataset's id or a path is an id, unless it ends as files do.
 *
 * @throws {TypeError} where a hub is named with what is no id
 */
export function parseDataSource(text: string): DataSource {
  if (Object.hasOwn(HUBS, text)) return { hub: HUBS[text], id: undefined };
  const page = PAGE.exec(text);
  if (page !== null) {
    const hub = page[1].endsWith("modelscope.cn") ? "modelscope" : "huggingface";
    return { hub, id: checkRepositoryId(page[2]) };
  }
  const prefix = /^(\w+):(.+)$/.exec(text);
  if (prefix !== null && Object.hasOwn(HUBS, prefix[1])) {
    return { hub: HUBS[prefix[1]], id: checkRepositoryId(prefix[2]) };
  }
  const isFile = /\.(?:gz|zst)$/.test(text) ||
    ROW_EXTENSIONS.some((each) => text.endsWith(`.${each}`));
  return ID.test(text) && !isFile ? { hub: "modelscope", id: text } : { path: text };
}
