/**
 * Collective operations over memory of devices, one device a rank.
 *
 * In: addresses of device memory. Out: sums and parts in place, in the order of the device's streams: the
 * host only queues.
 */

/**
 * Ranks with a device each. Every rank calls the same methods in the same order, with the same counts.
 *
 * A collective begins when all that the compute stream had queued before the call is done, and runs beside
 * what is queued after it. Before the compute stream uses what a collective changes, call
 * {@linkcode DeviceComm.join}.
 */
export interface DeviceComm extends Disposable {
  /** Number of this process: 0 … size − 1. */
  readonly rank: number;
  /** Number of processes. */
  readonly size: number;
  /** The library, such as `NCCL 2.27.3`, for messages and `run.json`. */
  readonly name: string;
  /** Sums over all ranks, in place: `count` float32 numbers from the address on. */
  allReduceSum(address: bigint, count: number): void;
  /**
   * Sums over all ranks; each keeps the sum of its own part, in place at the part's own offset. The
   * contents of the other parts are undefined afterwards.
   *
   * @param counts float32 numbers of each rank's part; the parts lie one after another
   */
  reduceScatterSum(address: bigint, counts: readonly number[]): void;
  /**
   * Gives every rank's part to all, in place.
   *
   * @param counts elements of each rank's part; the parts lie one after another
   * @param bytesPerElement @default 4
   */
  allGather(address: bigint, counts: readonly number[], bytesPerElement?: number): void;
  /** Gives the root's bytes to all ranks. @param root @default 0 */
  broadcast(address: bigint, bytes: number, root?: number): void;
  /** Lets the compute stream wait for all collectives so far; the host does not wait. */
  join(): void;
  /**
   * Waits until all collectives so far are done, while timers and other work go on.
   *
   * @throws {Error} in the library's words where one failed; then the communicator is aborted
   */
  finish(): Promise<void>;
}
