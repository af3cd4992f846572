/**
 * A format that replies are held to, by a vocabulary.
 *
 * In: a grammar and a tokenizer. Out: for each reply a constraint. Thinking is free: the format holds
 * for the answer after it. Which tokens may come next is found once for each state of the grammar and
 * shared by all replies of the format.
 */

import type { Tokenizer } from "../../data/text/tokenizer.ts";
import type { TokenConstraint } from "../sampling/token_constraint.ts";
import type { Language } from "./languages.ts";
import type { Grammar } from "./schema_language.ts";
import type { TokenSet, TokenTrie } from "./token_trie.ts";

/** Most sets of tokens that are kept: of 152,000 tokens a set takes 19 KB. */
const MAX_SETS = 512;
const CLOSE = "</think>";

/** What {@linkcode ReplyFormat.constraint} is made for. */
export interface ConstraintOptions {
  /** The tokens that end the reply. */
  readonly ends: ReadonlySet<number>;
  /** What the reply goes on with: a turn, its thinking or its answer. */
  readonly state: "start" | "thinking" | "answer";
  /** Whether the reply may begin with thinking. */
  readonly mayThink: boolean;
}

/** Holds replies to a grammar. */
export class ReplyFormat {
  readonly #grammar: Grammar;
  readonly #trie: TokenTrie;
  readonly #tokenizer: Tokenizer;
  readonly #sets = new Map<Language, TokenSet>();

  /** @param trie the vocabulary of the tokenizer */
  constructor(grammar: Grammar, trie: TokenTrie, tokenizer: Tokenizer) {
    this.#grammar = grammar;
    this.#trie = trie;
    this.#tokenizer = tokenizer;
  }

  /** States of the grammar that are known. */
  get states(): number {
    return this.#grammar.languages.size;
  }

  /** The constraint of one reply. */
  constraint({ ends, state, mayThink }: ConstraintOptions): TokenConstraint {
    const { languages, root } = this.#grammar;
    const tokenizer = this.#tokenizer;
    const open = mayThink ? tokenizer.tokenToId("<think>") : undefined;
    const close = tokenizer.tokenToId(CLOSE);
    let place = state;
    let left = root;
    // Of a tokenizer without tokens for the tags.
    let thought = "";
    return {
      apply: (scores): void => {
        if (place !== "thinking") {
          const kept = place === "start" && open !== undefined ? scores[open] : undefined;
          const last = left.nullable ? [...ends].map((id) => [id, scores[id]] as const) : [];
          ruleOut(scores, this.#allowed(left));
          if (kept !== undefined) scores[open!] = kept;
          for (const [id, score] of last) if (id < scores.length) scores[id] = score;
          return;
        }
        for (const id of ends) if (id < scores.length) scores[id] = -Infinity;
      },
      push: (id): void => {
        if (place === "start") place = id === open ? "thinking" : "answer";
        else if (place === "thinking") {
          if (close === undefined) thought = (thought + tokenizer.decode([id])).slice(-64);
          if (id === close || (close === undefined && thought.includes(CLOSE))) place = "answer";
          return;
        }
        if (place === "thinking") return;
        for (const byte of tokenizer.tokenBytes(id)) left = languages.after(left, byte);
      },
      get finished(): boolean {
        return left === languages.empty;
      },
    };
  }

  #allowed(language: Language): TokenSet {
    let set = this.#sets.get(language);
    if (set) return set;
    if (this.#sets.size === MAX_SETS) this.#sets.clear();
    set = this.#trie.allowed(this.#grammar.languages, language);
    this.#sets.set(language, set);
    return set;
  }
}

function ruleOut(scores: Float32Array, allowed: TokenSet): void {
  for (let word = 0; word < allowed.length; word++) {
    const bits = allowed[word];
    // All of them, as within a string: the most frequent case.
    if (bits === 0xffffffff) continue;
    const start = word * 32;
    const end = Math.min(start + 32, scores.length);
    for (let id = start; id < end; id++) {
      if ((bits >>> (id - start) & 1) === 0) scores[id] = -Infinity;
    }
  }
  // Ids past the tokenizer's, to which vocabularies are padded.
  scores.fill(-Infinity, Math.min(allowed.length * 32, scores.length));
}
