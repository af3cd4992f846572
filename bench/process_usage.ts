/** What a process takes. In: its id. Out: seconds of processor and bytes of memory; Linux only. */

/** Ticks a second that Linux tells in /proc, on every platform. */
const TICKS = 100;

/** Processor time in seconds and resident memory in bytes; `undefined` once the process is gone. */
export async function processUsage(
  pid: number,
): Promise<{ readonly seconds: number; readonly bytes: number } | undefined> {
  try {
    const stat = await Deno.readTextFile(`/proc/${pid}/stat`);
    // After the name, which may hold blanks and brackets.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const status = await Deno.readTextFile(`/proc/${pid}/status`);
    const kilobytes = Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0);
    return { seconds: (Number(fields[11]) + Number(fields[12])) / TICKS, bytes: kilobytes * 1024 };
  } catch {
    return undefined;
  }
}
