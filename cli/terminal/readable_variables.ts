/** Variables of the environment that a task may read. In: names. Out: their values, those that are set. */

/** Leaves out what the task has no permission for, without asking. */
export function readableVariables(names: readonly string[]): Record<string, string | undefined> {
  const readable = names.filter((variable) =>
    Deno.permissions.querySync({ name: "env", variable }).state === "granted"
  );
  return Object.fromEntries(readable.map((name) => [name, Deno.env.get(name)]));
}
