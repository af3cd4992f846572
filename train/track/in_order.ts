/**
 * Work on a file, one piece at a time.
 *
 * In: functions. Out: their results; each starts when the one before it has ended, even for a
 * caller that awaits none of them.
 */

/** Runs a piece of work after all earlier ones, failed ones too. */
export type InOrder = <Result>(work: () => Promise<Result>) => Promise<Result>;

/** Makes a queue of its own. */
export function createInOrder(): InOrder {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const done = last.then(work);
    last = done.catch(() => {});
    return done;
  };
}
