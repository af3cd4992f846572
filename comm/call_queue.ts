/**
 * Numbers collectives, settles them in their order and counts what they move.
 *
 * In: calls, in the order that every rank makes them in. Out: promises of their ends, and traffic.
 */

import type { Collective, CollectiveTraffic, CommTraffic } from "./comm.ts";

/** How calls are run. */
export interface CallQueueOptions {
  /** Seconds that one call may take. @default no limit */
  readonly timeoutSeconds?: number;
  /** What is known of the ranks that a call waits for, as a clause. @default nothing */
  readonly explainWait?: (call: number) => string | undefined;
}

/** A queue of collectives, which something else runs one after another. */
export class CallQueue {
  readonly #traffic: Record<Collective, CollectiveTraffic> = emptyTraffic();
  readonly #options: CallQueueOptions;
  #tail: Promise<void> = Promise.resolve();
  #calls = 0;
  #broken: string | undefined;
  #closed = false;

  constructor(options: CallQueueOptions = {}) {
    this.#options = options;
  }

  get traffic(): CommTraffic {
    return this.#traffic;
  }

  /** The failed call, where one failed. */
  get broken(): string | undefined {
    return this.#broken;
  }

  /**
   * Queues a call, which begins at once if none runs.
   *
   * @param bytes of its array
   * @param start hands the call over, with its number from 1; answers the seconds that it took
   */
  run(kind: Collective, bytes: number, start: (call: number) => Promise<number>): Promise<void> {
    if (this.#closed) {
      return Promise.reject(new Error(`Cannot run ${kind}: the communicator is closed`));
    }
    if (this.#broken !== undefined) return Promise.reject(this.#brokenError(kind));
    const call = ++this.#calls;
    const end = start(call);
    // Whoever waits is told of an earlier failure instead.
    end.catch(() => {});
    const result = this.#settle(this.#tail, { call, kind, bytes, end });
    this.#tail = result.catch(() => {});
    return result;
  }

  /** Takes no more calls, and waits for those that were made. */
  close(): Promise<void> {
    this.#closed = true;
    return this.#tail;
  }

  async #settle(
    earlier: Promise<void>,
    { call, kind, bytes, end }: {
      readonly call: number;
      readonly kind: Collective;
      readonly bytes: number;
      readonly end: Promise<number>;
    },
  ): Promise<void> {
    await earlier;
    if (this.#broken !== undefined) throw this.#brokenError(kind);
    try {
      const seconds = await this.#inTime(call, kind, end);
      const { calls, bytes: before, seconds: spent } = this.#traffic[kind];
      this.#traffic[kind] = { calls: calls + 1, bytes: before + bytes, seconds: spent + seconds };
    } catch (error) {
      this.#broken = (error as Error).message;
      throw error;
    }
  }

  #brokenError(kind: Collective): Error {
    return new Error(`Cannot run ${kind}: an earlier collective failed: ${this.#broken}`);
  }

  async #inTime(call: number, kind: Collective, end: Promise<number>): Promise<number> {
    const { timeoutSeconds, explainWait } = this.#options;
    if (timeoutSeconds === undefined) return await end;
    const late = Promise.withResolvers<never>();
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
      return await Promise.race([end, late.promise]);
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
