/** Files of a model folder that go along with its weights into checkpoints. */

import { findRegularFile } from "../../internal/regular_file.ts";
import { CHAT_SETTINGS } from "../../data/text/chat_settings.ts";

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
 * Paths of the tokenizer's and generation's files that the folder has.
 *
 * @throws {Error} naming a file that is there and cannot go along: a copy would lack it without a word
 */
export async function companionFiles(directory: string): Promise<string[]> {
  const present = new Set<string>();
  for await (const { name, isDirectory } of Deno.readDir(directory)) {
    if (!isDirectory) present.add(name);
  }
  const paths: string[] = [];
  for (const name of COMPANIONS.filter((each) => present.has(each))) {
    const path = `${directory}/${name}`;
    const { problem } = await findRegularFile(path, { root: directory });
    if (problem !== undefined) {
      throw new Error(`Cannot use ${path}: it ${problem}; put the file itself into the folder`);
    }
    paths.push(path);
  }
  return paths;
}
