/**
 * Decimal digits of floats, rounded half to even as CPython does, from the exact binary value.
 * JavaScript's toFixed and toExponential round ties up, and stop at 100 digits.
 */

/** No double has more digits than this after its point. */
const MAX_FRACTION = 1074;

/** Mantissa and exponent of a finite double: `mantissa * 2 ** exponent`, without its sign. */
function decompose(value: number): { readonly mantissa: bigint; readonly exponent: number } {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  const bits = view.getBigUint64(0);
  const biased = Number((bits >> 52n) & 0x7ffn);
  const fraction = bits & 0xfffffffffffffn;
  return biased === 0
    ? { mantissa: fraction, exponent: -1074 }
    : { mantissa: fraction | (1n << 52n), exponent: biased - 1075 };
}

/** `round(|value| * 10 ** power)`, half to even. */
function scaled(value: number, power: number): bigint {
  const { mantissa, exponent } = decompose(value);
  let numerator = mantissa;
  let denominator = 1n;
  if (power > 0) numerator *= 10n ** BigInt(power);
  else denominator = 10n ** BigInt(-power);
  if (exponent > 0) numerator <<= BigInt(exponent);
  else denominator <<= BigInt(-exponent);
  const quotient = numerator / denominator;
  const twice = (numerator % denominator) * 2n;
  const up = twice > denominator || (twice === denominator && quotient % 2n === 1n);
  return up ? quotient + 1n : quotient;
}

/** Digits of `|value|` with so many after the point. */
export function fixedDigits(value: number, precision: number): string {
  const places = Math.min(precision, MAX_FRACTION);
  const digits = scaled(value, places).toString().padStart(places + 1, "0");
  const whole = digits.slice(0, digits.length - places);
  if (precision === 0) return whole;
  return `${whole}.${digits.slice(digits.length - places)}${"0".repeat(precision - places)}`;
}

/** First so many digits of `|value|`, and its decimal exponent. */
export function leadingDigits(
  value: number,
  count: number,
): { readonly digits: string; readonly exponent: number } {
  if (value === 0) return { digits: "0".repeat(count), exponent: 0 };
  const most = Math.min(count, MAX_FRACTION);
  let exponent = Math.floor(Math.log10(Math.abs(value)));
  for (;;) {
    const digits = scaled(value, most - 1 - exponent).toString();
    if (digits.length === most) return { digits: digits + "0".repeat(count - most), exponent };
    exponent += digits.length > most ? 1 : -1;
  }
}

/** A float rounded to so many digits after its point, which may be negative. */
export function roundFloat(value: number, places: number): number {
  if (value === 0 || !Number.isFinite(value) || places > 400) return value;
  if (places < -400) return value < 0 ? -0 : 0;
  const digits = Number(`${scaled(value, places)}e${-places}`);
  return value < 0 ? -digits : digits;
}
