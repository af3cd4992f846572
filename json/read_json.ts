/** A small JSON file of a model folder. In: its path. Out: the parsed value, still unchecked. */

// The largest in use have some ten thousand bytes; beyond this a file is not what its name says.
const MAX_BYTES = 1024 * 1024;

/**
 * Reads and parses the file.
 *
 * @param remedy what to do about a file that is no JSON
 * @returns undefined where there is no such file
 * @throws {RangeError | SyntaxError} on a file over 1 MiB or that is no JSON, naming its path
 */
export async function readJson(path: string, remedy: string): Promise<unknown | undefined> {
  let text: string;
  try {
    const { size } = await Deno.stat(path);
    if (size > MAX_BYTES) {
      throw new RangeError(`Cannot read ${path}: ${size} bytes, more than ${MAX_BYTES}; ${remedy}`);
    }
    text = await Deno.readTextFile(path);
  } catch (cause) {
    const absent = cause instanceof Deno.errors.NotFound ||
      cause instanceof Deno.errors.NotADirectory;
    if (absent) return undefined;
    throw cause;
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new SyntaxError(
      `Cannot read ${path}: it is not valid JSON (${(cause as Error).message}); ${remedy}`,
      { cause },
    );
  }
}
