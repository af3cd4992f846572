/** A small fault of a file: what is replaced by what. */

/** One fault. */
export interface Mutant {
  /** First character that is replaced. */
  readonly start: number;
  /** After the last one. */
  readonly end: number;
  /** What stands in their place. */
  readonly replacement: string;
  /** What kind of fault it is. */
  readonly kind: string;
}

/** The file with the fault in it. */
export function withMutant(text: string, { start, end, replacement }: Mutant): string {
  return text.slice(0, start) + replacement + text.slice(end);
}
