/**
 * Numbers as people read them, in progress lines, charts and reports.
 *
 * In: a number. Out: a short text without locale: the same on every machine.
 */

const COUNT_UNITS = ["k", "M", "B", "T"];
const BYTE_UNITS = ["KiB", "MiB", "GiB", "TiB", "PiB"];

/** A binary unit. */
export interface ByteUnit {
  readonly name: string;
  /** Bytes. */
  readonly size: number;
}

/**
 * A time as hours, minutes and seconds; `-:--:--` where it is not known (not finite or negative).
 *
 * @example
 * ```ts
 * import { formatDuration } from "./format_units.ts";
 * import assert from "node:assert/strict";
 *
 * assert.equal(formatDuration(3725), "1:02:05");
 * ```
 */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds) || seconds < 0) return "-:--:--";
  const whole = Math.round(seconds);
  const two = (value: number): string => String(value).padStart(2, "0");
  return `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
}

/**
 * A moment to the minute, in universal time: the same text wherever it is read.
 *
 * @param time as ISO 8601 or a date; empty where it is none.
 *
 * @example
 * ```ts
 * import { formatDate } from "./format_units.ts";
 * import assert from "node:assert/strict";
 *
 * assert.equal(formatDate("2026-11-28T12:41:38.123Z"), "2026-11-28 12:41 UTC");
 * ```
 */
export function formatDate(time: string | Date): string {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return "";
  return `${date.toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

/**
 * A count: in full up to 99,999, then with three digits and a unit.
 *
 * @example
 * ```ts
 * import { formatCount } from "./format_units.ts";
 * import assert from "node:assert/strict";
 *
 * assert.equal(formatCount(2_048), "2,048");
 * assert.equal(formatCount(596_049_920), "596M");
 * ```
 */
export function formatCount(count: number): string {
  if (!Number.isFinite(count)) return formatNonFinite(count);
  if (Math.abs(count) < 99_999.5) return groupThousands(Math.round(count));
  return scale(count, 1000, COUNT_UNITS, "");
}

/**
 * A size in binary units, with three digits.
 *
 * @example
 * ```ts
 * import { formatBytes } from "./format_units.ts";
 * import assert from "node:assert/strict";
 *
 * assert.equal(formatBytes(1_192_099_840), "1.11 GiB");
 * ```
 */
export function formatBytes(bytes: number): string {
  if (!Number.isFinite(bytes)) return formatNonFinite(bytes);
  if (Math.abs(bytes) < 1023.5) return `${Math.round(bytes)} B`;
  return scale(bytes, 1024, BYTE_UNITS, " ");
}

/** The unit in which {@linkcode formatBytes} writes a size. */
export function byteUnit(bytes: number): ByteUnit {
  const [, name = "B"] = formatBytes(bytes).split(" ");
  return { name, size: 1024 ** (BYTE_UNITS.indexOf(name) + 1) };
}

/**
 * A loss, a perplexity or a gradient norm: four decimals where they say something, else four
 * digits.
 *
 * @example
 * ```ts
 * import { formatLoss } from "./format_units.ts";
 * import assert from "node:assert/strict";
 *
 * assert.equal(formatLoss(1.23456), "1.2346");
 * assert.equal(formatLoss(0.0000123), "1.23e-5");
 * ```
 */
export function formatLoss(loss: number): string {
  if (!Number.isFinite(loss)) return formatNonFinite(loss);
  const size = Math.abs(loss);
  if (size === 0) return "0.0000";
  if (size < 0.001) return loss.toExponential(2);
  if (size < 100) return loss.toFixed(4);
  return size < 10_000 ? loss.toPrecision(5) : loss.toExponential(3);
}

/**
 * A learning rate, with three digits and an exponent.
 *
 * @example
 * ```ts
 * import { formatLearningRate } from "./format_units.ts";
 * import assert from "node:assert/strict";
 *
 * assert.equal(formatLearningRate(0.0001), "1.00e-4");
 * ```
 */
export function formatLearningRate(rate: number): string {
  if (!Number.isFinite(rate)) return formatNonFinite(rate);
  return rate === 0 ? "0" : rate.toExponential(2);
}

/**
 * A rate a second.
 *
 * @param unit what is counted.
 * @default unit "tok"
 *
 * @example
 * ```ts
 * import { formatRate } from "./format_units.ts";
 * import assert from "node:assert/strict";
 *
 * assert.equal(formatRate(1234.5), "1,235 tok/s");
 * assert.equal(formatRate(0.25, "step"), "0.25 step/s");
 * ```
 */
export function formatRate(perSecond: number, unit: string = "tok"): string {
  const small = Math.abs(perSecond) < 9.995 && perSecond !== 0;
  return `${small ? perSecond.toFixed(2) : formatCount(perSecond)} ${unit}/s`;
}

function formatNonFinite(value: number): string {
  return Number.isNaN(value) ? "NaN" : value > 0 ? "inf" : "-inf";
}

function groupThousands(value: number): string {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** Three digits and the unit that fits, so that rounding never shows 1000 of one (or 1024). */
function scale(value: number, base: number, units: readonly string[], space: string): string {
  let scaled = value / base;
  let unit = 0;
  while (Math.abs(scaled) >= base - 0.5 && unit < units.length - 1) {
    scaled /= base;
    unit++;
  }
  const size = Math.abs(scaled);
  const decimals = size < 9.995 ? 2 : size < 99.95 ? 1 : 0;
  return `${scaled.toFixed(decimals)}${space}${units[unit]}`;
}
