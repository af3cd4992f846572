/** Which devices several processes can train on. In: a device, and how they are to train. Out: nothing, or an error. */

import { type Device, deviceName } from "../../ort/runtime/device.ts";

/**
 * Refuses what cannot be, before anything is read.
 *
 * @param size how many processes there are
 * @throws {RangeError}
 */
export function assertDistributed(
  device: Device,
  { size }: { readonly size: number },
): void {
  if (size === 1 || device.kind !== "webgpu") return;
  throw new RangeError(
    `Cannot train with ${size} processes on ${
      deviceName(device)
    }: such devices have nothing to sum ` +
      "gradients with; pass --device cpu or cuda, or start one process",
  );
}
