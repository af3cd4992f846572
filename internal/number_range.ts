/** Numbers that a setting may be. */
export interface NumberRange {
  /** What it must be, after "It must be ". */
  readonly what: string;
  /** Whether a finite number is that. */
  readonly holds: (value: number) => boolean;
}

/** A whole number from 1 up. */
export const COUNT: NumberRange = {
  what: "a whole number from 1 up",
  holds: (value) => Number.isSafeInteger(value) && value >= 1,
};

/** A whole number from 0 up. */
export const COUNT_OR_ZERO: NumberRange = {
  what: "a whole number from 0 up",
  holds: (value) => Number.isSafeInteger(value) && value >= 0,
};

/** A whole number from 1 up, or a share below 1. */
export const COUNT_OR_SHARE: NumberRange = {
  what: "a whole number from 1 up, or a share of the run above 0 and below 1",
  holds: (value) => COUNT.holds(value) || value > 0 && value < 1,
};

/** The same, or 0. */
export const COUNT_SHARE_OR_ZERO: NumberRange = {
  what: "a whole number from 0 up, or a share of the run below 1",
  holds: (value) => COUNT_OR_ZERO.holds(value) || value > 0 && value < 1,
};

/** A number from 0 to below 1. */
export const BELOW_ONE: NumberRange = {
  what: "a number from 0 to below 1",
  holds: (value) => value >= 0 && value < 1,
};

/** A number from 0 to 1. */
export const SHARE: NumberRange = {
  what: "a number from 0 to 1",
  holds: (value) => value >= 0 && value <= 1,
};

/** A whole number from 0 to 2^32 − 1. */
export const SEED: NumberRange = {
  what: "a whole number from 0 to 4294967295",
  holds: (value) => Number.isSafeInteger(value) && value >= 0 && value < 2 ** 32,
};

/** A number above 0 and below 100. */
export const PERCENTAGE: NumberRange = {
  what: "a number above 0 and below 100",
  holds: (value) => value > 0 && value < 100,
};

/** A number above 0. */
export const POSITIVE: NumberRange = { what: "a number above 0", holds: (value) => value > 0 };

/** A number from 0 up. */
export const POSITIVE_OR_ZERO: NumberRange = {
  what: "a number from 0 up",
  holds: (value) => value >= 0,
};
