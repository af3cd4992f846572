/**
 * How much of a GPU's memory is in use, by nvidia-smi. In: work. Out: samples from before, meanwhile
 * and after. A call takes tens of milliseconds and the driver's locks: never around timed work.
 */

import type { DeviceShare } from "./figures.ts";

const PAUSE_MS = 150;

/** The device's memory in use, in bytes; nothing where there is no nvidia-smi. */
export async function deviceUse(): Promise<number | undefined> {
  try {
    const { success, stdout } = await new Deno.Command("nvidia-smi", {
      args: ["--query-gpu=memory.used", "--format=csv,noheader,nounits", "--id=0"],
      stderr: "null",
    }).output();
    return success ? 2 ** 20 * Number(new TextDecoder().decode(stdout).split("\n")[0]) : undefined;
  } catch {
    return undefined;
  }
}

/** Does work that is not timed, and samples the device's use meanwhile; `before` is from before it. */
export async function sampled<T>(
  share: DeviceShare,
  before: number | undefined,
  work: () => Promise<T>,
): Promise<T> {
  if (before === undefined) return await work();
  const samples = [before];
  const sample = async (): Promise<void> => {
    const used = await deviceUse();
    if (used !== undefined) samples.push(used);
  };
  let watching = true;
  const watch = (async () => {
    while (watching) {
      await sample();
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  })();
  try {
    return await work();
  } finally {
    watching = false;
    await watch;
    await sample();
    share.turn(samples);
  }
}
