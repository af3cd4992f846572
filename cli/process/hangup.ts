/** SIGHUP, which a closed terminal and a dropped ssh send. Out: what it would do. */

const SIGHUP = 1;
const SIG_IGN = 1n;
/** `struct sigaction` begins with its handler; it has 152 bytes on Linux, and fewer on macOS. */
const STRUCT_WORDS = 32;
const C_LIBRARY: Partial<Record<typeof Deno.build.os, readonly string[]>> = {
  linux: ["libc.so.6", "libc.so"],
  darwin: ["libSystem.dylib"],
};

/**
 * What SIGHUP does to this process before it listens to any signal: `nohup` and the like have it
 * ignored, which Deno undoes with the first listener of whatever signal. `undefined` where it cannot
 * be told: the system alone knows, and only commands with `--allow-ffi` can ask. Others have nothing
 * to save.
 */
export function hangupAction(): "ends" | "ignored" | undefined {
  if (Deno.permissions.querySync({ name: "ffi" }).state !== "granted") return undefined;
  for (const name of C_LIBRARY[Deno.build.os] ?? []) {
    try {
      const library = Deno.dlopen(name, {
        sigaction: { parameters: ["i32", "pointer", "buffer"], result: "i32" },
      });
      const action = new BigUint64Array(STRUCT_WORDS);
      const failed = library.symbols.sigaction(SIGHUP, null, action);
      library.close();
      return failed !== 0 ? undefined : action[0] === SIG_IGN ? "ignored" : "ends";
    } catch {
      // Another C library, such as musl's, has another name.
    }
  }
  return undefined;
}
