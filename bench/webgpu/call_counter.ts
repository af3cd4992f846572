/**
 * What a device costs the host, counted where ONNX Runtime's C API is called. In: a runtime. Out: runs,
 * dispatches, copies, and the time inside of these calls.
 */

import type { ApiCall, Argument } from "../../ort/runtime/api.ts";
import { cpu } from "../../ort/runtime/device.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import { countDispatches } from "./count_dispatches.ts";

/** Copies in one direction. */
export interface CopyCounts {
  copies: number;
  bytes: number;
  /** Host time inside of the calls. */
  milliseconds: number;
}

/** What was called. */
export interface CallCounts {
  /** Graphs that were run. */
  runs: number;
  /** Kernels that these run, about. */
  dispatches: number;
  /** Host time inside of these runs, which on a device are only queued. */
  runMilliseconds: number;
  /** Tensors bound to inputs and outputs. */
  bindings: number;
  /** From the host. */
  readonly toDevice: CopyCounts;
  /** To the host: each waits for all that was queued. */
  readonly fromDevice: CopyCounts;
  readonly onDevice: CopyCounts;
}

/** Nothing, to be counted from. */
export function noCalls(): CallCounts {
  const none = (): CopyCounts => ({ copies: 0, bytes: 0, milliseconds: 0 });
  return {
    ...{ runs: 0, dispatches: 0, runMilliseconds: 0, bindings: 0 },
    ...{ toDevice: none(), fromDevice: none(), onDevice: none() },
  };
}

/** Counts the calls of a runtime; of graphs that are compiled from now on. */
export class CallCounter {
  #counts = noCalls();
  readonly #hostMemory: bigint;
  readonly #dispatches = new Map<bigint, number>();
  /** Wrapped tensors by their addresses: what is copied. */
  readonly #wrapped = new Map<bigint, { readonly onHost: boolean; readonly bytes: number }>();

  /** Puts itself between the runtime and the library. */
  constructor(runtime: Runtime) {
    const { api } = runtime;
    this.#hostMemory = addressOf(runtime.place(cpu).memory);
    const raw = api.raw.bind(api);
    api.raw = (name, ...args) => {
      const began = performance.now();
      const answer = raw(name, ...args);
      this.#count(name, args, performance.now() - began);
      return answer;
    };
  }

  /** What was counted since the last call. */
  take(): CallCounts {
    const counts = this.#counts;
    this.#counts = noCalls();
    return counts;
  }

  #count(name: ApiCall, args: readonly Argument[], milliseconds: number): void {
    const counts = this.#counts;
    if (name === "CreateSessionFromArray") {
      this.#dispatches.set(made(args), countDispatches(args[1] as Uint8Array));
    } else if (name === "CreateTensorWithDataAsOrtValue") {
      const onHost = addressOf(args[0]) === this.#hostMemory;
      this.#wrapped.set(made(args), { onHost, bytes: Number(args[2]) });
    } else if (name === "BindInput" || name === "BindOutput") counts.bindings++;
    else if (name === "RunWithBinding") {
      counts.runs++;
      counts.dispatches += this.#dispatches.get(addressOf(args[0])) ?? 0;
      counts.runMilliseconds += milliseconds;
    } else if (name === "CopyTensors") {
      const [source, target] = [args[1], args[2]].map((list) =>
        this.#wrapped.get((list as BigUint64Array)[0])!
      );
      const copies = source.onHost
        ? counts.toDevice
        : target.onHost
        ? counts.fromDevice
        : counts.onDevice;
      copies.copies++;
      copies.bytes += source.bytes;
      copies.milliseconds += milliseconds;
    }
  }
}

/** What a call made, as it was written into its last parameter. */
function made(args: readonly Argument[]): bigint {
  const [address] = args.at(-1) as BigUint64Array;
  return address;
}

function addressOf(pointer: Argument): bigint {
  return Deno.UnsafePointer.value(pointer as Deno.PointerObject);
}
