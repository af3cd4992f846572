/** The error of an index that is out of a list of examples. In: the index and how many there are. */

/** Counted from 0. */
export function noExample(index: number, length: number): RangeError {
  return new RangeError(`Cannot read example ${index}: there are ${length}, counted from 0`);
}
