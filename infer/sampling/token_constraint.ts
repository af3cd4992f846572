/**
 * What the tokens of a reply must spell together.
 *
 * Types only: what a sampler and a generator need of a constraint.
 *
 * @module
 */

/** Holds one reply to a format, token by token. */
export interface TokenConstraint {
  /** Rules out tokens that may not come next: their scores [vocab] become minus infinity. */
  apply(scores: Float32Array): void;
  /** Takes the token that was chosen, unless it ended the reply. */
  push(id: number): void;
  /** Whether the reply is whole, and no token may follow. */
  readonly finished: boolean;
}

/** Makes the constraint of one reply, which only the tokens `ends` may end. */
export type TokenConstraintSource = (ends: ReadonlySet<number>) => TokenConstraint;
