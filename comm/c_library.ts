/** The C library, for what neither Deno nor MPI tells. In: the system. Out: its name for `Deno.dlopen`. */

/** By system; undefined where there is none that ortune knows. */
export const C_LIBRARY: Partial<Record<typeof Deno.build.os, string>> = {
  linux: "libc.so.6",
  darwin: "libSystem.dylib",
};
