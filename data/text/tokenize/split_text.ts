/**
 * A text cut at the matches of a pattern, as the pre-tokenizers of Hugging Face's Rust library do.
 *
 * In: a text and its matches, `[start, end, start, end, …]`. Out: the pieces that are not empty.
 */

/** All behaviours, as a tokenizer.json writes them. */
export const SPLIT_BEHAVIORS = [
  "Removed",
  "Isolated",
  "MergedWithPrevious",
  "MergedWithNext",
  "Contiguous",
] as const;

/** What becomes of a match. */
export type SplitBehavior = (typeof SPLIT_BEHAVIORS)[number];

/** A piece of a text. */
interface Span {
  start: number;
  end: number;
}

/** What {@linkcode splitText} gives. */
export interface SplitPieces {
  readonly pieces: string[];
  /** Whether the first piece begins where the text does. */
  readonly fromStart: boolean;
}

/** Cuts a text; `invert` takes what lies between the matches for the matches. */
export function splitText(
  text: string,
  found: readonly number[],
  behavior: SplitBehavior,
  invert = false,
): SplitPieces {
  const spans: (Span & { match: boolean })[] = [];
  let at = 0;
  for (let index = 0; index < found.length; index += 2) {
    const [start, end] = [found[index], found[index + 1]];
    if (start > at) spans.push({ start: at, end: start, match: invert });
    spans.push({ start, end, match: !invert });
    at = end;
  }
  if (at < text.length) spans.push({ start: at, end: text.length, match: invert });
  const kept = RULES[behavior](spans);
  const pieces = kept.map(({ start, end }) => text.slice(start, end));
  return { pieces, fromStart: kept.length > 0 && kept[0].start === 0 };
}

type Spans = readonly (Readonly<Span> & { readonly match: boolean })[];

const RULES: Readonly<Record<SplitBehavior, (spans: Spans) => readonly Span[]>> = {
  Isolated: (spans) => spans,
  Removed: (spans) => spans.filter(({ match }) => !match),
  Contiguous: (spans) => merge(spans, (match, previous) => match === previous),
  MergedWithPrevious: (spans) => merge(spans, (match, previous) => match && !previous),
  // From the end, so that what comes before is what comes after.
  MergedWithNext: (spans) =>
    merge(spans.toReversed(), (match, previous) => match && !previous).reverse(),
};

/** Joins a span to the one before it where a rule says so; before the first there is no match. */
function merge(spans: Spans, joins: (match: boolean, previous: boolean) => boolean): Span[] {
  const merged: Span[] = [];
  let previous = false;
  for (const { start, end, match } of spans) {
    const last = merged.at(-1);
    if (last !== undefined && joins(match, previous)) {
      last.start = Math.min(last.start, start);
      last.end = Math.max(last.end, end);
    } else merged.push({ start, end });
    previous = match;
  }
  return merged;
}
