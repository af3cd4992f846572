/** Files of a model folder that go along with its weights into checkpoints. */

import { CHAT_SETTINGS } from "../data/chat_settings.ts";

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

/** Paths of the tokenizer's and generation's files that the folder has. */
export async function companionFiles(directory: string): Promise<string[]> {
  const present = new Set<string>();
  for await (const entry of Deno.readDir(directory)) if (entry.isFile) present.add(entry.name);
  return COMPANIONS.filter((name) => present.has(name)).map((name) => `${directory}/${name}`);
}
