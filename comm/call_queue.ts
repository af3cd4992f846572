/**
 * Runs collectives one after another and counts what they move.
 *
 * In: calls, in the order that every rank makes them in. Out: promises of their ends, and traffic.
 */

import type { Collective, CollectiveTraffic, CommTraffic } from "./comm.ts";

/** How calls are run. */
export interface CallQueueOptions {
  /** Seconds that one call may take. @default no limit */
  readonly timeoutSeconds?: number;
  /** Told of each call as it begins, with its number from 1. @default nobody is */
  readonly onBegin?: (call: number, kind: Collective) => void;
  /** What is known of the ranks that a call waits for, as a clause. @default nothing */
  readonly explainWait?: (call: number) => string | undefined;
}

/** A queue of collectives. */
export class CallQueue {
  readonly #traffic: Record<Collective, CollectiveTraffic> = emptyTraffic();
  readonly #options: CallQueueOptions;
  #tail: Promise<void> = Promise.resolve();
  #begun = 0;
  #broken: string | undefined;
  #closed = false;

  constructor(options: CallQueueOptions = {}) {
    this.#options = options;
  }

  get traffic(): CommTraffic {
    return this.#traffic;
  }

  /**
   * Queues a call.
   *
   * @param bytes of its array
   * @param run does the call; awaits nothing but the library
   */
  run(kind: Collective, bytes: number, run: () => void | Promise<void>): Promise<void> {
    if (this.#closed) {
      return Promise.reject(new Error(`Cannot run ${kind}: the communicator is closed`));
    }
    const result = this.#tail.then(() => this.#call(kind, bytes, run));
    this.#tail = result.catch(() => {});
    return result;
  }

  /** Takes no more calls, and waits for those that were made. */
  close(): Promise<void> {
    this.#closed = true;
    return this.#tail;
  }

  /** The failed call, where one failed. */
  get broken(): string | undefined {
    return this.#broken;
  }

  async #call(kind: Collective, bytes: number, run: () => void | Promise<void>): Promise<void> {
    if (this.#broken !== undefined) {
      throw new Error(`Cannot run ${kind}: an earlier collective failed: ${this.#broken}`);
    }
    const call = ++this.#begun;
    this.#options.onBegin?.(call, kind);
    const began = performance.now();
    try {
      await this.#inTime(call, kind, run());
    } catch (error) {
      this.#broken = (error as Error).message;
      throw error;
    }
    const { calls, bytes: earlier, seconds } = this.#traffic[kind];
    this.#traffic[kind] = {
      calls: calls + 1,
      bytes: earlier + bytes,
      seconds: seconds + (performance.now() - began) / 1000,
    };
  }

  async #inTime(call: number, kind: Collective, end: void | Promise<void>): Promise<void> {
    const { timeoutSeconds, explainWait } = this.#options;
    if (!(end instanceof Promise) || timeoutSeconds === undefined) return await end;
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(() => {
      const why = explainWait?.(call);
      late.reject(
        new Error(
          `Cannot finish ${kind} (collective ${call}): it took longer than ${timeoutSeconds} s` +
            (why === undefined ? "" : `: ${why}`),
        ),
      );
    }, timeoutSeconds * 1000);
    try {
      await Promise.race([end, late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }
}

function emptyTraffic(): Record<Collective, CollectiveTraffic> {
  const none = { calls: 0, bytes: 0, seconds: 0 };
  return {
    allReduceSum: none,
    reduceScatterSum: none,
    allGather: none,
    broadcast: none,
    barrier: none,
  };
}
