/**
 * Collective operations between the processes of one run.
 *
 * In: arrays of this process ("rank"). Out: sums over all ranks, or every rank's parts in one array.
 * The terms are MPI's: MPI 4.1, chapter 6, https://www.mpi-forum.org/docs/
 */

/** A collective operation, by its name in {@linkcode Comm}. */
export type Collective =
  | "allReduceSum"
  | "reduceScatterSum"
  | "allGather"
  | "broadcast"
  | "barrier";

/** What one kind of collective has moved so far. */
export interface CollectiveTraffic {
  /** Calls that have ended. */
  readonly calls: number;
  /** Bytes of the arrays that were handed in, whatever of them went over a network. */
  readonly bytes: number;
  /** Seconds from the start of each call to its end, without the time it waited in the queue. */
  readonly seconds: number;
}

/** What all collectives of a {@linkcode Comm} have moved so far. */
export type CommTraffic = Readonly<Record<Collective, CollectiveTraffic>>;

/**
 * Processes of one run ("ranks"). Every rank calls the same methods in the same order, with arrays of the
 * same lengths.
 *
 * Calls are queued: they run one after another, in the order in which they were made, and several
 * promises may be open at once. They run on another thread, which goes on while this one computes; an
 * array must not be changed, read or transferred until its promise is settled. After a call has failed,
 * all later ones fail with the same cause.
 *
 * A closed communicator cannot be used again. Closing waits for all ranks; where one of them failed
 * instead, call {@linkcode Comm.abort}, as `abortOnError` does.
 */
export interface Comm extends AsyncDisposable {
  /** Number of this process: 0 … size − 1. */
  readonly rank: number;
  /** Number of processes. */
  readonly size: number;
  /** Number of this process among those of its machine. */
  readonly localRank: number;
  /** Number of processes on this machine, to share its cores and GPUs by. */
  readonly localSize: number;
  /** `solo`, or the MPI library, such as `Open MPI 4.1.4`, for messages and `run.json`. */
  readonly name: string;
  /**
   * Sums over all ranks, element by element, in place: the same bits on every rank. Float64Array for
   * few numbers, Float32Array for gradients.
   */
  allReduceSum(values: Float32Array | Float64Array): Promise<void>;
  /**
   * Sums over all ranks; each rank keeps the sum of its own part, in place at the part's own offset.
   * The contents of the other parts are undefined afterwards.
   *
   * @param counts elements of each rank's part; the parts lie one after another and fill the array
   */
  reduceScatterSum(values: Float32Array, counts: readonly number[]): Promise<void>;
  /**
   * Gives every rank's part to all: each rank's own part is read at its own offset, the others are
   * written at theirs.
   *
   * @param counts elements of each rank's part; the parts lie one after another and fill the array
   */
  allGather(values: Float32Array | Uint8Array, counts: readonly number[]): Promise<void>;
  /**
   * Gives the root's bytes to all ranks.
   *
   * @param root @default 0
   */
  broadcast(bytes: Uint8Array, root?: number): Promise<void>;
  /** Waits until every rank has called it. */
  barrier(): Promise<void>;
  /**
   * Ends all ranks at once, after the message went to stderr of this one.
   *
   * @param exitCode @default 1
   */
  abort(message: string, exitCode?: number): never;
  /** Bytes handed to collectives so far, and the seconds that they took. */
  readonly traffic: CommTraffic;
}
