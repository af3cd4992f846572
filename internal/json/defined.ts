/** Records without what is undefined, so that they can be laid over others. */

/** The record without the fields that are undefined. */
export function defined<T extends object>(fields: T): T {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined),
  ) as T;
}
