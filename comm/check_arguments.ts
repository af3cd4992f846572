/** What collectives take. In: their arguments. Out: errors for those that no library may see. */

/** @throws {TypeError} unless the array is one of float32 or float64 numbers */
export function checkSummands(what: string, values: unknown): void {
  if (values instanceof Float32Array || values instanceof Float64Array) return;
  throw new TypeError(`Cannot ${what}: it sums a Float32Array or a Float64Array`);
}

/** @throws {RangeError} unless the root is one of the ranks */
export function checkRoot(root: number, size: number): void {
  if (Number.isInteger(root) && root >= 0 && root < size) return;
  throw new RangeError(`Cannot broadcast from rank ${root}: the ranks are 0 to ${size - 1}`);
}
