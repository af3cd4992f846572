/**
 * chat_settings.json: how a model was taught to chat, kept beside its weights or its adapter.
 *
 * In: what the training data hold, or the file. Out: the file's text, or the settings, for whoever
 * asks the model afterwards. Other programs do not read it.
 */

import { FieldTable, listFields } from "../../internal/json/field_table.ts";
import { isCount } from "../../internal/json/is_count.ts";
import { isRecord } from "../../internal/json/is_record.ts";
import { readJson } from "../../internal/json/read_json.ts";

/** The file's name in a checkpoint, an adapter or an export. */
export const CHAT_SETTINGS = "chat_settings.json";

/** How a model was taught to chat. */
export interface ChatSettings {
  /** The system prompt above most rows, empty for none; `undefined` where no one prompt was. */
  readonly system?: string;
  /** `false` where all replies were learned behind a prompt that asks for no thinking. */
  readonly enableThinking?: boolean;
  /** Ids of the tokens that replies were taught to end with. */
  readonly eosTokenIds: readonly number[];
}

const FIELDS = new FieldTable({
  honoured: ["format", "system", "enable_thinking", "eos_token_ids"],
});
const MAX_EOS_IDS = 16;

/** The text of the file. */
export function formatChatSettings(
  { system, enableThinking, eosTokenIds }: ChatSettings,
): string {
  const fields = {
    format: 1,
    system: system ?? null,
    enable_thinking: enableThinking ?? null,
    eos_token_ids: eosTokenIds,
  };
  return JSON.stringify(fields, null, 2) + "\n";
}

/**
 * Reads the file of a folder; `undefined` where there is none, as in folders that others made.
 *
 * @throws {RangeError} naming the field that is wrong
 */
export async function readChatSettings(directory: string): Promise<ChatSettings | undefined> {
  const path = `${directory}/${CHAT_SETTINGS}`;
  const json = await readJson(path, "delete it, and give --system yourself");
  return json === undefined ? undefined : parseChatSettings(json, path);
}

/** Checks the parsed file. */
export function parseChatSettings(json: unknown, path: string = CHAT_SETTINGS): ChatSettings {
  const fail = (state: string): never => {
    throw new RangeError(`Cannot read ${path}: ${state}; delete it, and give --system yourself`);
  };
  if (!isRecord(json) || json.format !== 1) return fail("it is not of format 1");
  const { unknown } = FIELDS.review(json);
  if (unknown.length > 0) fail(`it holds ${listFields(unknown)}, which is not known`);
  const { system, enable_thinking, eos_token_ids: ids } = json;
  if (system !== null && typeof system !== "string") fail("system must be text or null");
  if (enable_thinking !== null && typeof enable_thinking !== "boolean") {
    fail("enable_thinking must be true, false or null");
  }
  if (!Array.isArray(ids) || ids.length > MAX_EOS_IDS || !ids.every(isCount)) {
    return fail("eos_token_ids must be a list of ids");
  }
  return {
    ...typeof system === "string" ? { system } : {},
    ...typeof enable_thinking === "boolean" ? { enableThinking: enable_thinking } : {},
    eosTokenIds: ids,
  };
}
