/**
 * The unit of an axis of bytes.
 *
 * In: the largest size on it. Out: the binary unit that it is read in, so that ticks are round.
 */

import { formatBytes } from "./format_units.ts";

/** A binary unit. */
export interface ByteUnit {
  /** Such as "GiB". */
  readonly name: string;
  /** Bytes of one. */
  readonly size: number;
}

const NAMES = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** The unit in which {@linkcode formatBytes} writes a size. */
export function byteUnit(largest: number): ByteUnit {
  const [, name = "B"] = formatBytes(largest).split(" ");
  return { name, size: 1024 ** NAMES.indexOf(name) };
}
