/**
 * Selection without sorting.
 *
 * In: values and k. Out: the k-th largest of them. Not part of the public surface.
 */

/**
 * The k-th largest value, counting equal ones, by a heap of k: O(n log k) at worst, and nearly O(n)
 * where values come in no order, since few displace one of the k largest so far.
 *
 * @throws {RangeError} where k is not from 1 to the number of values
 */
export function kthLargest(values: Float32Array, k: number): number {
  if (!Number.isInteger(k) || k < 1 || k > values.length) {
    throw new RangeError(`Cannot select the largest ${k} of ${values.length} values`);
  }
  // heap[0] is the smallest of the largest k; children of i stand at 2i + 1 and 2i + 2.
  const heap = values.slice(0, k);
  const sift = (start: number): void => {
    const value = heap[start];
    let at = start;
    for (let child = 2 * at + 1; child < k; child = 2 * at + 1) {
      if (child + 1 < k && heap[child + 1] < heap[child]) child++;
      if (heap[child] >= value) break;
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = value;
  };
  for (let i = (k >> 1) - 1; i >= 0; i--) sift(i);
  for (let i = k; i < values.length; i++) {
    if (values[i] <= heap[0]) continue;
    heap[0] = values[i];
    sift(0);
  }
  return heap[0];
}
