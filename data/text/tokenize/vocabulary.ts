/**
 * The vocabulary of a model in tokenizer.json.
 *
 * In: the parsed `vocab`. Out: tokens by id and ids by token, checked: whole numbers in range, no id
 * twice. Ids become rows of the embedding and entries of Int32Arrays, so nothing else may pass.
 */

import { describeValue, quoteHead } from "../../../internal/json/describe_value.ts";
import { isRecord } from "../../../internal/json/is_record.ts";
import { refuse } from "./step_review.ts";

/** Highest id accepted; vocabularies have some 10^5 tokens, and the table of tokens is an array. */
export const MAX_ID = 1 << 24;

/** Ids that a vocabulary may leave out: published ones leave a few, and the table has a place for each. */
const MAX_GAPS = 1 << 16;

/** Tokens and their ids. */
export interface Vocabulary {
  readonly ids: ReadonlyMap<string, number>;
  /** By id; ids may be left out. */
  readonly tokens: readonly (string | undefined)[];
}

const PLACE = "tokenizer.json: model.vocab";

/** Reads a vocabulary that is an object, token to id. */
export function readVocabulary(value: unknown): Vocabulary {
  if (!isRecord(value)) refuse(PLACE, `is ${describeValue(value)}, expected an object`);
  return collect(Object.entries(value));
}

/** Reads a vocabulary whose ids are the places of its tokens; of equal ones the last is found. */
export function listVocabulary(list: readonly unknown[]): Vocabulary {
  if (list.length > MAX_ID) refuse(PLACE, `has ${list.length} tokens, more than ${MAX_ID}`);
  const tokens = list.map(checkToken);
  return { ids: new Map(tokens.map((token, id) => [token, id])), tokens };
}

function checkToken(token: unknown): string {
  if (typeof token === "string" && token.isWellFormed()) return token;
  return refuse(PLACE, `has the token ${describeValue(token)}, expected Unicode text`);
}

function collect(entries: readonly (readonly [string, unknown])[]): Vocabulary {
  const ids = new Map<string, number>();
  const tokens: (string | undefined)[] = [];
  let highest = -1;
  for (const [token, id] of entries) {
    checkToken(token);
    if (!isId(id)) {
      refuse(
        PLACE,
        `gives ${quoteHead(token)} the id ${show(id)}, expected a whole number from 0 to ${MAX_ID}`,
      );
    }
    if (id >= 2 * entries.length + MAX_GAPS) {
      refuse(
        PLACE,
        `gives ${quoteHead(token)} the id ${id}, far above its ${entries.length} tokens`,
      );
    }
    highest = Math.max(highest, id);
    ids.set(token, id);
  }
  // Filled in order, so that V8 keeps one dense array.
  for (let id = 0; id <= highest; id++) tokens.push(undefined);
  for (const [token, id] of ids) {
    const other = tokens[id];
    if (other !== undefined) {
      refuse(PLACE, `gives the id ${id} to ${quoteHead(other)} and to ${quoteHead(token)}`);
    }
    tokens[id] = token;
  }
  return { ids, tokens };
}

/** Whether a value can be the id of a token. */
export function isId(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) >= 0 && Number(value) <= MAX_ID;
}

function show(value: unknown): string {
  return typeof value === "number" ? String(value) : describeValue(value);
}
