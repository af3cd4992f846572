/** A clock that stands still but for what a test lets pass. In: nothing. Out: `performance.now()` until it is disposed of. */

/** A clock in a test's hands. */
export interface FakeClock extends Disposable {
  /** Lets time pass. */
  pass(milliseconds: number): void;
}

/** Puts a clock in the place of `performance.now()`. */
export function fakeClock(): FakeClock {
  const own = Object.getOwnPropertyDescriptor(performance, "now");
  let at = 1000;
  Object.defineProperty(performance, "now", { configurable: true, value: () => at });
  return {
    pass(milliseconds): void {
      at += milliseconds;
    },
    [Symbol.dispose](): void {
      if (own) Object.defineProperty(performance, "now", own);
      else Reflect.deleteProperty(performance, "now");
    },
  };
}
