/**
 * Long work that can be interrupted: a generator that stops now and then and answers at its end.
 *
 * In: such a generator. Out: its result, all at once.
 */

/** Work that stops every millisecond or so, to be gone on with. */
export type Slices<Result> = Generator<void, Result, void>;

/** Does the work without a pause. */
export function finish<Result>(slices: Slices<Result>): Result {
  for (;;) {
    const { done, value } = slices.next();
    if (done) return value;
  }
}
