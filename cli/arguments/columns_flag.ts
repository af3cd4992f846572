/**
 * `--columns question=Question,answer=Response`: which column of a row means what. In: the flag's text.
 * Out: names of columns by their meaning, and the text again.
 */

import { InvalidArgumentError, Option } from "commander";
import { assertRowColumns, type RowColumns } from "../../data/records/row_shapes.ts";

/** The flag, which may be given more than once. */
export function columnsFlag(): Option {
  return new Option(
    "--columns <meaning=name,…>",
    "columns by what they hold, such as question=Q,think=CoT,answer=A; a name left empty is not read " +
      "(default: as well-known data sets name them)",
  ).argParser(parseColumns);
}

/** Names by meaning; a comma in a name is the name's unless a meaning and `=` follow. */
export function parseColumns(text: string, earlier: RowColumns = {}): RowColumns {
  const columns: Record<string, string> = { ...earlier };
  for (const pair of text.split(/,(?=\s*\w+\s*=)/)) {
    const [, meaning, name] = /^\s*(\w+)\s*=(.*)$/s.exec(pair) ?? [];
    if (meaning === undefined) {
      throw new InvalidArgumentError(
        "It must be meanings and names of columns, such as question=Question,answer=Response.",
      );
    }
    columns[meaning] = name.trim();
  }
  try {
    assertRowColumns(columns);
  } catch (cause) {
    throw new InvalidArgumentError(`${(cause as Error).message}.`);
  }
  return columns;
}

/** The flag's text. */
export function formatColumns(columns: RowColumns): string {
  return Object.entries(columns).map(([meaning, name]) => `${meaning}=${name}`).join();
}
