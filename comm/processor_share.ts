/** How many processors of a machine are a rank's. In: ranks on the machine. Out: threads to compute with. */

/** sysconf's number for the processors that are on, whichever of them this process may use. */
const ONLINE: Partial<Record<typeof Deno.build.os, readonly [library: string, name: number]>> = {
  linux: ["libc.so.6", 84],
  darwin: ["libSystem.dylib", 58],
};

/** What a rank has of its machine's processors. */
export interface ProcessorShare {
  /** Threads to compute with: the machine's processors shared out evenly, but no more than it may use. */
  readonly threads: number;
  /** Its even share of all. */
  readonly even: number;
}

/**
 * The share of a rank. Launchers may bind a process to few processors; then it may use fewer than its even
 * share.
 *
 * @param localSize ranks on this machine
 */
export function processorShare(localSize: number): ProcessorShare {
  const usable = navigator.hardwareConcurrency;
  const even = Math.max(1, Math.floor(Math.max(usable, onlineProcessors()) / localSize));
  return { threads: Math.min(usable, even), even };
}

function onlineProcessors(): number {
  const [library, name] = ONLINE[Deno.build.os] ?? [];
  if (library === undefined || name === undefined) return 0;
  using libc = open(library);
  return Number(libc.symbols.sysconf(name));
}

function open(library: string) {
  const opened = Deno.dlopen(library, { sysconf: { parameters: ["i32"], result: "i64" } });
  return { symbols: opened.symbols, [Symbol.dispose]: () => opened.close() };
}
