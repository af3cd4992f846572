/** Which devices several processes can train on. In: a device, and how they are to train. Out: nothing, or an error. */

import { type Device, deviceName, deviceTraits } from "../../ort/runtime/device.ts";

/**
 * Refuses what cannot be, before anything is read.
 *
 * @param size how many processes there are
 * @param shard whether each keeps a part of the optimizer's state
 * @param graphsOnly whether updates are left to graphs; @default on a device
 * @throws {RangeError}
 */
export function assertDistributed(
  device: Device,
  { size, shard, graphsOnly = !deviceTraits(device).hostMemory }: {
    readonly size: number;
    readonly shard: boolean;
    readonly graphsOnly?: boolean;
  },
): void {
  if (size === 1) return;
  if (device.kind === "webgpu") {
    throw new RangeError(
      `Cannot train with ${size} processes on ${
        deviceName(device)
      }: such devices have nothing to sum ` +
        "gradients with; pass --device cpu or cuda, or start one process",
    );
  }
  if (!graphsOnly || !shard) return;
  throw new RangeError(
    `Cannot shard the optimizer on ${
      deviceName(device)
    }: each process keeps all of its state there; leave ` +
      "--shard-optimizer out, or pass --device cpu",
  );
}
