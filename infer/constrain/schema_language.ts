/**
 * A JSON schema as the language of its values' texts.
 *
 * In: a schema, of which nothing is known. Out: a grammar, or a {@linkcode SchemaError} that names
 * the keyword. Properties come in the schema's order, as OpenAI's structured outputs have them; where
 * a schema with properties says nothing of others, none are written.
 */

import { isCount } from "../../internal/json/is_count.ts";
import { isRecord } from "../../internal/json/is_record.ts";
import { listFields } from "../../internal/json/field_table.ts";
import { JsonLanguages } from "./json_languages.ts";
import type { Language, Languages } from "./languages.ts";
import { SCHEMA_FIELDS } from "./schema_fields.ts";

/** What a reply is held to. */
export interface Grammar {
  /** Where its languages are made. */
  readonly languages: Languages;
  /** The whole reply. */
  readonly root: Language;
}

/** A schema that replies cannot be held to. */
export class SchemaError extends Error {
  override readonly name = "SchemaError";
  /** Where in the schema, such as `properties.age.minimum`; empty for the schema itself. */
  readonly place: string;

  /** An error at a place. */
  constructor(place: string, message: string) {
    super(message);
    this.place = place;
  }
}

/** Schemas within schemas: the compiler recurses. */
const MAX_DEPTH = 64;
/** Most schemas in one. */
const MAX_SCHEMAS = 500;
/** Most values of an enum. */
const MAX_VALUES = 1000;

const TYPES = ["object", "array", "string", "number", "integer", "boolean", "null"];
/** Keywords that say which values there are; beside them only notes are read. */
const ALONE = ["$ref", "anyOf", "enum", "const"];
const NOTES = ["title", "description", "default", "$defs", "definitions", "type"];

/** The grammar of a JSON object. */
export function objectGrammar(): Grammar {
  const json = new JsonLanguages();
  return whole(json, json.object([], json.any));
}

/**
 * The grammar of a schema's values.
 *
 * @throws {SchemaError} naming the keyword
 */
export function schemaGrammar(schema: unknown): Grammar {
  const json = new JsonLanguages();
  return whole(json, new Compiler(json, schema).language(schema, "", 0));
}

function whole({ languages, start }: JsonLanguages, value: Language): Grammar {
  return { languages, root: languages.sequence(start, value) };
}

type Schema = Readonly<Record<string, unknown>>;

class Compiler {
  readonly #json: JsonLanguages;
  readonly #root: unknown;
  readonly #references = new Map<string, Language>();
  readonly #progressing = new Set<unknown>();
  #schemas = 0;

  constructor(json: JsonLanguages, root: unknown) {
    this.#json = json;
    this.#root = root;
  }

  language(schema: unknown, at: string, depth: number): Language {
    if (schema === true) return this.#json.any;
    if (!isRecord(schema)) throw new SchemaError(at, "must be a schema: an object, or true");
    if (depth > MAX_DEPTH) throw new SchemaError(at, `nests more than ${MAX_DEPTH} deep`);
    if (++this.#schemas > MAX_SCHEMAS) {
      throw new SchemaError(at, `is one of more than ${MAX_SCHEMAS} schemas`);
    }
    const { refused: [fault], unknown } = SCHEMA_FIELDS.review(schema);
    if (fault) throw new SchemaError(join(at, fault.field), fault.message);
    if (unknown.length > 0) {
      throw new SchemaError(
        join(at, unknown[0]),
        `${listFields(unknown)}: no such keyword is known`,
      );
    }
    const alone = ALONE.find((name) => schema[name] !== undefined);
    if (alone === undefined) return this.#typed(schema, at, depth);
    const other = Object.keys(schema).find((name) =>
      name !== alone && !NOTES.includes(name) && SCHEMA_FIELDS.knows(name) &&
      SCHEMA_FIELDS.known.indexOf(name) < SCHEMA_FIELDS.known.indexOf("title")
    );
    if (other !== undefined) {
      throw new SchemaError(join(at, other), `cannot be held to beside ${alone}; leave one out`);
    }
    if (alone === "$ref") return this.#reference(schema.$ref, join(at, "$ref"), depth);
    if (alone === "anyOf") return this.#anyOf(schema, join(at, "anyOf"), depth);
    return this.#values(schema, join(at, alone));
  }

  #anyOf({ anyOf, type }: Schema, at: string, depth: number): Language {
    if (!Array.isArray(anyOf) || anyOf.length === 0) {
      throw new SchemaError(at, "must be a list of schemas");
    }
    if (type !== undefined) {
      throw new SchemaError(at, "cannot be held to beside type; leave one out");
    }
    const { languages } = this.#json;
    return languages.choice(
      ...anyOf.map((each, i) => this.language(each, `${at}[${i}]`, depth + 1)),
    );
  }

  #values(schema: Schema, at: string): Language {
    const values = schema.enum === undefined ? [schema.const] : schema.enum;
    if (!Array.isArray(values) || values.length > MAX_VALUES) {
      throw new SchemaError(at, `must be a list of up to ${MAX_VALUES} values`);
    }
    const types = this.#types(schema, at);
    const fitting = types
      ? values.filter((each) => types.some((type) => isOf(each, type)))
      : values;
    if (fitting.length === 0) throw new SchemaError(at, "has no value of the type");
    return this.#json.languages.choice(...fitting.map((each) => this.#json.literal(each)));
  }

  /** Another schema of the same document: made when it is needed, since it may be around this one. */
  #reference(reference: unknown, at: string, depth: number): Language {
    if (typeof reference !== "string" || !/^#(\/|$)/.test(reference)) {
      throw new SchemaError(at, "must be a reference inside the schema, such as #/$defs/item");
    }
    const known = this.#references.get(reference);
    if (known) return known;
    const later = this.#json.languages.later(() => this.#references.get(reference)!);
    this.#references.set(reference, later);
    const target = this.#target(reference, at);
    this.#assertProgress(target, [], at);
    const made = this.language(target, reference, depth + 1);
    this.#references.set(reference, made);
    return made;
  }

  #target(reference: string, at: string): unknown {
    const names = reference.split("/").slice(1)
      .map((name) => decodeURIComponent(name).replaceAll("~1", "/").replaceAll("~0", "~"));
    let found = this.#root;
    for (const name of names) {
      found = isRecord(found) && Object.hasOwn(found, name) ? found[name] : undefined;
    }
    if (found === undefined) throw new SchemaError(at, `${reference} is not in the schema`);
    return found;
  }

  /** Refuses a schema that is itself: nothing says what its values are. */
  #assertProgress(schema: unknown, around: readonly unknown[], at: string): void {
    if (!isRecord(schema) || this.#progressing.has(schema)) return;
    if (around.includes(schema)) throw new SchemaError(at, "refers to itself and to nothing else");
    if (around.length > MAX_DEPTH) throw new SchemaError(at, `nests more than ${MAX_DEPTH} deep`);
    const { $ref, anyOf } = schema;
    const within = [...around, schema];
    if (typeof $ref === "string") {
      this.#assertProgress(this.#target($ref, at), within, at);
    } else if (Array.isArray(anyOf)) {
      for (const each of anyOf) this.#assertProgress(each, within, at);
    }
    // Looked at once, however many refer to it.
    this.#progressing.add(schema);
  }

  #types({ type }: Schema, at: string): readonly string[] | undefined {
    if (type === undefined) return undefined;
    const types: unknown[] = Array.isArray(type) ? type : [type];
    const known = types.flatMap((each) => TYPES.filter((name) => name === each));
    if (known.length > 0 && known.length === types.length) return known;
    throw new SchemaError(
      join(at, "type"),
      `must be one of ${TYPES.join(", ")}, or a list of them`,
    );
  }

  #typed(schema: Schema, at: string, depth: number): Language {
    const { languages, any } = this.#json;
    const has = (...names: readonly string[]): boolean =>
      names.some((name) => schema[name] !== undefined);
    const types = this.#types(schema, at) ?? [
      ...has("properties", "required", "additionalProperties") ? ["object"] : [],
      ...has("items", "minItems", "maxItems") ? ["array"] : [],
      ...has("minLength", "maxLength") ? ["string"] : [],
    ];
    if (types.length === 0) return any;
    return languages.choice(...types.map((type) => this.#ofType(type, schema, at, depth)));
  }

  #ofType(type: string, schema: Schema, at: string, depth: number): Language {
    const { languages, integer, number } = this.#json;
    if (type === "object") return this.#object(schema, at, depth);
    if (type === "array") {
      const { items = true } = schema;
      const item = items === false ? undefined : this.language(items, join(at, "items"), depth + 1);
      const [least, most] = bounds(schema, ["minItems", "maxItems"], at);
      if (item) return this.#json.array(item, least, most);
      if (least === 0) return this.#json.array(this.#json.any, 0, 0);
      throw new SchemaError(join(at, "items"), "leaves no value for minItems");
    }
    if (type === "string") {
      return this.#json.string(...bounds(schema, ["minLength", "maxLength"], at));
    }
    if (type === "boolean") {
      return languages.choice(languages.text("true"), languages.text("false"));
    }
    if (type === "null") return languages.text("null");
    return type === "integer" ? integer : number;
  }

  #object(schema: Schema, at: string, depth: number): Language {
    const { properties = {}, required = [], additionalProperties } = schema;
    if (!isRecord(properties)) throw new SchemaError(join(at, "properties"), "must be an object");
    if (!Array.isArray(required) || !required.every((name) => typeof name === "string")) {
      throw new SchemaError(join(at, "required"), "must be a list of names");
    }
    const names = Object.keys(properties);
    const others = additionalProperties === false ||
        (additionalProperties === undefined && names.length + required.length > 0)
      ? undefined
      : this.language(
        additionalProperties ?? true,
        join(at, "additionalProperties"),
        depth + 1,
      );
    const missing = required.filter((name) => !Object.hasOwn(properties, name));
    if (missing.length > 0 && additionalProperties === false) {
      throw new SchemaError(
        join(at, "required"),
        `${listFields(missing)}: no such property may be`,
      );
    }
    const wanted = new Set<string>(required);
    return this.#json.object([
      ...names.map((name) => ({
        name,
        required: wanted.has(name),
        value: this.language(properties[name], join(at, `properties.${name}`), depth + 1),
      })),
      ...new Set(missing).values().map((name) => ({
        name,
        required: true,
        value: others ?? this.#json.any,
      })),
    ], others);
  }
}

/** The least and the most of something. */
function bounds(
  schema: Schema,
  [leastName, mostName]: readonly [string, string],
  at: string,
): [number, number] {
  const of = (name: string, otherwise: number): number => {
    const value = schema[name] ?? otherwise;
    if (value === Infinity || isCount(value)) return value;
    throw new SchemaError(join(at, name), "must be a whole number from 0");
  };
  const [least, most] = [of(leastName, 0), of(mostName, Infinity)];
  if (least <= most) return [least, most];
  throw new SchemaError(join(at, leastName), `${least} exceeds ${mostName} ${most}`);
}

function isOf(value: unknown, type: string): boolean {
  if (type === "null") return value === null;
  if (type === "array") return Array.isArray(value);
  if (type === "object") return isRecord(value);
  if (type === "integer") return Number.isInteger(value);
  if (type === "number") return typeof value === "number";
  return type === "string" ? typeof value === "string" : typeof value === "boolean";
}

function join(at: string, name: string): string {
  return at === "" ? name : `${at}.${name}`;
}
