/**
 * The shape of a row, by its columns.
 *
 * In: one JSON object, and the columns that a user named. Out: the shape and the row's values by their
 * meaning; a row that could be of two shapes is refused, as is one of none.
 */

import { listFields } from "../../internal/json/field_table.ts";
import { isRecord } from "../../internal/json/is_record.ts";
import { JsonlError, type RowLocation } from "./jsonl_error.ts";
import { knownFormat } from "./known_formats.ts";
import { byName, type NamedFields, reviewRest, takeNamed } from "./row_fields.ts";
import type { OnUnread, RowShape, ShapedRow } from "./row_shape.ts";
import { ROW_SHAPES, type RowColumns } from "./row_shapes.ts";

/** How rows are read. */
export interface ParseRecordOptions {
  /** Which column means what. @default {as well-known data sets name them} */
  readonly columns?: RowColumns;
  /** Is told of each column and field of a message that is not read. */
  readonly onUnread?: OnUnread;
  /** Is told of the shape that a row was found to be, and of the columns that make it. */
  readonly onShape?: (shape: RecognizedShape) => void;
}

/** What a row was found to be. */
export interface RecognizedShape {
  /** The shape, such as `ShareGPT`. */
  readonly name: string;
  /** What it is read from: a column's name, or `meaning=column` where they differ. */
  readonly columns: readonly string[];
}

/** A shape under the names of a file. */
interface Candidate {
  readonly shape: RowShape;
  readonly meanings: ReadonlyMap<string, string>;
}

/** What rows may be, and what rows of the same columns were found to be. */
interface Candidates {
  readonly all: readonly Candidate[];
  readonly found: Map<string, Candidate>;
}

const NONE: RowColumns = {};
/** Sets of columns that are remembered: a file has few of them. */
const MAX_FOUND = 1000;
const known = new WeakMap<RowColumns, Candidates>();

/** Shapes that have all columns that were named. */
function candidatesFor(columns: RowColumns): Candidates {
  const earlier = known.get(columns);
  if (earlier !== undefined) return earlier;
  const read = Object.keys(columns).filter((name) => columns[name] !== "");
  const taken = new Set(Object.values(columns).map((name) => name.toLowerCase()));
  const all = ROW_SHAPES.filter((shape) => read.every((name) => name in shape.columns))
    .map((shape): Candidate => {
      const names: Record<string, readonly string[]> = {};
      for (const [meaning, usual] of Object.entries(shape.columns)) {
        const own = columns[meaning];
        names[meaning] = own === undefined
          ? usual.filter((name) => !taken.has(name))
          : own === ""
          ? []
          : [own];
      }
      return { shape, meanings: byName(names) };
    });
  const made = { all, found: new Map() };
  known.set(columns, made);
  return made;
}

/** Finds out what a row is. */
export function shapeRow(
  row: Readonly<Record<string, unknown>>,
  where: RowLocation,
  { columns = NONE, onUnread }: ParseRecordOptions,
): {
  readonly shape: RowShape;
  readonly shaped: ShapedRow;
  readonly recognized: RecognizedShape;
} {
  const fit = recognize(row, { where, columns });
  const { values, rest, names } = takeNamed(row, fit.meanings, { where, place: "" });
  reviewRest(rest, where, onUnread);
  tellMissing(row, { columns, names, onUnread });
  const held = Object.keys(fit.shape.columns).filter((name) => values[name] != null);
  return {
    shape: fit.shape,
    shaped: { where, onUnread, values, rest, nameOf: (name) => names[name] ?? name },
    recognized: {
      name: fit.shape.name,
      columns: held.map((name) =>
        name === names[name].toLowerCase() ? names[name] : `${name}=${names[name]}`
      ),
    },
  };
}

/** The one shape that a row is of, or lacks something of. */
function recognize(
  row: Readonly<Record<string, unknown>>,
  { where, columns }: { readonly where: RowLocation; readonly columns: RowColumns },
): Candidate {
  const { all, found } = candidatesFor(columns);
  const key = Object.keys(row).filter((name) => holdsSomething(row[name])).join("\n");
  const earlier = found.get(key);
  if (earlier !== undefined) return earlier;
  const fits = all.map((each) => ({ ...each, held: heldColumns(row, each.meanings) }));
  const whole = fits.filter(({ shape, held }) => shape.needs.every((name) => held.has(name)));
  const signature = ({ shape, held }: typeof fits[number]): string =>
    shape.needs.map((name) => held.get(name)).join(" and ");
  const ways = [...new Map(whole.map((fit) => [signature(fit), fit]))];
  if (ways.length > 1) {
    const flags = ways.map(([, { shape, held }]) =>
      `--columns ${shape.needs.map((name) => `${name}=${held.get(name)}`).join()}`
    );
    throw new JsonlError(
      where,
      `expected columns of one shape, got ${
        listFields(ways.map(([columns, { shape }]) => `${columns} (${shape.name})`))
      }: any of them may be meant; say which with ${flags.join(" or ")}`,
    );
  }
  if (ways.length === 0) return closest(row, { fits, columns, where });
  const [, fit] = ways[0];
  if (found.size < MAX_FOUND) found.set(key, fit);
  return fit;
}

function holdsSomething(value: unknown): boolean {
  return value !== null && value !== undefined && value !== "" &&
    !(Array.isArray(value) && value.length === 0);
}

/** The columns that hold something, by their meaning. */
function heldColumns(
  row: Readonly<Record<string, unknown>>,
  meanings: ReadonlyMap<string, string>,
): ReadonlyMap<string, string> {
  const held = new Map<string, string>();
  for (const key of Object.keys(row)) {
    if (!holdsSomething(row[key])) continue;
    const meaning = meanings.get(key) ?? meanings.get(key.toLowerCase());
    if (meaning !== undefined && !held.has(meaning)) held.set(meaning, key);
  }
  return held;
}

/** The shape that a row lacks something of, so that its error names what; refuses one that is like none. */
function closest<Fit extends Candidate & { readonly held: ReadonlyMap<string, string> }>(
  row: Readonly<Record<string, unknown>>,
  { fits, columns, where }: {
    readonly fits: readonly Fit[];
    readonly columns: RowColumns;
    readonly where: RowLocation;
  },
): Fit {
  const given = Object.keys(row);
  const got = given.length > 0 ? listFields(given, 8) : "no columns";
  const named = Object.entries(columns).filter(([, name]) => name !== "");
  const absent = named.filter(([, name]) => !given.includes(name));
  if (absent.length > 0) {
    const [[meaning, name]] = absent;
    throw new JsonlError(
      where,
      `expected the column ${name}, of --columns ${meaning}=${name}, got ${got}`,
    );
  }
  const isThere = ({ meanings }: Fit, need: string): boolean =>
    given.some((key) => (meanings.get(key) ?? meanings.get(key.toLowerCase())) === need);
  const format = knownFormat(given);
  const [best] = fits.map((fit) => {
    const { needs } = fit.shape;
    const there = needs.filter((need) => isThere(fit, need)).length;
    const held = needs.filter((need) => fit.held.has(need)).length;
    return { fit, there, held, whole: there === needs.length };
  }).filter(({ there, whole }) => whole || there > 0 && format === undefined)
    // Those before win where they are as close.
    .sort((a, b) => b.held - a.held || b.there - a.there);
  if (best !== undefined) return best.fit;
  throw new JsonlError(
    where,
    `expected the columns of a question and its answer or of a chat, got ${got}; ${
      format ?? listRemedy(row, where) ?? "name them with --columns question=NAME,answer=NAME"
    }`,
  );
}

/** What to do about a list of objects that is no known column: messages, or the rows of the file. */
function listRemedy(
  row: Readonly<Record<string, unknown>>,
  { file, line }: RowLocation,
): string | undefined {
  const [name, first] = Object.entries(row)
    .map(([name, value]) => [name, Array.isArray(value) ? value[0] : undefined] as const)
    .find(([, item]) => isRecord(item)) ?? [];
  if (name === undefined || !isRecord(first)) return undefined;
  const isChat = ["role", "from"].some((each) => typeof first[each] === "string");
  const shown = JSON.stringify(name);
  if (isChat) return `${shown} looks like messages: name it with --columns messages=${name}`;
  return line === 1
    ? `where rows stand in ${shown}, write them one a line: jq -c '.[${shown}][]' ${file} > rows.jsonl`
    : undefined;
}

/** Tells of named columns that the row has not, which may be slips of the pen. */
function tellMissing(
  row: Readonly<Record<string, unknown>>,
  { columns, names, onUnread }: {
    readonly columns: RowColumns;
    readonly names: NamedFields["names"];
    readonly onUnread?: OnUnread;
  },
): void {
  for (const [meaning, name] of Object.entries(columns)) {
    if (name === "" || meaning in names || name in row) continue;
    onUnread?.(
      `--columns ${meaning}=${name}`,
      `--columns ${meaning}=${name} names no column of the row`,
    );
  }
}
