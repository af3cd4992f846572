/** A folder for whole runs that take milliseconds: a model of 7,000 weights with its tokenizer, and rows. */

import { byteTokenizerFiles } from "../../data/text/byte_tokenizer.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import type { TempFolder } from "./temp_folder.ts";
import { tinyConfig, tinyModelFolder } from "./tiny_model.ts";

/** JSON lines of a question and an answer of so many characters each: 29 tokens more as an example. */
export function tinyRows(...lengths: readonly number[]): string {
  return lengths.map((length) => {
    const row = { question: `q${length}`, think: "t", answer: "a".repeat(length) };
    return `${JSON.stringify(row)}\n`;
  }).join("");
}

/** Makes one: three rows in rows.jsonl, of 30 to 32 tokens, and two others in val.jsonl. */
export async function tinyRunFolder(): Promise<TempFolder> {
  using runtime = new Runtime({ threads: 1 });
  const config = tinyConfig({ vocab_size: 261, num_hidden_layers: 1, eos_token_id: 258 });
  const folder = await tinyModelFolder(runtime, config);
  const { tokenizerJson, tokenizerConfig } = byteTokenizerFiles();
  await folder.write("tokenizer.json", JSON.stringify(tokenizerJson));
  await folder.write("tokenizer_config.json", JSON.stringify(tokenizerConfig));
  await folder.write("rows.jsonl", tinyRows(1, 2, 3));
  await folder.write("val.jsonl", tinyRows(4, 5));
  return folder;
}
