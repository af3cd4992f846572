/**
 * Collective operations between the processes of one run: sums, parts and messages by MPI, and between
 * their GPUs by NCCL.
 *
 * In: arrays of each process. Out: their sums over all. `mpirun -n 4` starts one program four times, and
 * each process opens the communicator:
 *
 * ```ts
 * import { checkSameOnAllRanks, openComm } from "@ortune/ortune/comm";
 * import assert from "node:assert/strict";
 *
 * await using comm = await openComm("auto", { environment: Deno.env.toObject() });
 * await checkSameOnAllRanks(comm, { learningRate: 1e-4 });
 * const gradients = new Float32Array(1000).fill(1);
 * await comm.allReduceSum(gradients);
 * assert.equal(gradients[0], comm.size);
 * ```
 *
 * @module
 */

export { COMM_CHOICES, type CommChoice, openComm, type OpenCommOptions } from "./open_comm.ts";
export type { Collective, CollectiveTraffic, Comm, CommTraffic } from "./comm.ts";
export type { DeviceComm } from "./device_comm.ts";
export { type NcclCommOptions, openNcclComm } from "./nccl/nccl_comm.ts";
export type { CudaStreamsOptions } from "./nccl/cuda_streams.ts";
export type { MpiCommOptions } from "./mpi_comm.ts";
export { COMM_VARIABLES, type CommEnvironment } from "./mpi_launch.ts";
export { soloComm } from "./solo_comm.ts";
export { abortOnError, type AbortOnErrorOptions } from "./abort_on_error.ts";
export { checkSameOnAllRanks } from "./check_same_on_all_ranks.ts";
export { type ProcessorShare, processorShare } from "./processor_share.ts";
export { broadcastJson, gatherJson } from "./json_between_ranks.ts";
