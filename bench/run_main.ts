/** How a bench's program ends. In: what it does. Out: the process's exit code, and on stderr why it failed. */

/**
 * Runs the program of a bench. An error is a line on stderr.
 *
 * @param main answers the exit code; 0 where it answers nothing and the process ends by itself
 * @param failed the exit code of an error
 */
export async function runMain(
  main: () => Promise<number | void>,
  { failed = 1 }: { readonly failed?: number } = {},
): Promise<void> {
  try {
    const code = await main();
    if (code !== undefined) Deno.exit(code);
  } catch (error) {
    console.error(`error: ${error instanceof Error ? error.message : error}`);
    Deno.exit(failed);
  }
}
