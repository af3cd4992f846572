/**
 * The first rows of a preview for a terminal.
 *
 * In: rows as training reads them. Out: lines: a row's shape, its examples, and a line for each that
 * speaks, with tokens, what is taught in color, and the thinking folded.
 */

import { oneLine } from "../../train/runs/one_line.ts";
import { formatCount } from "../../train/track/format_units.ts";
import type { Preview, PreviewRow } from "./preview_rows.ts";
import { PREVIEW_WORDS as WORDS } from "./preview_words.ts";
import type { TokenBlock } from "./token_blocks.ts";
import { plural } from "../../internal/plural.ts";

/** Options of {@linkcode formatPreview}. */
export interface FormatPreviewOptions {
  /** Characters of a line. */
  readonly width: number;
  /** Whether what is taught is green and the rest dim. */
  readonly color: boolean;
}

/** Rows that are shown of all sources together, but one of each. */
const SHOWN = 5;
/** Blocks of one example that are shown, the last ones. */
const SHOWN_BLOCKS = 12;
const [GREEN, DIM, RESET] = ["\x1b[32m", "\x1b[2m", "\x1b[0m"];
const COLUMNS = "  role        tokens  taught  text";

/** Formats the rows of each source, and what there is of them. */
export function formatPreview(
  previews: readonly Preview[],
  options: FormatPreviewOptions,
): string[] {
  const shown = Math.max(1, Math.floor(SHOWN / previews.length));
  return previews.flatMap((preview) => {
    const { path, rows } = preview;
    const taught = rows.flatMap((row) => row.examples);
    const refused = rows.filter((row) => row.refused !== undefined).length;
    return [
      ...rows.slice(0, shown).flatMap((row) => rowLines(row, options)),
      `${path}: ${WORDS.first(preview)}: ${countOf(rows.length, "row")}, ${
        countOf(taught.length, "example")
      }, ${formatCount(taught.reduce((sum, { tokens }) => sum + tokens, 0))} tokens, ${
        formatCount(taught.reduce((sum, example) => sum + example.taught, 0))
      } taught, ${countOf(refused, "row")} refused`,
    ];
  });
}

function countOf(count: number, what: string): string {
  return `${formatCount(count)} ${plural(count, what)}`;
}

function rowLines(row: PreviewRow, options: FormatPreviewOptions): string[] {
  const { examples, unread, refused } = row;
  return [
    oneLine(WORDS.row(row), 4 * options.width),
    ...refused === undefined ? [] : [oneLine(`  refused: ${refused}`, 4 * options.width)],
    ...unread.length === 0 ? [] : [oneLine(`  ${WORDS.unread(unread)}`, 4 * options.width)],
    ...refused === undefined && examples.length === 0 ? [`  ${WORDS.nothing}`] : [],
    ...examples.flatMap((example) => {
      const left = example.blocks.length - SHOWN_BLOCKS;
      return [
        `  ${WORDS.example(example)}`,
        COLUMNS,
        ...left > 0 ? [`  …           ${left} before it`] : [],
        ...example.blocks.slice(-SHOWN_BLOCKS).map((block) => blockLine(block, options)),
      ];
    }),
    "",
  ];
}

function blockLine(
  { role, tokens, thinking }: TokenBlock,
  { width, color }: FormatPreviewOptions,
): string {
  const taught = tokens.filter((token) => token.taught).length;
  const figures = `  ${role.padEnd(10)}  ${formatCount(tokens.length).padStart(6)}  ${
    (taught === 0 ? "-" : formatCount(taught)).padStart(6)
  }  `;
  const [from, to] = thinking ?? [0, 0];
  const text = [
    ...tokens.slice(0, from).map((token) => token.text),
    ...to > from ? [`[${WORDS.thinking.toLowerCase()}: ${formatCount(to - from)} tokens]`] : [],
    ...tokens.slice(to).map((token) => token.text),
  ].join("");
  const line = figures + oneLine(text, Math.max(16, width - figures.length));
  return color ? `${taught > 0 ? GREEN : DIM}${line}${RESET}` : line;
}
