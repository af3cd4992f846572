/**
 * The GPU of each process of a run. In: the device that was asked for, and the process's number on its
 * machine. Out: a device of its own.
 */

import type { Comm } from "../../comm/comm.ts";
import { countCudaDevices } from "../../ort/runtime/cuda.ts";
import type { Device } from "../../ort/runtime/device.ts";

/**
 * The first process of a machine has the GPU that was asked for, the next ones those that follow, and behind
 * the last one those from 0 on: so a launcher that shows each process one GPU has its way too.
 *
 * @param count how many GPUs this process sees
 */
export function rankDevice(
  device: Device,
  { localRank, localSize }: Pick<Comm, "localRank" | "localSize">,
  count: () => number = countCudaDevices,
): Device {
  if (device.kind !== "cuda" || localSize === 1) return device;
  return { kind: "cuda", index: (device.index + localRank) % count() };
}
