/**
 * What every reader of a part of tokenizer.json does first: its type is known, and all its fields.
 *
 * In: a part, and the tables of the types it may have. Out: the part as a record with its type.
 */

import { describeValue } from "../../../internal/json/describe_value.ts";
import { type FieldTable, listFields } from "../../../internal/json/field_table.ts";
import { isRecord } from "../../../internal/json/is_record.ts";

/** A part of tokenizer.json whose type and fields are known. */
export interface Step extends Record<string, unknown> {
  readonly type: string;
}

/** The types of a part: the table of each, or why it is refused. */
export type StepTypes = Readonly<Record<string, FieldTable | string>>;

/** The way out where nothing more fitting can be said. */
const OTHER_TOKENIZER = "use a model with another tokenizer";

/**
 * Reads a part of tokenizer.json.
 *
 * @param place where it stands, such as `tokenizer.json: pre_tokenizer`
 * @throws {TypeError} naming the place and the type or the field that is not known
 */
export function reviewStep(value: unknown, place: string, types: StepTypes): Step {
  if (!isRecord(value)) refuse(place, `is ${describeValue(value)}, expected an object`);
  const { type } = value;
  const known = typeof type === "string" && Object.hasOwn(types, type) ? types[type] : undefined;
  if (known === undefined) {
    const names = Object.keys(types).filter((name) => typeof types[name] !== "string");
    refuse(
      place,
      `is of type ${JSON.stringify(type) ?? "none"}, expected ${
        names.join(", ")
      }; ${OTHER_TOKENIZER}`,
    );
  }
  if (typeof known === "string") refuse(place, `is of type ${type}: ${known}`);
  const { refused, unknown } = known.review(value);
  if (refused.length > 0) refuse(place, refused.map(({ message }) => message).join("; "));
  if (unknown.length > 0) {
    refuse(
      place,
      `(${type}) has fields that ortune doesn't know: ${
        listFields(unknown)
      }; remove them if the Rust library ignores them, or ${OTHER_TOKENIZER}`,
    );
  }
  return value as Step;
}

/** Reads a field that must be of one kind; a missing one is its default, if it has one. */
export function stepField<Kind extends "string" | "boolean" | "number">(
  step: Step,
  place: string,
  name: string,
  kind: Kind,
  missing?: Kinds[Kind],
): Kinds[Kind] {
  const value = step[name] ?? missing;
  if (typeof value !== kind || (kind === "string" && !(value as string).isWellFormed())) {
    refuse(place, `(${step.type}): ${name} is ${describeValue(step[name])}, expected a ${kind}`);
  }
  return value as Kinds[Kind];
}

interface Kinds {
  readonly string: string;
  readonly boolean: boolean;
  readonly number: number;
}

/** Reads the parts of a Sequence. */
function stepList(step: Step, place: string, name: string): readonly unknown[] {
  const value = step[name];
  if (!Array.isArray(value)) {
    refuse(place, `(${step.type}): ${name} is ${describeValue(value)}, expected an array`);
  }
  return value;
}

/** A step of a sequence, and where it stands. */
export interface PlacedStep {
  readonly step: Step;
  readonly place: string;
}

// Falcon has five steps, and three sequences in each other are rare.
const MAX_STEPS = 64;
const MAX_DEPTH = 16;

/**
 * Reads a part that is one step or nested sequences of them.
 *
 * @param field what a Sequence calls its steps
 */
export function flattenSteps(
  value: unknown,
  place: string,
  types: StepTypes,
  field: string,
): readonly PlacedStep[] {
  const steps: PlacedStep[] = [];
  const visit = (each: unknown, at: string, depth: number): void => {
    if (depth > MAX_DEPTH) refuse(place, `nests deeper than ${MAX_DEPTH} sequences`);
    const step = reviewStep(each, at, types);
    if (step.type !== "Sequence") steps.push({ step, place: at });
    else {
      for (const [index, inner] of stepList(step, at, field).entries()) {
        visit(inner, `${at}.${field}[${index}]`, depth + 1);
      }
    }
    if (steps.length > MAX_STEPS) refuse(place, `has more than ${MAX_STEPS} steps`);
  };
  if (value !== null && value !== undefined) visit(value, place, 0);
  // Each time the byte alphabet is written in itself, a text is twice as long.
  if (steps.filter(({ step: { type } }) => type === "ByteLevel").length > 2) {
    refuse(place, "has ByteLevel more than twice");
  }
  return steps;
}

/** @throws {TypeError} always */
export function refuse(place: string, state: string): never {
  throw new TypeError(`Cannot read the tokenizer: ${place} ${state}`);
}
