/**
 * Whether token ids give their text back.
 *
 * In: a text and the ids that it was encoded to. Out: nothing, or where the decoded text differs: a
 * model that is trained on such ids learns another text.
 */

import type { Tokenizer } from "../text/tokenizer.ts";

/** What is asked of a tokenizer. */
type Decoder = Pick<Tokenizer, "decode" | "tokenBytes" | "dropsFirstBlank">;

/** The bytes of a tokenizer's tokens, looked up once each. */
const known = new WeakMap<Decoder, (Uint8Array | undefined)[]>();
const encoder = new TextEncoder();
let scratch = new Uint8Array();

/** Unicode forms that normalizers of tokenizers bring text into, the lossless ones first. */
const FORMS = ["NFC", "NFKC"] as const;

/**
 * The first place where decoded ids differ from their text, in a few words; `undefined` where they
 * are the same, or as alike as the tokenizer's Unicode form allows.
 */
export function findTextLoss(
  text: string,
  ids: Int32Array,
  tokenizer: Decoder,
): string | undefined {
  if (hasBytesOf(text, ids, tokenizer)) return undefined;
  const decoded = tokenizer.decode(ids);
  for (const form of [undefined, ...FORMS]) {
    const [wanted, got] = form === undefined
      ? [text, decoded]
      : [text.normalize(form), decoded.normalize(form)];
    if (wanted === got) return undefined;
    // SentencePiece writes a blank before the first word.
    if (tokenizer.dropsFirstBlank && (got === wanted.replace(/^ /, "") || got === ` ${wanted}`)) {
      return undefined;
    }
  }
  return describe(text, decoded);
}

/** Whether the tokens' bytes end to end are the text's: the quick way, and nearly always true. */
function hasBytesOf(text: string, ids: Int32Array, tokenizer: Decoder): boolean {
  let bytesOf = known.get(tokenizer);
  if (bytesOf === undefined) known.set(tokenizer, bytesOf = []);
  // A UTF-16 unit has 3 bytes at most.
  const most = 3 * text.length;
  if (scratch.length < most) scratch = new Uint8Array(most);
  const { written } = encoder.encodeInto(text, scratch);
  let at = 0;
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i];
    let bytes = bytesOf[id];
    if (bytes === undefined) {
      try {
        bytes = tokenizer.tokenBytes(id);
      } catch {
        // Neither byte-level nor of SentencePiece's kind.
        return false;
      }
      bytesOf[id] = bytes;
    }
    for (let j = 0; j < bytes.length; j++) if (scratch[at + j] !== bytes[j]) return false;
    at += bytes.length;
  }
  return at === written;
}

/** Where two texts that differ part. */
function describe(text: string, decoded: string): string {
  let at = 0;
  while (at < text.length && text[at] === decoded[at]) at++;
  const near = (whole: string): string =>
    JSON.stringify(whole.slice(Math.max(0, at - 8), at + 16).toWellFormed());
  return `at character ${at} ${near(text)} becomes ${near(decoded)}`;
}
