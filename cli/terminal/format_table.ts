/** Tables in the terminal. In: rows of cells, the header first. Out: a line a row, columns below each other. */

/** How columns stand. */
export interface FormatTableOptions {
  /** Columns from the left whose cells begin below each other; those of the others end so. @default all */
  readonly left?: number;
}

/** The lines, two blanks between columns. */
export function formatTable(
  table: readonly (readonly string[])[],
  { left = Infinity }: FormatTableOptions = {},
): string[] {
  const widths = table[0].map((_, column) => Math.max(...table.map((row) => row[column].length)));
  return table.map((row) =>
    row.map((cell, column) =>
      column < left ? cell.padEnd(widths[column]) : cell.padStart(widths[column])
    ).join("  ").trimEnd()
  );
}
