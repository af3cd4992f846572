/**
 * A Unigram model: the cut of a piece whose tokens have the highest score together.
 *
 * In: the parsed model of tokenizer.json. Out: a function from a piece to its ids.
 */

import { describeValue } from "../../../internal/json/describe_value.ts";
import { FieldTable } from "../../../internal/json/field_table.ts";
import { byteTokens } from "./bpe.ts";
import type { TokenModel } from "./token_model.ts";
import { finish, type Slices } from "./slices.ts";
import { refuse, type Step, stepField } from "./step_review.ts";
import { listVocabulary } from "./vocabulary.ts";

/** All fields of a Unigram model. */
export const UNIGRAM_FIELDS = new FieldTable({
  honoured: ["type", "vocab", "unk_id", "byte_fallback"],
});

const PLACE = "tokenizer.json: model";
// SentencePiece's: how much worse an unknown character is than the worst token.
const UNKNOWN_PENALTY = 10;
/** Characters between two pauses: some 1 ms. */
const SLICE = 2048;

interface TreeNode {
  readonly next: Map<number, TreeNode>;
  id?: number;
}

/** Reads a Unigram model. */
export function createUnigram(model: Step): TokenModel {
  if (!Array.isArray(model.vocab) || model.vocab.length === 0) {
    refuse(
      `${PLACE}.vocab`,
      `is ${describeValue(model.vocab)}, expected an array of tokens and scores`,
    );
  }
  const scores: number[] = [];
  let least = Infinity;
  const tokens = model.vocab.map((entry, index) => {
    const [token, score] = Array.isArray(entry) && entry.length === 2
      ? entry
      : [undefined, undefined];
    if (typeof score !== "number") {
      refuse(`${PLACE}.vocab[${index}]`, `is ${describeValue(entry)}, expected ["token", score]`);
    }
    scores.push(score);
    least = Math.min(least, score);
    return token;
  });
  const vocabulary = listVocabulary(tokens);
  const { unk_id } = model;
  const unkId = typeof unk_id === "number" ? unk_id : undefined;
  if (
    (unk_id ?? unkId) !== unkId || (unkId !== undefined && vocabulary.tokens[unkId] === undefined)
  ) {
    refuse(PLACE, `(Unigram): unk_id is ${describeValue(unk_id)}, expected the id of a token`);
  }
  const bytes = stepField(model, PLACE, "byte_fallback", "boolean", false)
    ? byteTokens(vocabulary.ids)
    : undefined;
  const root = tree(tokens as readonly string[]);
  const needUnk = (char: string): number => {
    if (unkId !== undefined) return unkId;
    throw new Error(
      `Cannot encode ${
        JSON.stringify(char)
      }: it is not in the vocabulary, which has no unknown token`,
    );
  };

  return {
    vocabulary,
    dropsUnknown: false,
    encode: (piece: string): readonly number[] => finish(encodeInSlices(piece)),
    encodeInSlices,
  };

  function* encodeInSlices(piece: string): Slices<readonly number[]> {
    const { length } = piece;
    const best = new Float64Array(length + 1);
    const from = new Int32Array(length + 1).fill(-1);
    const chosen = new Int32Array(length + 1);
    const offer = (start: number, end: number, score: number, id: number): void => {
      const total = best[start] + score;
      if (from[end] !== -1 && total <= best[end]) return;
      best[end] = total;
      from[end] = start;
      chosen[end] = id;
    };
    let steps = 0;
    for (let start = 0; start < length;) {
      const width = piece.codePointAt(start)! > 0xffff ? 2 : 1;
      let single = false;
      let node: TreeNode | undefined = root;
      for (let at = start; at < length; at++) {
        node = node.next.get(piece.charCodeAt(at));
        if (node === undefined) break;
        if (node.id === undefined) continue;
        offer(start, at + 1, scores[node.id], node.id);
        single ||= at + 1 - start === width;
      }
      if (!single) {
        const end = start + width;
        offer(start, end, least - UNKNOWN_PENALTY, needUnk(piece.slice(start, end)));
      }
      start += width;
      if (++steps % SLICE === 0) yield;
    }
    return collect(piece, from, chosen);
  }

  /** Walks back from the end; unknown characters in a row are one token. */
  function collect(piece: string, from: Int32Array, chosen: Int32Array): readonly number[] {
    const found: number[][] = [];
    for (let end = piece.length; end > 0;) {
      let start = from[end];
      if (chosen[end] !== unkId) {
        found.push([chosen[end]]);
      } else {
        while (start > 0 && chosen[start] === unkId) start = from[start];
        const text = piece.slice(start, end);
        // The fused characters may be a token that lost by its score.
        const id = vocabulary.ids.get(text);
        found.push(id !== undefined ? [id] : [...bytes?.(text) ?? [unkId]]);
      }
      end = start;
    }
    return found.reverse().flat();
  }
}

function tree(tokens: readonly string[]): TreeNode {
  const root: TreeNode = { next: new Map() };
  for (const [id, token] of tokens.entries()) {
    if (token === "") continue;
    let node = root;
    for (let at = 0; at < token.length; at++) {
      const unit = token.charCodeAt(at);
      let next = node.next.get(unit);
      if (next === undefined) node.next.set(unit, next = { next: new Map() });
      node = next;
    }
    node.id = id;
  }
  return root;
}
