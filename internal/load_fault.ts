/** Why a native library was not opened. In: what `Deno.dlopen` threw. Out: the loader's words. */

/** The loader's message, without Deno's prefix, which it repeats. */
export function loadFault(cause: unknown): string {
  return (cause as Error).message.replace(/^(Could not open library: )+/, "");
}
