/**
 * The fields of a message and the columns of a row that no shape knows: which are read, and what
 * becomes of the rest.
 *
 * In: a parsed row or message. Out: a message under the names that are read, and a review of all
 * other fields; a field that stands twice under two names is taken once, or refused.
 */

import { describeValue } from "../../internal/json/describe_value.ts";
import { FieldTable, listFields, type UnsupportedField } from "../../internal/json/field_table.ts";
import { JsonlError, type RowLocation } from "./jsonl_error.ts";
import { type OnUnread, THINK_NAMES } from "./row_shape.ts";

const FIELDS = byName({
  role: ["role", "from"],
  content: ["content", "value"],
  name: ["name"],
  reasoning_content: THINK_NAMES,
});

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

const MEDIA: UnsupportedField = {
  unless: [false, "", [], {}, "[]", "null"],
  remedy: "the model reads text only; drop the row",
};
const REFUSED_MEDIA = {
  images: MEDIA,
  image: MEDIA,
  audio: MEDIA,
  audios: MEDIA,
  videos: MEDIA,
  video: MEDIA,
};
const PREFERENCE: UnsupportedField = {
  remedy: "preferences are not trained on: the answer alone is learned",
};
const WEIGHT: UnsupportedField = {
  unless: [1],
  remedy: "all rows weigh the same; repeat a row to weigh it more, or leave it out",
};

const ROW = new FieldTable({
  honoured: [],
  ignored: BOOKKEEPING,
  refused: REFUSED_MEDIA,
  warned: {
    rejected: PREFERENCE,
    chosen: PREFERENCE,
    weight: WEIGHT,
    sample_weight: WEIGHT,
    loss_weight: WEIGHT,
  },
});

/** Fields that say whether a reply is learned; of the second kind true means that it is not. */
export const LEARN_FIELDS: readonly string[] = [
  ...["weight", "train", "training", "trainable", "loss", "loss_mask"],
];
/** See {@linkcode LEARN_FIELDS}. */
export const MASK_FIELDS: readonly string[] = ["mask", "masked"];

const BEGUN: UnsupportedField = {
  unless: [false],
  remedy: "a reply that is begun cannot be gone on with in training",
};
const MESSAGE = new FieldTable({
  honoured: [
    ...["role", "content", "reasoning_content", "name"],
    ...["tool_calls", "tool_call_id", "function_call"],
    ...LEARN_FIELDS,
    ...MASK_FIELDS,
  ],
  ignored: BOOKKEEPING,
  refused: {
    refusal: { unless: [""], remedy: "write what the assistant says into content" },
    train_detail: {
      unless: MEDIA.unless,
      remedy: "only whole replies are learned or left out",
    },
    prefix: BEGUN,
    partial: BEGUN,
    ...REFUSED_MEDIA,
  },
});

/**
 * Reviews the columns that mean nothing to a row's shape.
 *
 * @throws {JsonlError} if one of them would change the chat and cannot be honoured.
 */
export function reviewRest(
  rest: Readonly<Record<string, unknown>>,
  where: RowLocation,
  onUnread?: OnUnread,
): void {
  review(ROW, rest, { where, place: "", onUnread });
}

/**
 * A message under the names that are read.
 *
 * @throws {JsonlError} if two fields of one meaning differ, or one would change the chat and cannot
 *   be honoured.
 */
export function readMessageFields(
  message: Readonly<Record<string, unknown>>,
  { where, place, onUnread }: {
    readonly where: RowLocation;
    /** Such as `messages[1]`. */
    readonly place: string;
    readonly onUnread?: OnUnread;
  },
): Record<string, unknown> {
  const { values, rest } = takeNamed(message, FIELDS, { where, place: `${place}.` });
  const fields = Object.assign(rest, values);
  review(MESSAGE, fields, { where, place: `${place}.`, onUnread });
  return fields;
}

/** Meanings by each of their names. */
export function byName(
  names: Readonly<Record<string, readonly string[]>>,
): ReadonlyMap<string, string> {
  return new Map(
    Object.entries(names).flatMap(([ours, all]) => all.map((each) => [each, ours] as const)),
  );
}

/** The fields of a record by their meaning, those without one, and the record's own names. */
export interface NamedFields {
  readonly values: Record<string, unknown>;
  readonly rest: Record<string, unknown>;
  /** The record's own name of each meaning that it has. */
  readonly names: Record<string, string>;
}

/**
 * Takes the fields that mean something, by names as they are or in lower case.
 *
 * @throws {JsonlError} if two fields of one meaning differ.
 */
export function takeNamed(
  record: Readonly<Record<string, unknown>>,
  meanings: ReadonlyMap<string, string>,
  { where, place }: { readonly where: RowLocation; readonly place: string },
): NamedFields {
  const values: Record<string, unknown> = Object.create(null);
  const rest: Record<string, unknown> = Object.create(null);
  const names: Record<string, string> = Object.create(null);
  for (const key of Object.keys(record)) {
    const value = record[key];
    const ours = meanings.get(key) ?? meanings.get(key.toLowerCase());
    if (ours === undefined) {
      rest[key] = value;
      continue;
    }
    const other = values[ours];
    if (other === undefined || other === null || other === "") {
      // An empty one says nothing beside another that does.
      if (value != null || other === undefined) {
        values[ours] = value;
        names[ours] = key;
      }
      continue;
    }
    if (value === null || value === "" || value === other) continue;
    throw new JsonlError(
      { ...where, field: `${place}${key}` },
      `expected the same as in ${names[ours]}, which means the same, got ${
        describeValue(value)
      } beside ` +
        `${describeValue(other)}; keep one of the two`,
    );
  }
  return { values, rest, names };
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
