/**
 * Where a tensor lives and a graph runs: `cpu`, `cuda:0` or `webgpu`.
 *
 * In: a device as it is written on a command line. Out: a `Device`. Every value and every session
 * carries one.
 *
 * @module
 */

/** A place for tensors and graphs. */
export type Device =
  | { readonly kind: "cpu" }
  | { readonly kind: "cuda"; readonly index: number }
  | { readonly kind: "webgpu" };

/**
 * The host processor and its memory.
 *
 * @example
 * ```ts
 * import { cpu, parseDevice } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 *
 * assert.deepEqual(parseDevice("cpu"), cpu);
 * ```
 */
export const cpu: Device = { kind: "cpu" };

/** What a program must know of a device, whatever its kind. */
export interface DeviceTraits {
  /**
   * Whether tensors lie in the host's memory. Elsewhere they are read and written by copies, work is
   * queued, and reading a tensor waits for it.
   */
  readonly hostMemory: boolean;
  /** Whether ONNX Runtime has kernels in bfloat16 there. */
  readonly bfloat16: boolean;
  /** Whether ONNX Runtime has a kernel for each operation that graphs use; else they are lowered. */
  readonly everyOperation: boolean;
  /** Whether attention over a cache is one operation there, in the type that the device computes in. */
  readonly fusedAttention: boolean;
  /**
   * Whether a tensor may lie inside another one's memory: stores are one allocation then, of which
   * tensors are views.
   */
  readonly viewsAtOffset: boolean;
  /**
   * Whether training's attention goes over chunks of queries, so that the scores of all are never there
   * at once. No kernel of ortune's own can do it there.
   */
  readonly attentionInChunks: boolean;
  /** Whether drivers of many makers may be behind it, so that their numbers are checked first. */
  readonly checkedFirst: boolean;
  /** Whether it can be asked how much memory is free. */
  readonly tellsMemory: boolean;
}

const TRAITS: Readonly<Record<Device["kind"], DeviceTraits>> = {
  cpu: {
    hostMemory: true,
    bfloat16: false,
    everyOperation: true,
    fusedAttention: true,
    viewsAtOffset: true,
    attentionInChunks: false,
    checkedFirst: false,
    tellsMemory: true,
  },
  cuda: {
    hostMemory: false,
    bfloat16: true,
    everyOperation: true,
    fusedAttention: true,
    viewsAtOffset: true,
    attentionInChunks: false,
    checkedFirst: false,
    tellsMemory: true,
  },
  webgpu: {
    hostMemory: false,
    bfloat16: false,
    everyOperation: false,
    fusedAttention: false,
    viewsAtOffset: false,
    attentionInChunks: true,
    checkedFirst: true,
    tellsMemory: false,
  },
};

/**
 * What kind of place a device is: the one table that a new kind of device is added to.
 *
 * @example
 * ```ts
 * import { cpu, parseDevice } from "@ortune/ortune";
 * import { deviceTraits } from "@ortune/ortune/unstable-ort";
 * import assert from "node:assert/strict";
 *
 * assert.ok(deviceTraits(cpu).hostMemory);
 * assert.ok(!deviceTraits(parseDevice("cuda")).hostMemory);
 * ```
 */
export function deviceTraits({ kind }: Pick<Device, "kind">): DeviceTraits {
  return TRAITS[kind];
}

/**
 * Parses `cpu`, `cuda`, `cuda:N` or `webgpu`.
 *
 * @example
 * ```ts
 * import { parseDevice } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 *
 * assert.deepEqual(parseDevice("cuda:1"), { kind: "cuda", index: 1 });
 * ```
 *
 * @param text the device as written on a command line
 * @throws {RangeError} on any other word
 */
export function parseDevice(text: string): Device {
  if (text === "cpu") return cpu;
  const cuda = /^cuda(?::(\d{1,3}))?$/.exec(text);
  if (cuda) return { kind: "cuda", index: Number(cuda[1] ?? 0) };
  if (text === "webgpu") return { kind: "webgpu" };
  throw new RangeError(`Cannot use device "${text}": expected cpu, cuda, cuda:N or webgpu`);
}

/**
 * The device as it is written on a command line.
 *
 * @example
 * ```ts
 * import { deviceName } from "@ortune/ortune/unstable-ort";
 * import assert from "node:assert/strict";
 *
 * assert.equal(deviceName({ kind: "cuda", index: 0 }), "cuda:0");
 * ```
 */
export function deviceName(device: Device): string {
  return device.kind === "cuda" ? `cuda:${device.index}` : device.kind;
}

/**
 * Whether two devices are the same place.
 *
 * @example
 * ```ts
 * import { parseDevice } from "@ortune/ortune";
 * import { sameDevice } from "@ortune/ortune/unstable-ort";
 * import assert from "node:assert/strict";
 *
 * assert.ok(sameDevice(parseDevice("cuda"), parseDevice("cuda:0")));
 * ```
 */
export function sameDevice(a: Device, b: Device): boolean {
  return deviceName(a) === deviceName(b);
}
