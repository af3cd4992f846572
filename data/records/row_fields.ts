/**
 * The columns of a row and the fields of a message: which are read, and what becomes of the rest.
 *
 * In: a parsed row or message. Out: the same under the names that are read, and a review of all
 * other fields; a field that stands twice under two names is taken once, or refused.
 */

import { describeValue } from "../../internal/json/describe_value.ts";
import { FieldTable, listFields, type UnsupportedField } from "../../internal/json/field_table.ts";
import { JsonlError, type RowLocation } from "./jsonl_error.ts";

/** Is told of a field that is not read; `remedy` is why, where the field is a known one. */
export type OnUnread = (field: string, remedy?: string) => void;

/** Names of thinking in data sets and APIs, in lower case; the first is ours. */
const THINK_NAMES = [
  ...["think", "thinking", "thought", "thoughts", "reasoning", "reasoning_content"],
  ...["reasoning_trace", "cot", "complex_cot", "chain_of_thought"],
];
const COLUMN_NAMES: Readonly<Record<string, readonly string[]>> = {
  question: ["question"],
  answer: ["answer"],
  messages: ["messages"],
  think: THINK_NAMES,
  system: ["system", "system_prompt", "system_message"],
  input: ["input"],
  history: ["history"],
};
const MESSAGE_NAMES: Readonly<Record<string, readonly string[]>> = {
  role: ["role"],
  content: ["content"],
  name: ["name"],
  reasoning_content: THINK_NAMES,
};

const COLUMNS = byName(COLUMN_NAMES);
const FIELDS = byName(MESSAGE_NAMES);

/** What says nothing of the chat itself. */
const BOOKKEEPING = [
  ...["id", "_id", "idx", "index", "uid", "uuid", "row_id", "sample_id", "message_id", "parent_id"],
  ...[
    "source",
    "sources",
    "dataset",
    "dataset_name",
    "subset",
    "split",
    "origin",
    "url",
    "license",
  ],
  ...["lang", "language", "category", "topic", "domain", "subject", "tags", "difficulty"],
  ...["score", "scores", "quality", "rating", "metrics", "metadata", "meta", "hash", "model"],
  ...["timestamp", "created", "created_at", "updated_at", "date", "num_tokens", "length"],
  ...["prompt_id", "conversation_id", "annotations", "logprobs", "finish_reason", "usage"],
];

const NOTHING = [false, "", [], {}, "[]", "null"];
const TOOLS: UnsupportedField = {
  unless: NOTHING,
  remedy: "training on tool calls is not supported; drop the row, or remove the column where no " +
    "call is made",
};
const MEDIA: UnsupportedField = {
  unless: NOTHING,
  remedy: "the model reads text only; drop the row",
};
const PREFERENCE: UnsupportedField = {
  remedy: "preferences are not trained on: the answer alone is learned",
};
const WEIGHT: UnsupportedField = {
  unless: [1],
  remedy: "all rows weigh the same; repeat a row to weigh it more, or leave it out",
};
const REFUSED_ANYWHERE = {
  tools: TOOLS,
  functions: TOOLS,
  images: MEDIA,
  image: MEDIA,
  audio: MEDIA,
  audios: MEDIA,
  videos: MEDIA,
  video: MEDIA,
};
const WARNED_ANYWHERE = {
  rejected: PREFERENCE,
  chosen: PREFERENCE,
  weight: WEIGHT,
  sample_weight: WEIGHT,
  loss_weight: WEIGHT,
};

const QUESTION_ROW = new FieldTable({
  honoured: ["question", "think", "answer", "system", "input", "history", "chat_template_kwargs"],
  ignored: BOOKKEEPING,
  refused: REFUSED_ANYWHERE,
  warned: WARNED_ANYWHERE,
});

const beside = (field: string): UnsupportedField => ({
  unless: ["", []],
  remedy:
    `beside messages it would be lost; put it into the messages, or remove the column ${field}`,
});
const CHAT_ROW = new FieldTable({
  honoured: ["messages", "system", "chat_template_kwargs"],
  ignored: BOOKKEEPING,
  refused: { ...REFUSED_ANYWHERE, think: beside("think"), history: beside("history") },
  warned: WARNED_ANYWHERE,
});

/** Fields that say whether a reply is learned; of the second kind true means that it is not. */
export const LEARN_FIELDS: readonly string[] = [
  ...["weight", "train", "training", "trainable", "loss", "loss_mask"],
];
/** See {@linkcode LEARN_FIELDS}. */
export const MASK_FIELDS: readonly string[] = ["mask", "masked"];

const MESSAGE = new FieldTable({
  honoured: [
    ...["role", "content", "reasoning_content", "name"],
    ...LEARN_FIELDS,
    ...MASK_FIELDS,
  ],
  ignored: BOOKKEEPING,
  refused: {
    tool_calls: { unless: NOTHING, remedy: TOOLS.remedy },
    tool_call_id: { unless: NOTHING, remedy: TOOLS.remedy },
    function_call: { unless: NOTHING, remedy: TOOLS.remedy },
    refusal: { unless: [""], remedy: "write what the assistant says into content" },
    train_detail: { unless: NOTHING, remedy: "only whole replies are learned or left out" },
    prefix: { unless: [false], remedy: "a reply that is begun cannot be gone on with in training" },
    partial: {
      unless: [false],
      remedy: "a reply that is begun cannot be gone on with in training",
    },
    images: MEDIA,
    image: MEDIA,
    audio: MEDIA,
    video: MEDIA,
    videos: MEDIA,
  },
});

/**
 * A row under the names that are read.
 *
 * @throws {JsonlError} if two columns of one meaning differ, or a column would change the chat and
 *   cannot be honoured.
 */
export function readColumns(
  row: Readonly<Record<string, unknown>>,
  where: RowLocation,
  onUnread?: OnUnread,
): Record<string, unknown> {
  const columns = renamed(row, COLUMNS, { where, place: "" });
  const table = columns.messages == null ? QUESTION_ROW : CHAT_ROW;
  review(table, columns, { where, place: "", onUnread });
  return columns;
}

/** A message under the names that are read; as {@linkcode readColumns}. */
export function readMessageFields(
  message: Readonly<Record<string, unknown>>,
  { where, place, onUnread }: {
    readonly where: RowLocation;
    /** Such as `messages[1]`. */
    readonly place: string;
    readonly onUnread?: OnUnread;
  },
): Record<string, unknown> {
  const fields = renamed(message, FIELDS, { where, place: `${place}.` });
  review(MESSAGE, fields, { where, place: `${place}.`, onUnread });
  return fields;
}

function byName(names: Readonly<Record<string, readonly string[]>>): ReadonlyMap<string, string> {
  return new Map(
    Object.entries(names).flatMap(([ours, all]) => all.map((each) => [each, ours] as const)),
  );
}

/** The record with each known name in our spelling. */
function renamed(
  record: Readonly<Record<string, unknown>>,
  names: ReadonlyMap<string, string>,
  { where, place }: { readonly where: RowLocation; readonly place: string },
): Record<string, unknown> {
  const made: Record<string, unknown> = Object.create(null);
  let from: Record<string, string> | undefined;
  for (const key of Object.keys(record)) {
    const value = record[key];
    const ours = names.get(key) ?? names.get(key.toLowerCase());
    const name = ours ?? key;
    const other = made[name];
    if (other === undefined || other === null || other === "") {
      // An empty one says nothing beside another that does.
      if (value != null || other === undefined) made[name] = value;
      if (ours !== undefined && ours !== key) (from ??= Object.create(null))![ours] = key;
      continue;
    }
    if (value === null || value === "" || value === other) continue;
    const first = from?.[name] ?? name;
    throw new JsonlError(
      { ...where, field: `${place}${key}` },
      `expected the same as in ${first}, which means the same, got ${
        describeValue(value)
      } beside ` +
        `${describeValue(other)}; keep one of the two`,
    );
  }
  return made;
}

function review(
  table: FieldTable,
  record: Readonly<Record<string, unknown>>,
  { where, place, onUnread }: {
    readonly where: RowLocation;
    readonly place: string;
    readonly onUnread?: OnUnread;
  },
): void {
  const { refused, warned, unknown } = table.review(record);
  if (refused.length > 0) {
    const [{ field, message }] = refused;
    const rest = refused.slice(1).map((each) => each.field);
    throw new JsonlError(
      { ...where, field: `${place}${field}` },
      message + (rest.length > 0 ? `; so of ${listFields(rest)}` : ""),
    );
  }
  // All messages of a chat together: which of them it is does not matter.
  const at = place.replace(/\[\d+\]/, "[]");
  for (const { field, message } of warned) onUnread?.(at + field, message);
  for (const field of unknown) onUnread?.(at + field);
}
