/** Files of a model folder that go along with its weights into checkpoints. */

import { findRegularFile } from "../files/regular_file.ts";
import { CHAT_SETTINGS } from "../data/chat_settings.ts";

/** A file that goes along. */
export interface CompanionFile {
  /** Its name in the folder. */
  readonly name: string;
  /** Where it is read from. */
  readonly path: string;
}

const COMPANIONS = [
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "vocab.json",
  "merges.txt",
  "chat_template.jinja",
  "generation_config.json",
  CHAT_SETTINGS,
];

/**
 * Paths of the tokenizer's and generation's files that the folder has, links resolved.
 *
 * @throws {Error} naming a file that is there and cannot go along: a copy would lack it without a word
 */
export async function companionFiles(directory: string): Promise<CompanionFile[]> {
  const present = new Set<string>();
  for await (const { name, isDirectory } of Deno.readDir(directory)) {
    if (!isDirectory) present.add(name);
  }
  const files: CompanionFile[] = [];
  for (const name of COMPANIONS.filter((each) => present.has(each))) {
    const { path, problem } = await findRegularFile(`${directory}/${name}`, { root: directory });
    if (path === undefined) {
      throw new Error(
        `Cannot use ${directory}/${name}: it ${problem}; put the file itself into the folder`,
      );
    }
    files.push({ name, path });
  }
  return files;
}
