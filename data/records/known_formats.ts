/**
 * Rows of formats that are no shape of their own, by their columns.
 *
 * In: the names of a row's columns. Out: what the row is, and how to have it read.
 */

/** Columns of a format, in lower case, and what to do with it. */
interface Format {
  readonly columns: readonly string[];
  readonly remedy: string;
}

const FORMATS: readonly Format[] = [
  {
    columns: ["input", "output"],
    remedy: "input and output; give --columns question=input,answer=output",
  },
  {
    columns: ["input_ids"],
    remedy: "data that is tokenized already; give the text it was made of",
  },
  {
    columns: ["text"],
    remedy: "plain text, of which no reply can be told apart; write question and answer",
  },
];

/** What a row without the columns that are read is; `undefined` where it is like none of them. */
export function knownFormat(columns: readonly string[]): string | undefined {
  const given = new Set(columns.map((name) => name.toLowerCase()));
  return FORMATS.find((format) => format.columns.every((name) => given.has(name)))?.remedy;
}
