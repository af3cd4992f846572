/** What a hub's dataset holds. In: its listing. Out: a table of subsets and splits, and their columns. */

import type { DatasetListing } from "../../hub/resolve_dataset.ts";
import { formatBytes, formatCount } from "../../train/track/format_units.ts";
import { formatTable } from "../terminal/format_table.ts";

const HEADER = ["subset", "split", "files", "rows", "size"];
/** Columns that are named of a subset. */
const SHOWN_COLUMNS = 40;

/** Lines of a table; rows are told where the dataset's card has them. */
export function formatListing({ subsets, sizes }: DatasetListing): string[] {
  const cells = subsets.flatMap(({ name, isDefault, splits }) =>
    splits.map((split) => [
      `${name}${isDefault && subsets.length > 1 ? " (default)" : ""}`,
      split.name,
      split.files.length === 1 ? split.files[0] : `${split.files[0]} … (${split.files.length})`,
      split.rows === undefined ? "not told" : formatCount(split.rows),
      formatBytes(split.files.reduce((sum, path) => sum + (sizes.get(path) ?? 0), 0)),
    ])
  );
  const lines = formatTable([HEADER, ...cells], { left: 3 });
  const columns = subsets.map(({ name, columns }) => {
    const shown = columns.slice(0, SHOWN_COLUMNS).join(", ");
    const more = columns.length > SHOWN_COLUMNS
      ? ` and ${columns.length - SHOWN_COLUMNS} more`
      : "";
    return `columns of ${name}: ${columns.length === 0 ? "not told by the card" : shown + more}`;
  });
  return [...lines, "", ...columns];
}
