/**
 * What a user should know of the rows that were encoded, gathered row by row.
 *
 * In: records, their messages and their examples. Out: counts and line numbers, as plain JSON, since
 * they are kept beside the tokens.
 */

import type { Example } from "./example.ts";
import type { JsonlError } from "../records/jsonl_error.ts";
import type { Message } from "../text/message.ts";
import type { OnUnread } from "../records/row_shape.ts";
import type { RecognizedShape } from "../records/shape_row.ts";
import { taughtTurns, type Teach } from "./taught_turns.ts";
import { mentionsThinkTag } from "../text/thinking.ts";

/** A row that was left out, and why. */
export interface RefusedRow {
  /** 1-based line. */
  readonly line: number;
  /** The error without the file's name. */
  readonly reason: string;
}

/** A column or a field of a message that is not read. */
export interface UnreadField {
  /** The column's name, or `messages[].` and the field's. */
  readonly field: string;
  /** How many rows hold it. */
  readonly rows: number;
  /** Why, of a known field: `field is value: remedy`, of the first row. */
  readonly remedy?: string;
}

/** A shape of row and the rows that have it. */
export interface ShapeUse extends RecognizedShape {
  /** How many rows. */
  readonly rows: number;
}

/** A system prompt and the rows that are trained below it. */
export interface SystemPromptUse {
  /** The text; empty for none. */
  readonly text: string;
  /** How many rows. */
  readonly rows: number;
}

/** What was read, left out, and found in the rows. */
export interface RowStatistics {
  /** How many rows were left out. */
  readonly refusedRows: number;
  /** The first of them. */
  readonly refused: readonly RefusedRow[];
  /** What the rows were found to be, the most frequent first. */
  readonly shapes: readonly ShapeUse[];
  /** What is not read, the most frequent first. */
  readonly unread: readonly UnreadField[];
  /** System prompts, the most frequent first; rows with rarer ones are counted in `otherSystems`. */
  readonly systems: readonly SystemPromptUse[];
  /** Rows whose system prompt is none of `systems`. */
  readonly otherSystems: number;
  /** Rows that are pairs of a chosen and a rejected reply. */
  readonly pairs: number;
  /** Replies that are learned; of a pair the chosen one is counted. */
  readonly replies: number;
  /** Those of them without thinking, whose row does not ask for a prompt without it. */
  readonly withoutThinking: number;
  /** Replies whose row asks for a prompt without thinking. */
  readonly thinkingOff: number;
  /** Replies that are part of a prompt only: marked so, empty, or not asked for. */
  readonly unlearnedReplies: number;
  /** Lines of rows all of whose replies are such. */
  readonly unlearned: readonly number[];
  /** Lines of rows in which a `<think>` or `</think>` is left inside thinking or answer. */
  readonly tagged: readonly number[];
  /** Lines of rows in which the chat template dropped blanks around a reply. */
  readonly trimmed: readonly number[];
  /** Ids of the tokens that end replies, the most frequent first. */
  readonly terminators: readonly number[];
}

/** Refused rows that are kept with their reasons: more help nobody. */
const MAX_REFUSED = 1000;
/** Names of fields that are kept: a file may have another one in each row. */
const MAX_UNREAD = 200;
/** Columns of a shape that are told: more are spellings of the same. */
const MAX_COLUMNS = 16;
/** Different system prompts that are counted apart. */
const MAX_SYSTEMS = 100;
/** Of those, how many are told of. */
const SHOWN_SYSTEMS = 5;

/** Gathers {@linkcode RowStatistics}. */
export class RowStatisticsCollector {
  readonly #refused: RefusedRow[] = [];
  #refusedRows = 0;
  readonly #shapes = new Map<string, { columns: Set<string>; name: string; rows: number }>();
  readonly #unread = new Map<string, { rows: number; line: number; remedy?: string }>();
  readonly #systems = new Map<string, number>();
  readonly #terminators = new Map<number, number>();
  readonly #tagged: number[] = [];
  readonly #trimmed = new Set<number>();
  readonly #unlearned: number[] = [];
  #otherSystems = 0;
  #pairs = 0;
  #replies = 0;
  #withoutThinking = 0;
  #thinkingOff = 0;
  #unlearnedReplies = 0;

  /** Counts a row that is left out. */
  refuse({ line = 0, field, problem }: JsonlError): void {
    this.#refusedRows++;
    if (this.#refused.length >= MAX_REFUSED) return;
    this.#refused.push({ line, reason: field === undefined ? problem : `${field}: ${problem}` });
  }

  /** Counts the fields of a row that are not read, each once a row. */
  unreadIn(line: number): OnUnread {
    return (field, remedy) => {
      const known = this.#unread.get(field);
      if (known === undefined) {
        if (this.#unread.size < MAX_UNREAD) this.#unread.set(field, { rows: 1, line, remedy });
      } else if (known.line !== line) {
        known.rows++;
        known.line = line;
      }
    };
  }

  /** Counts what a row was found to be; columns of rows of one shape that are not in all are joined. */
  shape({ name, columns }: RecognizedShape): void {
    const known = this.#shapes.get(name);
    if (known === undefined) {
      this.#shapes.set(name, { name, columns: new Set(columns), rows: 1 });
      return;
    }
    known.rows++;
    for (const column of columns) known.columns.add(column);
  }

  /** Notes that the template dropped blanks around a reply of the row. */
  trim(line: number): void {
    this.#trimmed.add(line);
  }

  /** Counts a row that was encoded. */
  add(
    line: number,
    { examples, chat, pair = false }: {
      readonly examples: readonly Example[];
      /** Whether the row is a pair. @default false */
      readonly pair?: boolean;
      /** What the examples are of; none of plain text. */
      readonly chat?: {
        readonly messages: readonly Message[];
        readonly enableThinking: boolean | undefined;
        readonly teach: Teach | undefined;
      };
    },
  ): void {
    if (pair) this.#pairs++;
    if (chat !== undefined) this.#addChat(line, chat);
    for (const { terminated, labels } of examples) {
      if (!terminated) continue;
      const end = labels[labels.length - 1];
      this.#terminators.set(end, (this.#terminators.get(end) ?? 0) + 1);
    }
  }

  #addChat(
    line: number,
    { messages, enableThinking, teach }: {
      readonly messages: readonly Message[];
      readonly enableThinking: boolean | undefined;
      readonly teach: Teach | undefined;
    },
  ): void {
    this.#countSystem(messages.find(({ role }) => role === "system")?.content ?? "");
    const taught = taughtTurns(messages, teach);
    let tagged = false;
    for (const turn of taught) {
      const { content, reasoning_content = "" } = messages[turn];
      if (enableThinking === false) this.#thinkingOff++;
      else if (reasoning_content === "") this.#withoutThinking++;
      tagged ||= mentionsThinkTag(content) || mentionsThinkTag(reasoning_content);
    }
    const learned = taught.length;
    this.#unlearnedReplies += messages.filter(({ role }) => role === "assistant").length - learned;
    this.#replies += learned;
    if (learned === 0) this.#unlearned.push(line);
    if (tagged) this.#tagged.push(line);
  }

  #countSystem(text: string): void {
    const known = this.#systems.get(text);
    if (known !== undefined) this.#systems.set(text, known + 1);
    else if (this.#systems.size < MAX_SYSTEMS) this.#systems.set(text, 1);
    else this.#otherSystems++;
  }

  /** What was gathered. */
  finish(): RowStatistics {
    const systems = byCount(this.#systems).map(([text, rows]) => ({ text, rows }));
    const rest = systems.slice(SHOWN_SYSTEMS).reduce((sum, { rows }) => sum + rows, 0);
    return {
      refusedRows: this.#refusedRows,
      refused: this.#refused,
      shapes: [...this.#shapes.values()].sort((a, b) => b.rows - a.rows)
        .map(({ name, columns, rows }) => ({
          name,
          columns: [...columns].slice(0, MAX_COLUMNS),
          rows,
        })),
      unread: [...this.#unread]
        .map(([field, { rows, remedy }]) => ({ field, rows, ...remedy ? { remedy } : {} }))
        .sort((a, b) => b.rows - a.rows),
      systems: systems.slice(0, SHOWN_SYSTEMS),
      otherSystems: this.#otherSystems + rest,
      pairs: this.#pairs,
      replies: this.#replies,
      withoutThinking: this.#withoutThinking,
      thinkingOff: this.#thinkingOff,
      unlearnedReplies: this.#unlearnedReplies,
      unlearned: this.#unlearned,
      tagged: this.#tagged,
      trimmed: [...this.#trimmed],
      terminators: byCount(this.#terminators).map(([id]) => id),
    };
  }
}

function byCount<Key>(counts: ReadonlyMap<Key, number>): [Key, number][] {
  return [...counts].sort(([, a], [, b]) => b - a);
}
