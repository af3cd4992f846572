/**
 * A runtime without a library: the C API's calls, and those to a device's memory.
 *
 * In: a device. Out: a `Runtime` for tensors and sessions, and a line a call.
 */

import { type Device, sameDevice } from "../../ort/runtime/device.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import type { TensorMemory } from "../../ort/runtime/tensor_memory.ts";
import { fakePointer, recordedApi, type RecordedCall, wordsOf } from "./recorded_api.ts";

/** A runtime, and its calls. */
export interface RecordedRuntime {
  readonly runtime: Runtime;
  /** Calls in words since they were last taken, without what they were for. */
  take(): string[];
}

/** Makes the runtime; what its API makes has numbers that count up from 0x100. */
export function recordedRuntime(
  device: Device,
  { viewsAtOffset = true, does, explainShortage }: {
    readonly viewsAtOffset?: boolean;
    readonly does?: (call: RecordedCall) => Deno.PointerValue | void;
    readonly explainShortage?: (cause: Error, what: string) => Error | undefined;
  } = {},
): RecordedRuntime {
  const lines: string[] = [];
  const { api } = recordedApi((call) => {
    lines.push(
      [
        call.name,
        ...call.what === undefined ? [] : [`(${call.what})`],
        ...wordsOf(call.args),
      ].join(" "),
    );
    return does?.(call);
  });
  const start = ({ address, offset, byteLength }: {
    address: bigint;
    offset: number;
    byteLength: number;
  }): string => `${address.toString(16)}+${offset} of ${byteLength}`;
  let value = 0x700n;
  const tensors: TensorMemory = {
    viewsAtOffset,
    allocate(dtype, shape, what) {
      lines.push(`allocate ${dtype} [${shape}] (${what})`);
      return { value: fakePointer(value++), address: 0x9000n };
    },
    free: (address) => void lines.push(`free ${address.toString(16)}`),
    upload: (to, bytes) => void lines.push(`upload ${start(to)}: ${bytes}`),
    download(from, into): void {
      lines.push(`download ${start(from)}: ${into.length}`);
      into.fill(1);
    },
    copy: (to, from, bytes) => void lines.push(`copy ${start(to)} from ${start(from)}: ${bytes}`),
    zero: (address, bytes) => void lines.push(`zero ${address.toString(16)} ${bytes}`),
    throwErrors(what, refusal): void {
      lines.push(`errors (${what})${refusal ? `: ${refusal.message}` : ""}`);
    },
  };
  const runtime = {
    api,
    device,
    env: fakePointer(1),
    cpuAllocator: fakePointer(2),
    cuda: explainShortage ? { explainShortage } : undefined,
    place(other: Device) {
      const onHost = other.kind === "cpu";
      if (!onHost && !sameDevice(other, device)) throw new RangeError("another device");
      return {
        memory: fakePointer(onHost ? 3 : 4),
        sessionOptions: fakePointer(onHost ? 5 : 6),
        runOptions: onHost ? null : fakePointer(7),
        tensors: onHost ? undefined : tensors,
      };
    },
  };
  return { runtime: runtime as unknown as Runtime, take: () => lines.splice(0) };
}
