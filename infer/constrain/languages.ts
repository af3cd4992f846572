/**
 * Sets of byte strings, and what is left of one after its first byte.
 *
 * In: bytes, and sets put together by sequence, choice, repetition and difference. Out: for a set and
 * a byte the set of what may follow: Brzozowski's derivative, https://doi.org/10.1145/321239.321249.
 * Equal sets are mostly one object, so that an automaton comes of them as it is walked; a set may
 * refer to itself, which makes its automaton as deep as the text nests.
 */

/** A set of byte strings. */
export interface Language {
  /** Its number among those of one {@linkcode Languages}. */
  readonly id: number;
  /** Whether it has the empty string. */
  readonly nullable: boolean;
}

/** A range of bytes, both included. */
export type ByteRange = readonly [first: number, last: number];

type Kind =
  | { readonly type: "none" | "empty" }
  | { readonly type: "bytes"; readonly set: Uint8Array }
  | { readonly type: "sequence" | "difference"; readonly left: Node; readonly right: Node }
  | { readonly type: "choice"; readonly parts: readonly Node[] }
  | {
    readonly type: "repetition";
    readonly part: Node;
    readonly least: number;
    readonly most: number;
  }
  | { readonly type: "later"; readonly make: () => Language }
  | { readonly type: "apart"; readonly part: Node };

interface Node extends Language {
  readonly kind: Kind;
  /** Ids of what is left after each byte; -1 where it is not known yet. */
  next: Int32Array | undefined;
}

/** Most sets of one automaton: a reply of some thousand tokens needs some ten thousand. */
const MAX_SETS = 250_000;
/** Most tables of a KiB each; they are made anew where they are dropped. */
const MAX_TABLES = 16_384;

/** Makes languages; each belongs to the object that made it. */
export class Languages {
  readonly #nodes: Node[] = [];
  readonly #known = new Map<string, Node>();
  /** Languages of one byte alone. */
  readonly #single: Language[] = [];
  #tables = 0;

  /** No string at all. */
  readonly none: Language = this.#intern("none", { type: "none" }, false);
  /** The empty string alone. */
  readonly empty: Language = this.#intern("empty", { type: "empty" }, true);

  /** Languages made so far. */
  get size(): number {
    return this.#nodes.length;
  }

  /** One byte of some ranges. */
  bytes(...ranges: readonly ByteRange[]): Language {
    const set = new Uint8Array(256);
    for (const [first, last] of ranges) set.fill(1, first, last + 1);
    return this.#intern(`b${set.join("")}`, { type: "bytes", set }, false);
  }

  /** One text. */
  text(text: string): Language {
    const bytes = new TextEncoder().encode(text);
    return bytes.reduceRight((rest, byte) => {
      const one = this.#single[byte] ??= this.bytes([byte, byte]);
      return this.#pair(one, rest);
    }, this.empty);
  }

  /** A string of each part, one after another. */
  sequence(...parts: readonly Language[]): Language {
    return parts.reduceRight((right, left) => this.#pair(left, right), this.empty);
  }

  #pair(left: Language, right: Language): Language {
    if (left === this.none || right === this.none) return this.none;
    if (left === this.empty) return right;
    if (right === this.empty) return left;
    const { kind } = this.#node(left);
    // Always to the right, so that equal sequences are one.
    if (kind.type === "sequence") return this.#pair(kind.left, this.#pair(kind.right, right));
    return this.#intern(`s${left.id},${right.id}`, {
      type: "sequence",
      left: this.#node(left),
      right: this.#node(right),
    }, left.nullable && right.nullable);
  }

  /** A string of any part. */
  choice(...parts: readonly Language[]): Language {
    const all = new Set(parts.flatMap((part): readonly Language[] => {
      const { kind } = this.#node(part);
      return kind.type === "choice" ? kind.parts : [part];
    }));
    all.delete(this.none);
    const sorted = [...all].sort((a, b) => a.id - b.id).map((each) => this.#node(each));
    if (sorted.length === 0) return this.none;
    if (sorted.length === 1) return sorted[0];
    const key = `c${sorted.map(({ id }) => id).join()}`;
    const nullable = sorted.some((each) => each.nullable);
    return this.#intern(key, { type: "choice", parts: sorted }, nullable);
  }

  /** The same strings as one part of a choice, so that long choices in one another stay short. */
  apart(part: Language): Language {
    return this.#intern(`a${part.id}`, { type: "apart", part: this.#node(part) }, part.nullable);
  }

  /** The part or nothing. */
  optional(part: Language): Language {
    return this.choice(this.empty, part);
  }

  /** From `least` to `most` strings of a part, which does not have the empty one. */
  repetition(part: Language, least = 0, most = Infinity): Language {
    if (most === 0 || part === this.none) return least > 0 ? this.none : this.empty;
    if (part.nullable) throw new TypeError("Cannot repeat what may be empty");
    const kind: Kind = { type: "repetition", part: this.#node(part), least, most };
    return this.#intern(`r${part.id},${least},${most}`, kind, least === 0);
  }

  /** The strings of one language that another one has not. */
  difference(left: Language, right: Language): Language {
    if (right === this.none || left === this.none) return left;
    return this.#intern(`d${left.id},${right.id}`, {
      type: "difference",
      left: this.#node(left),
      right: this.#node(right),
    }, left.nullable && !right.nullable);
  }

  /** What `make` gives when it is first needed, such as a language around this one; never empty. */
  later(make: () => Language): Language {
    return this.#intern(`l${this.#nodes.length}`, { type: "later", make }, false);
  }

  /** A language by its number. */
  byId(id: number): Language {
    return this.#nodes[id];
  }

  /** Numbers of what may follow each byte, as far as they are known; -1 for others. */
  known(language: Language): Int32Array {
    const node = this.#node(language);
    if (node.next) return node.next;
    if (this.#tables === MAX_TABLES) {
      for (const each of this.#nodes) each.next = undefined;
      this.#tables = 0;
    }
    this.#tables++;
    return node.next = new Int32Array(256).fill(-1);
  }

  /** What may follow a byte. */
  after(language: Language, byte: number): Language {
    const node = this.#node(language);
    const known = node.next?.[byte] ?? -1;
    if (known >= 0) return this.#nodes[known];
    const found = this.#derive(node.kind, byte);
    this.known(node)[byte] = found.id;
    return found;
  }

  #derive(kind: Kind, byte: number): Language {
    if (kind.type === "bytes") return kind.set[byte] === 1 ? this.empty : this.none;
    if (kind.type === "later") return this.after(kind.make(), byte);
    if (kind.type === "apart") return this.after(kind.part, byte);
    if (kind.type === "choice") {
      return this.choice(...kind.parts.map((part) => this.after(part, byte)));
    }
    if (kind.type === "repetition") {
      const { part, least, most } = kind;
      const rest = this.repetition(part, Math.max(0, least - 1), most - 1);
      return this.#pair(this.after(part, byte), rest);
    }
    if (kind.type === "difference") {
      return this.difference(this.after(kind.left, byte), this.after(kind.right, byte));
    }
    if (kind.type === "sequence") {
      const first = this.#pair(this.after(kind.left, byte), kind.right);
      return kind.left.nullable ? this.choice(first, this.after(kind.right, byte)) : first;
    }
    return this.none;
  }

  #node({ id }: Language): Node {
    return this.#nodes[id];
  }

  #intern(key: string, kind: Kind, nullable: boolean): Node {
    const known = this.#known.get(key);
    if (known) return known;
    if (this.#nodes.length === MAX_SETS) {
      throw new RangeError(`Cannot hold a reply to a format of more than ${MAX_SETS} states`);
    }
    const node: Node = { id: this.#nodes.length, nullable, kind, next: undefined };
    this.#nodes.push(node);
    this.#known.set(key, node);
    return node;
  }
}
