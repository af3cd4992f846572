/** Opens what `tests/fixtures/config/make.py` made. */

const root = new URL("../fixtures/config/", import.meta.url);

/** Path of a file of the fixtures. */
export function configFixturePath(path: string): string {
  return new URL(path, root).pathname;
}

/** A JSON file of the fixtures. */
export async function readConfigFixture<T>(path: string): Promise<T> {
  return JSON.parse(await Deno.readTextFile(configFixturePath(path))) as T;
}
