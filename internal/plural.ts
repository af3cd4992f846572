/** The word for so many: `plural(1, "row")` is "row", of all other counts it is "rows". */
export function plural(count: number, one: string, many: string = `${one}s`): string {
  return count === 1 ? one : many;
}
