/**
 * Dropout masks from seeds. In: a rate and what names the mask (seed of the batch, layer, linear
 * layer). Out: a byte an element, 1 where it is kept, or the numbers that a device makes its masks
 * of. Nothing else is remembered, so backward makes
 * a mask again instead of keeping it, and a resumed run makes the same ones.
 */

const RANGE = 1 << 16;
const INCREMENT = 0x9e3779b9;
const WORD = 4;

/**
 * Fills the mask: each element is 0 with probability `rate`, to within 2⁻¹⁶.
 *
 * @param mask [tokens, width], row after row
 * @param key what tells this mask from all others
 * @param places where in the batch each row's token stands, so that it gets the same draws in whatever
 *   grid it is; in order from 0 without
 */
export function fillKeepMask(
  mask: Uint8Array,
  rate: number,
  key: readonly (number | string)[],
  places?: Int32Array,
): void {
  const dropped = Math.round(rate * RANGE);
  const start = hash(key.join());
  if (!places) return fillDraws(mask, { start, dropped, from: 0 });
  const width = mask.length / places.length;
  for (let row = 0, end = 0; row < places.length; row = end) {
    end = row + 1;
    while (end < places.length && places[end] === places[row] + end - row) end++;
    const part = mask.subarray(row * width, end * width);
    fillDraws(part, { start, dropped, from: places[row] * width });
  }
}

/** Part of a stream, from element `from` on: of each draw the lower half decides one, the upper the next. */
function fillDraws(
  part: Uint8Array,
  { start, dropped, from }: {
    readonly start: number;
    readonly dropped: number;
    readonly from: number;
  },
): void {
  // SplitMix32 (Steele, Lea and Flood 2014, with Murmur3's finalizer): one addition a draw, and
  // streams of different keys start at unrelated places.
  let state = (start + Math.imul(from >>> 1, INCREMENT)) | 0;
  let i = -(from & 1);
  const pairs = (end: number): void => {
    for (; i < end; i += 2) {
      state = (state + INCREMENT) | 0;
      const draw = mix(state);
      if (i >= 0) part[i] = kept(draw & 0xffff, dropped);
      if (i + 1 < part.length) part[i + 1] = kept(draw >>> 16, dropped);
    }
  };
  while (i < part.length && (i < 0 || (part.byteOffset + i) % WORD !== 0)) {
    pairs(Math.min(i + 2, part.length));
    // Pairs that begin at odd bytes never make up a word.
    if ((part.byteOffset + i) % 2 !== 0) return pairs(part.length);
  }
  if (i >= part.length) return;
  // Two draws a word and no branch: half the time of a byte at a time.
  const words = new Uint32Array(part.buffer, part.byteOffset + i, (part.length - i) >>> 2);
  for (let word = 0; word < words.length; word++) {
    const first = mix((state + INCREMENT) | 0);
    state = (state + 2 * INCREMENT) | 0;
    const second = mix(state);
    words[word] = kept(first & 0xffff, dropped) | kept(first >>> 16, dropped) << 8 |
      kept(second & 0xffff, dropped) << 16 | kept(second >>> 16, dropped) << 24;
  }
  i += WORD * words.length;
  pairs(part.length);
}

/** 1 where a draw is not below what is dropped, else 0. */
function kept(draw: number, dropped: number): number {
  return (dropped - 1 - draw) >>> 31;
}

/**
 * Odd 32-bit numbers at random, for graphs that make their masks from products of them.
 *
 * @param key what tells these numbers from all others
 * @param places which of them to give; the first `count` without
 */
export function randomOdd(
  count: number,
  key: readonly (number | string)[],
  places?: Int32Array,
): Int32Array<ArrayBuffer> {
  const state = hash(key.join());
  return Int32Array.from({ length: count }, (_, i) => {
    const draw = (places ? places[i] : i) + 1;
    return mix((state + Math.imul(draw, INCREMENT)) | 0) | 1;
  });
}

function mix(value: number): number {
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return value ^ (value >>> 16);
}

/** FNV-1a over the key's characters, mixed. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  }
  return mix(value);
}
