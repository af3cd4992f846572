/**
 * How a model is to be asked: with the tokenizer, the chat template, the system prompt, the thinking
 * and the ends that it was trained with, unless flags say otherwise. In: folders and flags. Out: all
 * of these, and lines that tell what was taken from where.
 */

import { type ChatSettings, readChatSettings } from "../../data/text/chat_settings.ts";
import { CHAT_TEMPLATE, loadTokenizer, type Tokenizer } from "../../data/text/tokenizer.ts";
import { quoteHead } from "../../internal/json/describe_value.ts";
import { isFile } from "../../internal/path_kind.ts";
import { readChatTemplate } from "./read_chat_template.ts";

/** How a model is asked. */
export interface ChatContext {
  /** The tokenizer, with the chat template. */
  readonly tokenizer: Tokenizer;
  /** The system prompt; empty for none. */
  readonly system: string;
  /** `undefined` leaves it to the chat template. */
  readonly enableThinking: boolean | undefined;
  /** Tokens that end a reply besides those of generation_config.json. */
  readonly eosTokenIds: readonly number[];
  /** What was taken from the folders, a line each. */
  readonly notes: readonly string[];
}

/** What it is made of. */
export interface ChatContextOptions {
  /** The model's folder. */
  readonly model: string;
  /** The folder of an adapter on it. @default none */
  readonly adapter?: string;
  /** As the flag says; empty for none. @default what was trained, or else none */
  readonly system?: string;
  /** Path of a template in place of the model's. */
  readonly chatTemplate?: string;
  /** The model's tokenizer, where it was opened with the same template: an adapter may share it. */
  readonly tokenizer?: Tokenizer;
}

/** Reads what the folders keep of their training. */
export async function openChat(
  { model, adapter, system, chatTemplate, tokenizer: opened }: ChatContextOptions,
): Promise<ChatContext> {
  const notes: string[] = [];
  const owner = adapter ?? model;
  const settings: ChatSettings = await readChatSettings(owner) ?? { eosTokenIds: [] };
  if (system === undefined && settings.system) {
    notes.push(
      `system prompt: ${
        quoteHead(settings.system)
      }, which ${owner} was trained with; --system gives another`,
    );
  }
  if (settings.enableThinking === false) {
    notes.push(`thinking: off, as ${owner} was trained`);
  }
  const ownTemplate = adapter && `${adapter}/${CHAT_TEMPLATE}`;
  const hasOwn = chatTemplate === undefined && ownTemplate !== undefined &&
    await isFile(ownTemplate);
  let tokenizer = hasOwn ? undefined : opened;
  if (!tokenizer) {
    const template = hasOwn
      ? await readChatTemplate(ownTemplate)
      : await readChatTemplate(chatTemplate, { root: null });
    tokenizer = await loadTokenizer(model, { chatTemplate: template });
    notes.push(...tokenizer.notes.map((note) => `note: ${note}`));
  }
  return {
    tokenizer,
    system: system ?? settings.system ?? "",
    enableThinking: settings.enableThinking,
    eosTokenIds: settings.eosTokenIds,
    notes,
  };
}

/** A model's own ends of replies, and those that training taught. */
export function withTaughtEnds<Config extends { readonly eosTokenIds: readonly number[] }>(
  generation: Config,
  taught: readonly number[],
): Config {
  return { ...generation, eosTokenIds: [...new Set([...generation.eosTokenIds, ...taught])] };
}
