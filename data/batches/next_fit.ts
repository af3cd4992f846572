/**
 * Which examples share a row, by next-fit.
 *
 * In: lengths [n], the length of a row and, where the lengths are not in order, an order [n].
 * Out: where in the order each row starts, [rows].
 */

/**
 * Fills rows in order: an example that does not fit opens the next row, and no row is returned to.
 * Plainer and looser than best-fit, but it keeps the sampler's order, and the rows from any row on
 * are those of packing from there anew.
 *
 * @throws {RangeError} if a length exceeds a row.
 */
export function nextFit(
  lengths: ArrayLike<number>,
  maxLength: number,
  order?: ArrayLike<number>,
): number[] {
  const starts: number[] = [];
  let room = -1;
  for (let at = 0; at < lengths.length; at++) {
    const index = order === undefined ? at : order[at];
    const length = lengths[index];
    if (!(length <= maxLength)) {
      throw new RangeError(
        `Cannot pack example ${index}: length ${length} exceeds maxLength ${maxLength}`,
      );
    }
    if (length > room) {
      starts.push(at);
      room = maxLength;
    }
    room -= length;
  }
  return starts;
}
