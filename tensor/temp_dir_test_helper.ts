/**
 * In: a test body. Out: the body has run with a fresh folder that is gone afterwards.
 *
 * @module
 */

/** Runs `body` with a temporary folder. */
export async function withTempDir(body: (dir: string) => Promise<void>): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "ortune-" });
  try {
    await body(dir);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}
