/**
 * What a reader does with every field of a record that others wrote: a closed world.
 *
 * In: the fields that are honoured, those that may be ignored, those that are refused or warned of
 * unless they hold a value that asks for nothing. Out: a table that reviews records, so that no
 * field is passed over in silence.
 *
 * @module
 */

/** A known field that is not honoured. */
export interface UnsupportedField {
  /** Values that ask for nothing, besides null: compared as JSON. @default {[]} */
  readonly unless?: readonly unknown[];
  /** Why it is not honoured and what to do; ends the sentence `field is value: …`. */
  readonly remedy: string;
}

/** Every field that a reader knows. */
export interface FieldRules {
  /** Read: they change the result as their definition says. */
  readonly honoured: readonly string[];
  /** Known, and without effect on what is made here. */
  readonly ignored?: readonly string[];
  /** Known; the record cannot be used unless they ask for nothing. */
  readonly refused?: Readonly<Record<string, UnsupportedField>>;
  /** Known; the record can be used, with a warning unless they ask for nothing. */
  readonly warned?: Readonly<Record<string, UnsupportedField>>;
}

/** A field of a record that is not honoured. */
export interface FieldFault {
  /** Its name. */
  readonly field: string;
  /** The sentence `field is value: remedy`. */
  readonly message: string;
}

/** The fields of one record that are not honoured. */
export interface FieldReview {
  /** Known, and the record cannot be used with them. */
  readonly refused: readonly FieldFault[];
  /** Known, and the record can be used without them. */
  readonly warned: readonly FieldFault[];
  /** In no list, and not null. */
  readonly unknown: readonly string[];
}

/** Longest piece of a value or of a name that a message shows. */
const MAX_SHOWN = 60;

/** What is done with a field; those that are honoured or ignored have none. */
interface Rule extends UnsupportedField {
  readonly kind: "refused" | "warned";
}

const NOTHING: FieldReview = { refused: [], warned: [], unknown: [] };

/** Reviews records against {@linkcode FieldRules}. */
export class FieldTable {
  readonly #rules = new Map<string, Rule | undefined>();

  /** @throws {TypeError} where a field is in two lists */
  constructor({ honoured, ignored = [], refused = {}, warned = {} }: FieldRules) {
    const add = (field: string, rule?: Rule): void => {
      if (this.#rules.has(field)) throw new TypeError(`The field ${field} is in two lists`);
      this.#rules.set(field, rule);
    };
    for (const field of [...honoured, ...ignored]) add(field);
    for (const [field, rule] of Object.entries(refused)) add(field, { ...rule, kind: "refused" });
    for (const [field, rule] of Object.entries(warned)) add(field, { ...rule, kind: "warned" });
  }

  /** All fields that are known, in the order of the lists. */
  get known(): readonly string[] {
    return [...this.#rules.keys()];
  }

  /** Whether a field is in one of the lists. */
  knows(field: string): boolean {
    return this.#rules.has(field);
  }

  /**
   * The fields of a record that are not honoured. A field that is null counts as missing.
   *
   * @example
   * ```ts
   * import { FieldTable } from "./field_table.ts";
   * import assert from "node:assert/strict";
   *
   * const table = new FieldTable({
   *   honoured: ["hidden_size"],
   *   ignored: ["transformers_version"],
   *   refused: { mlp_bias: { unless: [false], remedy: "use a model without it" } },
   * });
   * const { refused, unknown } = table.review({ hidden_size: 8, mlp_bias: true, qk_scale: 2 });
   * assert.equal(refused[0].message, "mlp_bias is true: use a model without it");
   * assert.deepEqual(unknown, ["qk_scale"]);
   * ```
   */
  review(record: Readonly<Record<string, unknown>>): FieldReview {
    // Most records are faultless, and there may be millions of them.
    let found: { refused: FieldFault[]; warned: FieldFault[]; unknown: string[] } | undefined;
    for (const field of Object.keys(record)) {
      const rule = this.#rules.get(field);
      if (rule === undefined && this.#rules.has(field)) continue;
      const value = record[field];
      if (value === null || value === undefined) continue;
      if (rule?.unless?.some((each) => isSame(each, value))) continue;
      found ??= { refused: [], warned: [], unknown: [] };
      if (!rule) found.unknown.push(field);
      else {found[rule.kind].push({
          field,
          message: `${field} is ${showValue(value)}: ${rule.remedy}`,
        });}
    }
    return found ?? NOTHING;
  }
}

/** Names of fields for a message, the long ones and the many cut. */
export function listFields(fields: readonly string[], most = 12): string {
  const names = fields.slice(0, most).map((name) => cut(visible(name)));
  return names.join(", ") + (fields.length > most ? ` and ${fields.length - most} more` : "");
}

/** A name without what a terminal would take for its own. */
function visible(name: string): string {
  return /^[\p{L}\p{N}\p{P}\p{S} ]*$/u.test(name) ? name : JSON.stringify(name.toWellFormed());
}

/** A value as JSON for a message, cut; `missing` where there is none. */
export function showValue(value: unknown): string {
  if (value === undefined) return "missing";
  if (typeof value === "object" && value !== null && nestsDeeper(value, 8)) {
    return Array.isArray(value) ? "[…]" : "{…}";
  }
  return cut(JSON.stringify(value) ?? String(value));
}

/** Whether an object holds others more than `depth` deep; so that no stack is used up. */
function nestsDeeper(value: unknown, depth: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (depth === 0) return true;
  return Object.values(value).some((each) => nestsDeeper(each, depth - 1));
}

function cut(text: string): string {
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN).toWellFormed()}…` : text;
}

/** Whether two values are equal as JSON; only the small values that ask for nothing are compared. */
function isSame(known: unknown, value: unknown): boolean {
  if (known === value) return true;
  if (typeof known !== "object" || typeof value !== "object" || !known || !value) return false;
  return !nestsDeeper(value, 8) && JSON.stringify(known) === JSON.stringify(value);
}
