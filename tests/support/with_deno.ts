/** Runs with functions of `Deno` replaced. In: functions by name, and what runs. Out: `Deno` as it was. */

/** Puts functions in the place of Deno's own until `run` is over. */
export async function withDeno(
  functions: Partial<Record<keyof typeof Deno, unknown>>,
  run: () => Promise<unknown>,
): Promise<void> {
  const own = Object.fromEntries(
    Object.keys(functions).map((name) => [name, Deno[name as keyof typeof Deno]]),
  );
  Object.assign(Deno, functions);
  try {
    await run();
  } finally {
    Object.assign(Deno, own);
  }
}
