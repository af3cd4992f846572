/**
 * The raw bytes behind each token of a vocabulary.
 *
 * In: the `decoder` of a tokenizer.json. Out: a function from a token's text to its bytes, and
 * whether decoding drops one blank at the start of a text.
 */

import { CHAR_TO_BYTE } from "./gpt2_bytes.ts";
import { isRecord } from "../json/is_record.ts";

/** How tokens of one tokenizer turn into bytes. */
export interface TokenByteCodec {
  /** The bytes of one token of the vocabulary (not of an added token). */
  readonly bytesOf: (token: string) => Uint8Array;
  /** Whether a decoded text loses one blank at its start, as SentencePiece's do. */
  readonly dropsFirstBlank: boolean;
}

const encoder = new TextEncoder();

/**
 * Reads how a tokenizer's tokens turn into bytes: byte-level (GPT-2, Qwen, Llama 3, SmolLM) or
 * SentencePiece (`▁` for a blank, `<0xNN>` for a byte).
 *
 * @param decoder the `decoder` of tokenizer.json.
 * @returns `undefined` for any other kind.
 */
export function tokenByteCodec(decoder: unknown): TokenByteCodec | undefined {
  const steps = decoderSteps(decoder);
  if (steps.some(({ type }) => type === "ByteLevel")) {
    return { bytesOf: byteLevelBytes, dropsFirstBlank: false };
  }
  const metaspace = steps.find(({ type }) => type === "Metaspace");
  const replaces = steps.some(({ type, pattern, content }) =>
    type === "Replace" && content === " " && isRecord(pattern) && pattern.String === "▁"
  );
  if (metaspace === undefined && !replaces) return undefined;
  const fallback = steps.some(({ type }) => type === "ByteFallback");
  const drops =
    steps.some(({ type, content, start }) =>
      type === "Strip" && content === " " && typeof start === "number" && start > 0
    ) || (metaspace !== undefined && metaspace.prepend_scheme !== "never" &&
      metaspace.add_prefix_space !== false);
  return { bytesOf: (token) => pieceBytes(token, fallback), dropsFirstBlank: drops };
}

function decoderSteps(decoder: unknown): Record<string, unknown>[] {
  if (!isRecord(decoder)) return [];
  if (decoder.type !== "Sequence") return [decoder];
  return Array.isArray(decoder.decoders) ? decoder.decoders.filter(isRecord) : [];
}

function byteLevelBytes(token: string): Uint8Array {
  const bytes: number[] = [];
  for (const char of token) {
    const byte = CHAR_TO_BYTE.get(char);
    // A token outside the alphabet was added to the vocabulary by hand: it stands for its own text.
    if (byte === undefined) return encoder.encode(token);
    bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}

function pieceBytes(token: string, fallback: boolean): Uint8Array {
  const hex = fallback ? /^<0x([0-9A-Fa-f]{2})>$/.exec(token) : null;
  return hex === null
    ? encoder.encode(token.replaceAll("▁", " "))
    : Uint8Array.of(parseInt(hex[1], 16));
}
