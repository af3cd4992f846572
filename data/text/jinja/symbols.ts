/**
 * Which variable a name means: a port of jinja2.idtracking 3.1.6.
 *
 * Jinja compiles a template to Python functions, and names to local variables `l_LEVEL_NAME`. That
 * decides what a loop sees of a variable that is set outside, before or after it, in a branch, in a
 * macro. @huggingface/jinja 0.5.11 looks names up at run time, which differs where a name is set in
 * a loop or a block and read again.
 */

import { TemplateLimitError } from "./errors.ts";

/** How a variable gets its value where its scope begins. */
export type Load =
  | { readonly kind: "parameter" }
  | { readonly kind: "resolve"; readonly name: string }
  | { readonly kind: "alias"; readonly target: string }
  | { readonly kind: "undefined" };

/**
 * Names that are copied for the branches of one template: templates in use copy some 10,000, and
 * the copies of a hostile one grow with the square of its size.
 */
const MAX_COPIES = 300_000;

/** The names of one scope. */
export class Symbols {
  /** How deep the scope stands; part of its variables' names. */
  readonly level: number;
  /** The scope around it. */
  readonly parent: Symbols | undefined;
  /** Variable of each name. */
  refs = new Map<string, string>();
  /** How each variable is set where the scope begins. */
  loads = new Map<string, Load>();
  /** Names that are stored. */
  stores = new Set<string>();

  /** Names that may still be copied for branches. */
  #copies: { left: number };

  /** Takes the scope around it. */
  constructor(parent?: Symbols) {
    this.parent = parent;
    this.#copies = parent === undefined ? { left: MAX_COPIES } : parent.#copies;
    this.level = parent === undefined ? 0 : parent.level + 1;
  }

  /** A copy for a branch, which {@linkcode branchUpdate} takes back. */
  copy(): Symbols {
    const copy = new Symbols(this.parent);
    copy.#copies = this.#copies;
    this.#charge(this.refs.size);
    copy.refs = new Map(this.refs);
    copy.loads = new Map(this.loads);
    copy.stores = new Set(this.stores);
    return copy;
  }

  /** The variable of a name, if any scope has one. */
  findRef(name: string): string | undefined {
    return this.refs.get(name) ?? this.parent?.findRef(name);
  }

  /** The variable of a name that was visited. */
  ref(name: string): string {
    const ref = this.findRef(name);
    if (ref === undefined) throw new Error(`No variable was made for the name ${name}`);
    return ref;
  }

  /** How a variable gets its value. */
  findLoad(ref: string): Load | undefined {
    return this.loads.get(ref) ?? this.parent?.findLoad(ref);
  }

  /** A name is read. */
  load(name: string): void {
    if (this.findRef(name) === undefined) this.#define(name, { kind: "resolve", name });
  }

  /** A name is set. */
  store(name: string): void {
    this.stores.add(name);
    if (this.refs.has(name)) return;
    const target = this.parent?.findRef(name);
    this.#define(name, target === undefined ? { kind: "undefined" } : { kind: "alias", target });
  }

  /** A name is a parameter, or a loop's target. */
  declareParameter(name: string): string {
    this.stores.add(name);
    return this.#define(name, { kind: "parameter" });
  }

  /** Takes back the copies of branches, of which one or none is executed. */
  branchUpdate(branches: readonly Symbols[]): void {
    const stores = new Set<string>();
    for (const branch of branches) {
      for (const name of branch.stores) if (!this.stores.has(name)) stores.add(name);
    }
    for (const { refs, loads, stores: stored } of branches) {
      this.#charge(refs.size);
      for (const [name, ref] of refs) this.refs.set(name, ref);
      for (const [ref, load] of loads) this.loads.set(ref, load);
      for (const name of stored) this.stores.add(name);
    }
    for (const name of stores) {
      const target = this.parent?.findRef(name);
      this.loads.set(
        this.ref(name),
        target === undefined ? { kind: "resolve", name } : { kind: "alias", target },
      );
    }
  }

  #charge(names: number): void {
    this.#copies.left -= names;
    if (this.#copies.left < 0) {
      throw new TemplateLimitError(
        "the template sets more names in more branches than any chat needs",
      );
    }
  }

  #define(name: string, load: Load): string {
    const ref = `l_${this.level}_${name}`;
    this.refs.set(name, ref);
    this.loads.set(ref, load);
    return ref;
  }
}
