/**
 * Inputs that are nearly right. In: a text, a JSON value or bytes, and choices. Out: a copy with some
 * faults: those that hands, disks and attackers make.
 */

import type { Random } from "./random.ts";

/** Values that readers have stumbled over: types, limits of integers and floats, names, depth. */
const PLAIN: readonly unknown[] = [
  ...[null, true, false, "", "\0", "__proto__", "../x", "/dev/zero", "NaN", "\ud800", [], {}],
  ...[
    -1,
    0,
    1,
    1.5,
    -0,
    7,
    255,
    2 ** 24,
    2 ** 31,
    2 ** 31 - 1,
    2 ** 32 + 1,
    2 ** 53,
    1e308,
    5e-324,
  ],
];
const VALUES: readonly (() => unknown)[] = [
  ...PLAIN.map((value) => () => structuredClone(value)),
  () => "x".repeat(70_000),
  () => Array.from({ length: 5000 }, (_, i) => i),
  () => nested(200, (inside) => [inside]),
  () => nested(200, (inside) => ({ a: inside })),
  () => ({ length: 1e9 }),
  () => ({ toString: 1, constructor: null }),
];

function nested(depth: number, wrap: (inside: unknown) => unknown): unknown {
  return depth === 0 ? 1 : wrap(nested(depth - 1, wrap));
}

/** Pieces of Jinja, of patterns and of JSON. */
const PIECES = [
  ...["{% for i in range(9) %}", "{% endfor %}", "{% if x %}", "{% endif %}", "{{ ", " }}", "{#"],
  ...["range(1000000000)", "messages", "loop.index", "namespace(x=1)", "|tojson", "|length", " * "],
  ...[
    '"',
    "\\",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "null",
    "\n",
    "\r\n",
    "\u2028",
    "\ufeff",
    "<|im_end|>",
  ],
  ...["(?:a+)+", "(a|a)*", "\\p{L}", ".*", "{2,}", "(?=", "[^", "é", "医", "😀", "\0"],
] as const;

/** Changes a text in one to four places. */
export function mutateText(text: string, random: Random): string {
  let changed = text;
  for (let times = 1 + random.below(4); times > 0; times--) changed = mutateOnce(changed, random);
  return changed;
}

function mutateOnce(text: string, random: Random): string {
  const at = random.below(text.length + 1);
  const end = Math.min(text.length, at + 1 + random.below(random.oneIn(4) ? 400 : 12));
  switch (random.below(7)) {
    case 0:
      return text.slice(0, at) + text.slice(end);
    case 1:
      return text.slice(0, end) + text.slice(at);
    case 2:
      return text.slice(0, at) + random.pick(PIECES) + text.slice(at);
    case 3:
      return text.slice(0, at) + random.pick(PIECES) + text.slice(end);
    case 4:
      return text.slice(0, at);
    case 5: {
      // The next number.
      const rest = text.slice(at).replace(/\d+/, () => random.pick(["0", "9", "99", "1e9", "-1"]));
      return text.slice(0, at) + rest;
    }
    default:
      return text.slice(0, at) + String.fromCharCode(random.below(random.oneIn(3) ? 65_536 : 128)) +
        text.slice(at + 1);
  }
}

/** Changes a JSON value in one to three places; it may become any other value. */
export function mutateJson(value: unknown, random: Random): unknown {
  const root = { value: structuredClone(value) };
  for (let times = 1 + random.below(3); times > 0; times--) {
    const places: [Record<string, unknown>, string][] = [];
    collect(root, places);
    const [holder, key] = random.pick(places);
    switch (random.below(6)) {
      case 0:
        if (holder !== root) delete holder[key];
        break;
      case 1: {
        const [other, otherKey] = random.pick(places);
        holder[key] = structuredClone(other[otherKey]);
        break;
      }
      case 2:
        holder[random.pick(["extra", "__proto__x", "type", "toString", key + "s"])] = random.pick(
          VALUES,
        )();
        break;
      case 3:
        if (typeof holder[key] === "string") holder[key] = mutateText(holder[key], random);
        else if (typeof holder[key] === "number") {
          holder[key] = random.pick([1, -1, 1024, 1e6, 0.5]) * holder[key];
        } else holder[key] = [holder[key]];
        break;
      default:
        holder[key] = random.pick(VALUES)();
    }
  }
  return root.value;
}

/** Places of a value and of all in it; of a long list some. */
function collect(holder: object, places: [Record<string, unknown>, string][], depth = 0): void {
  for (const key of Object.keys(holder).slice(0, 300)) {
    const record = holder as Record<string, unknown>;
    places.push([record, key]);
    const inside = record[key];
    if (typeof inside === "object" && inside !== null && depth < 20) {
      collect(inside, places, depth + 1);
    }
  }
}

/** A JSON text with faults: of the value mostly, or of the text, as of two equal keys. */
export function mutateJsonText(value: unknown, random: Random): string {
  if (random.below(10) < 7) return JSON.stringify(mutateJson(value, random)) ?? "";
  const text = JSON.stringify(value);
  if (random.oneIn(3)) return text.replace(/^\{("[^"]*":)/, (_, key) => `{${key}null,${key}`);
  return mutateText(text, random);
}

/** Changes bytes in one to three places: flipped bits, runs of zeros, cuts, other lengths. */
export function mutateBytes(bytes: Uint8Array, random: Random): Uint8Array {
  let changed = bytes.slice();
  for (let times = 1 + random.below(3); times > 0; times--) {
    const at = random.below(changed.length || 1);
    switch (random.below(6)) {
      case 0:
        changed = changed.slice(0, at);
        break;
      case 1:
        changed.fill(random.pick([0, 255]), at, at + 1 + random.below(64));
        break;
      case 2:
        changed = joined(changed.subarray(0, at), changed.subarray(at + 1));
        break;
      case 3:
        changed = joined(changed, changed.subarray(0, random.below(64)));
        break;
      case 4:
        // A length or an offset, wherever it is.
        if (changed.length >= 8) {
          const view = new DataView(changed.buffer);
          view.setInt32(
            random.below(changed.length - 3),
            random.pick([-1, 0, 1, 2 ** 31 - 1, -(2 ** 31)]),
            true,
          );
        }
        break;
      default:
        if (changed.length > 0) changed[at] ^= 1 << random.below(8);
    }
  }
  return changed;
}

function joined(head: Uint8Array, tail: Uint8Array): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(head.length + tail.length);
  whole.set(head);
  whole.set(tail, head.length);
  return whole;
}
