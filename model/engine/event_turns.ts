/**
 * Turns of the event loop between pieces of work that block it, in which a server in the same process
 * gets its connections, requests and signals.
 *
 * In: calls between the pieces. Out: a promise that takes a turn.
 *
 * @module
 */

import { setImmediate } from "node:timers";

/**
 * Rounds of the loop in one look at sockets, timers and signals. While there is other work, Deno's
 * scheduler (Tokio, `event_interval`) looks at them every 61 rounds only; the rest run what was found.
 * All of them take 0.1 to 0.2 ms.
 */
const ROUNDS = 72;
/** Looks in one turn, however much goes on: work has to go on, too. */
const MAX_LOOKS = 6;
/** Milliseconds of work that are not interrupted: a look costs a few per cent of it. */
const UNINTERRUPTED = 4;

/**
 * Turns of the event loop for work that makes many steps. A turn sees everything that has come by
 * then, and what follows from it at once, such as the request on a connection that was accepted.
 *
 * @example
 * ```ts
 * import { EventTurns } from "@ortune/ortune/unstable-engine";
 * import assert from "node:assert/strict";
 *
 * const turns = new EventTurns();
 * let fired = false;
 * setTimeout(() => fired = true, 0);
 * const end = performance.now() + 10;
 * while (performance.now() < end); // blocking work
 * await turns.take();
 * assert.ok(fired);
 * ```
 */
export class EventTurns {
  #last = performance.now();
  #more = false;

  /**
   * Says that something has come that more will follow at once: the turn under way, or the next one,
   * looks again.
   */
  expectMore(): void {
    this.#more = true;
  }

  /** Takes a turn; a short one where the last one was just now. */
  async take(): Promise<void> {
    if (!this.#more && performance.now() - this.#last < UNINTERRUPTED) {
      await round();
      // What the round brought may be the beginning of more.
      if (!this.#more) return;
    }
    for (let looks = 0; looks < MAX_LOOKS; looks++) {
      this.#more = false;
      for (let i = 0; i < ROUNDS; i++) await round();
      if (!this.#more) break;
    }
    this.#last = performance.now();
  }

  /**
   * Takes a turn where work has gone on for long, then throws if the signal was aborted.
   *
   * @param after milliseconds of work
   */
  async due(signal?: AbortSignal, after = 20): Promise<void> {
    if (performance.now() - this.#last >= after) await this.take();
    signal?.throwIfAborted();
  }
}

function round(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
