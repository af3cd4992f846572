/**
 * Log files that stay small enough to be carried away. In: text. Out: files of a folder, each cut, and
 * saying so, where it would be longer than a limit.
 */

/** A folder of logs. */
export class LogFolder {
  readonly #folder: string;
  readonly #limit: number;
  readonly #sizes = new Map<string, number>();

  /** Takes an existing folder; files of earlier calls are written anew. @param limit bytes a file */
  constructor(folder: string, limit = 15 * 2 ** 20) {
    this.#folder = folder;
    this.#limit = limit;
  }

  /** Adds text to a file. */
  add(file: string, text: string): void {
    const size = this.#sizes.get(file) ?? 0;
    if (size > this.#limit) return;
    const bytes = new TextEncoder().encode(text);
    const fits = size + bytes.length <= this.#limit;
    const kept = fits ? bytes : new Uint8Array([
      ...bytes.subarray(0, this.#limit - size),
      ...new TextEncoder().encode(`\n... cut at ${this.#limit} bytes\n`),
    ]);
    Deno.writeFileSync(`${this.#folder}/${file}`, kept, { append: size > 0 });
    this.#sizes.set(file, fits ? size + bytes.length : this.#limit + 1);
  }
}
