/**
 * Collective operations on tensors, where these lie.
 *
 * In: processes that train together, and a runtime. Out: sums over all of them: in the host's memory by the
 * processes' own `Comm`, on GPUs by NCCL, without a copy to the host.
 */

import type { Comm } from "../../comm/comm.ts";
import type { DeviceComm } from "../../comm/device_comm.ts";
import { openNcclComm } from "../../comm/nccl/nccl_comm.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import { streamOf } from "../../ort/runtime/stream_of.ts";
import type { Tensor } from "../../ort/runtime/tensor.ts";
import { byteWidth } from "../../ort/tensor/dtype.ts";

/**
 * Processes with a tensor each. Every process calls the same methods in the same order, with tensors of the
 * same sizes; what is summed is float32.
 *
 * A call only begins. After {@linkcode TensorComm.join} the tensors may be used.
 */
export interface TensorComm extends Disposable {
  /** Number of this process, from 0. */
  readonly rank: number;
  /** How many there are. */
  readonly size: number;
  /** Sums over all processes, in place. */
  allReduceSum(tensor: Tensor): void;
  /**
   * Sums over all processes; each keeps the sums of its own part, in place, and anything elsewhere.
   *
   * @param counts elements of each process's part; the parts lie one after another
   */
  reduceScatterSum(tensor: Tensor, counts: readonly number[]): void;
  /**
   * Gives every process's part to all, in place.
   *
   * @param counts elements of each process's part; the parts lie one after another
   */
  allGather(tensor: Tensor, counts: readonly number[]): void;
  /**
   * Lets what follows have the results of all calls so far: on a device what is queued there next, whose
   * host does not wait.
   *
   * @throws {Error} on the host, where one of the calls failed
   */
  join(): Promise<void>;
  /**
   * Waits for all calls so far, while timers go on.
   *
   * @throws {Error} where one of them failed
   */
  finish(): Promise<void>;
}

/**
 * Opens the operations for tensors of a runtime: on the host, or on CUDA, where each process has a device of its
 * own. All processes call it.
 *
 * @throws {Error} where a library is missing or refuses
 */
export async function openTensorComm(comm: Comm, runtime: Runtime): Promise<TensorComm> {
  const { cuda } = runtime;
  if (!cuda) return hostTensorComm(comm);
  return deviceTensorComm(
    await openNcclComm(comm, { device: cuda.index, computeStream: streamOf(runtime) }),
  );
}

/** Tensors in the host's memory. The processes stay open when it is disposed of. */
export function hostTensorComm(comm: Comm): TensorComm {
  const begun: Promise<void>[] = [];
  const begin = (call: Promise<void>): void => {
    // Told of when it is waited for.
    call.catch(() => {});
    begun.push(call);
  };
  const finish = async (): Promise<void> => void await Promise.all(begun.splice(0));
  return {
    rank: comm.rank,
    size: comm.size,
    allReduceSum: (tensor) => begin(comm.allReduceSum(tensor.float32())),
    reduceScatterSum: (tensor, counts) => begin(comm.reduceScatterSum(tensor.float32(), counts)),
    allGather: (tensor, counts) =>
      begin(comm.allGather(tensor.bytes(), counts.map((count) => count * byteWidth(tensor.dtype)))),
    join: finish,
    finish,
    [Symbol.dispose]: () => {},
  };
}

/** Tensors on devices; takes the devices' communicator over. */
export function deviceTensorComm(comm: DeviceComm): TensorComm {
  return {
    rank: comm.rank,
    size: comm.size,
    allReduceSum: (tensor) => comm.allReduceSum(tensor.address, elementsOf(tensor)),
    reduceScatterSum: (tensor, counts) => comm.reduceScatterSum(tensor.address, counts),
    allGather: (tensor, counts) => comm.allGather(tensor.address, counts, byteWidth(tensor.dtype)),
    // deno-lint-ignore require-await -- so that errors reject instead of throwing at the call
    join: async () => comm.join(),
    finish: () => comm.finish(),
    [Symbol.dispose]: () => comm[Symbol.dispose](),
  };
}

function elementsOf({ byteLength }: Tensor): number {
  return byteLength / Float32Array.BYTES_PER_ELEMENT;
}
