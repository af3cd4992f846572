/**
 * The raw bytes behind each token of a vocabulary.
 *
 * In: the `decoder` of a tokenizer.json. Out: a function from a token's text to its bytes, and how
 * many blanks decoding drops at the start of a text.
 */

import { byteLevelBytes, byteOfToken } from "./tokenize/token_decoder.ts";
import { isRecord } from "../../internal/json/is_record.ts";

/** How tokens of one tokenizer turn into bytes. */
export interface TokenByteCodec {
  /** The bytes of one token. */
  readonly bytesOf: (token: string) => Uint8Array;
  /** The bytes of one token that is the first of a text. */
  readonly firstBytesOf: (token: string) => Uint8Array;
  /** Whether a token is one of the 256 bytes, `<0xNN>`; a row of them is text only as a whole. */
  readonly isByte: (token: string) => boolean;
  /** Whether a decoded text loses one blank at its start, as SentencePiece's do. */
  readonly dropsFirstBlank: boolean;
}

const encoder = new TextEncoder();

/**
 * Reads how a tokenizer's tokens turn into bytes: byte-level (GPT-2, Qwen, Llama 3, SmolLM) or
 * SentencePiece (`▁` for a blank, `<0xNN>` for a byte).
 *
 * @param decoder the `decoder` of tokenizer.json.
 * @returns `undefined` for any other kind, whose tokens have no bytes of their own.
 */
export function tokenByteCodec(decoder: unknown): TokenByteCodec | undefined {
  const steps = decoderSteps(decoder);
  const types = steps.map(({ type }) => type);
  const has = (type: string): boolean => types.includes(type);
  if (has("ByteLevel")) {
    if (types.some((type) => type !== "ByteLevel" && type !== "Fuse")) return undefined;
    return {
      bytesOf: byteLevelBytes,
      firstBytesOf: byteLevelBytes,
      isByte: () => false,
      dropsFirstBlank: false,
    };
  }
  if (has("Metaspace")) return metaspaceCodec(steps);
  const [strip] = steps.filter(({ type }) => type === "Strip");
  const fits = steps.every((step) =>
    ["ByteFallback", "Fuse"].includes(String(step.type)) || isBlank(step) || step === strip
  );
  if (!fits || !steps.some(isBlank)) return undefined;
  // Only of a text that is one piece already does Strip take a blank once.
  const strips = strip !== undefined && strip.content === " " && strip.start === 1 &&
    strip.stop === 0 && types.indexOf("Fuse") !== -1 &&
    types.indexOf("Fuse") < types.indexOf("Strip");
  if (strip !== undefined && !strips && strip.start !== 0) return undefined;
  const isByte = byteTest(has("ByteFallback"));
  const bytesOf = (token: string): Uint8Array => pieceBytes(token, "▁", isByte);
  const firstBytesOf = (token: string): Uint8Array => {
    const bytes = bytesOf(token);
    return strips && bytes[0] === 0x20 ? bytes.subarray(1) : bytes;
  };
  return { bytesOf, firstBytesOf, isByte, dropsFirstBlank: strips };
}

type Steps = readonly Record<string, unknown>[];

/** Metaspace takes every mark out of the first token. */
function metaspaceCodec(steps: Steps): TokenByteCodec | undefined {
  const [step] = steps.filter(({ type }) => type === "Metaspace");
  const types = steps.map(({ type }) => String(type));
  if (types.some((type) => !["Metaspace", "ByteFallback", "Fuse"].includes(type))) return undefined;
  // Once fused, the whole text is the first token.
  const fuse = types.indexOf("Fuse");
  if (fuse !== -1 && fuse < types.indexOf("Metaspace")) return undefined;
  const mark = typeof step.replacement === "string" ? step.replacement : "▁";
  const drops = step.prepend_scheme !== "never" && step.add_prefix_space !== false;
  const isByte = byteTest(types.includes("ByteFallback"));
  const bytesOf = (token: string): Uint8Array => pieceBytes(token, mark, isByte);
  return {
    bytesOf,
    isByte,
    firstBytesOf: (token) => bytesOf(drops ? token.replaceAll(mark, "") : token),
    dropsFirstBlank: drops,
  };
}

function isBlank({ type, pattern, content }: Record<string, unknown>): boolean {
  return type === "Replace" && content === " " && isRecord(pattern) && pattern.String === "▁";
}

function decoderSteps(decoder: unknown): Record<string, unknown>[] {
  if (!isRecord(decoder)) return [];
  if (decoder.type !== "Sequence") return [decoder];
  return Array.isArray(decoder.decoders) ? decoder.decoders.flatMap(decoderSteps) : [];
}

function byteTest(fallback: boolean): (token: string) => boolean {
  return (token) => fallback && byteOfToken(token) !== undefined;
}

function pieceBytes(token: string, mark: string, isByte: (token: string) => boolean): Uint8Array {
  return isByte(token)
    ? Uint8Array.of(byteOfToken(token)!)
    : encoder.encode(token.replaceAll(mark, " "));
}
