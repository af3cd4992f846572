/**
 * What checkpoints keep of how a run's data chat. In: training arguments, what its rows were, and the
 * model's folder. Out: settings for inference, and the texts of files that say so.
 */

import {
  CHAT_SETTINGS,
  type ChatSettings,
  formatChatSettings,
  readChatSettings,
} from "../../data/text/chat_settings.ts";
import type { ReadExamplesReport } from "../../data/examples/read_examples_report.ts";
import { CHAT_TEMPLATE } from "../../data/text/tokenizer.ts";
import { isRecord } from "../../internal/json/is_record.ts";
import { readJson } from "../../internal/json/read_json.ts";
import { withEosTokenIds } from "../../model/eos_token_ids.ts";
import { isFile } from "../../internal/path_kind.ts";
import { readChatTemplate } from "../../infer/chat/read_chat_template.ts";
import type { TrainingArguments } from "./training_arguments.ts";

const GENERATION_CONFIG = "generation_config.json";

/** The settings that the rows of a run teach. */
export function taughtChat(
  { systems, rows, refusedRows, terminators, replies, withoutThinking, thinkingOff }: Pick<
    ReadExamplesReport,
    | "systems"
    | "rows"
    | "refusedRows"
    | "terminators"
    | "replies"
    | "withoutThinking"
    | "thinkingOff"
  >,
  { emptyThink }: Pick<TrainingArguments, "emptyThink">,
): ChatSettings {
  const [system] = systems;
  const off = thinkingOff + (emptyThink === "prompt" ? withoutThinking : 0);
  return {
    // One that only some rows have is none to ask everything with.
    ...system && 2 * system.rows > rows - refusedRows ? { system: system.text } : {},
    ...replies > 0 && off >= replies ? { enableThinking: false } : {},
    // Rarer ones end replies by chance, such as a token that a row's text holds.
    eosTokenIds: terminators.slice(0, 1),
  };
}

/** What a model that an adapter is merged into keeps of the adapter's training. */
export interface KeptChat {
  /** Files by name, in place of the base model's. */
  readonly texts: Readonly<Record<string, string>>;
  /** Ids that replies end with besides the base model's own. */
  readonly eosTokenIds: readonly number[];
}

/** Reads it from an adapter's folder; nothing where there is no adapter, or one made elsewhere. */
export async function keptChat(
  adapter: string | undefined,
  { model, eosTokenId }: { readonly model: string; readonly eosTokenId: unknown },
): Promise<KeptChat> {
  if (adapter === undefined) return { texts: {}, eosTokenIds: [] };
  const path = `${adapter}/${CHAT_TEMPLATE}`;
  const chatTemplate = await readChatTemplate(await isFile(path) ? path : undefined);
  const settings = await readChatSettings(adapter);
  if (settings === undefined) {
    return {
      texts: chatTemplate === undefined ? {} : { [CHAT_TEMPLATE]: chatTemplate },
      eosTokenIds: [],
    };
  }
  const texts = await chatTexts(settings, { model, chatTemplate, eosTokenId });
  return { texts, eosTokenIds: settings.eosTokenIds };
}

/** Files of a checkpoint by name, where they are not those of the base model. */
export async function chatTexts(
  settings: ChatSettings,
  { model, chatTemplate, eosTokenId }: {
    readonly model: string;
    /** The source of a template that takes the place of the model's. */
    readonly chatTemplate?: string;
    /** What config.json says ends a reply. */
    readonly eosTokenId: unknown;
  },
): Promise<Record<string, string>> {
  const generation = await readJson(`${model}/${GENERATION_CONFIG}`, "copy it again, or delete it");
  const known = isRecord(generation) ? generation.eos_token_id ?? eosTokenId : eosTokenId;
  const ends = withEosTokenIds(known, settings.eosTokenIds);
  return {
    [CHAT_SETTINGS]: formatChatSettings(settings),
    ...isRecord(generation) && ends !== known
      ? {
        [GENERATION_CONFIG]: JSON.stringify({ ...generation, eos_token_id: ends }, null, 2) + "\n",
      }
      : {},
    ...chatTemplate === undefined ? {} : { [CHAT_TEMPLATE]: chatTemplate },
  };
}
