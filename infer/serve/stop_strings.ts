/**
 * Ends a text where one of some strings begins.
 *
 * In: text, piece by piece. Out: what is certain to come before a stop string.
 */

/** Looks for stop strings that may begin in one piece and end in a later one. */
export class StopStrings {
  readonly #stops: readonly string[];
  readonly #include: boolean;
  #held = "";
  #stopped = false;

  /** @param stops texts that end the text; none of them empty */
  constructor(stops: readonly string[], { include = false }: {
    /** Whether the text has them at its end. @default {false} */
    readonly include?: boolean;
  } = {}) {
    this.#stops = stops;
    this.#include = include;
  }

  /** Whether a stop string has come. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /** Takes text and gives what is certain; nothing after a stop string. */
  push(text: string): string {
    if (this.#stopped) return "";
    const known = this.#held + text;
    let end = known.length;
    let found = "";
    for (const stop of this.#stops) {
      const at = known.indexOf(stop);
      if (at >= 0 && at <= end) {
        this.#stopped = true;
        end = at;
        found = stop;
      }
    }
    if (this.#include) end += found.length;
    if (!this.#stopped) end -= Math.max(0, ...this.#stops.map((stop) => overlap(known, stop)));
    this.#held = this.#stopped ? "" : known.slice(end);
    return known.slice(0, end);
  }

  /** Ends the text: gives what was held back. */
  end(): string {
    const rest = this.#held;
    this.#held = "";
    return rest;
  }
}

/** Length of the longest end of `text` that is a beginning of `stop`. */
function overlap(text: string, stop: string): number {
  for (let length = Math.min(text.length, stop.length - 1); length > 0; length--) {
    if (text.endsWith(stop.slice(0, length))) return length;
  }
  return 0;
}
