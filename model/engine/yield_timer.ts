/**
 * Keeps the event loop alive between blocking runs: signals and timers get a turn at least every few
 * runs. Sockets are looked at far less often: for a server in the same process see event_turns.ts.
 *
 * In: calls between the runs. Out: now and then a promise that takes a turn. (Non-blocking FFI
 * calls would run on threads that do not flush denormals.)
 */

import { setImmediate } from "node:timers";

/** Milliseconds of work after which the event loop gets a turn. */
const TURN_AFTER = 20;

/** Yields to the event loop now and then. */
export class YieldTimer {
  #last = performance.now();

  /** Gives the event loop a turn if one is due, then throws if the signal was aborted. */
  async turn(signal?: AbortSignal): Promise<void> {
    if (performance.now() - this.#last >= TURN_AFTER) {
      await new Promise<void>((resolve) => setImmediate(resolve));
      this.#last = performance.now();
    }
    signal?.throwIfAborted();
  }
}
