/** Errors that say that there is nothing at a path. In: a message. Out: the error that the runtime has for it. */

/** `Deno.errors.NotFound` in Deno, an Error elsewhere; its code is `ENOENT`. */
export function notFoundError(message: string, options?: ErrorOptions): Error {
  const kind = "Deno" in globalThis ? Deno.errors.NotFound : Error;
  return Object.assign(new kind(message, options), { code: "ENOENT" });
}
