/**
 * The decoder of a tokenizer.json: tokens to text, as Hugging Face's Rust library joins them.
 *
 * In: the parsed decoder. Out: a function from tokens to text.
 */

import { FieldTable } from "../../../internal/json/field_table.ts";
import { compilePattern } from "./compile_pattern.ts";
import { CHAR_TO_BYTE } from "./gpt2_bytes.ts";
import { replaceAll } from "./normalizer.ts";
import { flattenSteps, refuse, type Step, stepField, type StepTypes } from "./step_review.ts";

/** Tokens to text. */
export type TokenDecoder = (tokens: readonly string[]) => string;

const TYPES: StepTypes = {
  BPEDecoder: new FieldTable({ honoured: ["type", "suffix"] }),
  ByteFallback: new FieldTable({ honoured: ["type"] }),
  // The byte alphabet is undone whatever these say, in the Rust library too.
  ByteLevel: new FieldTable({
    honoured: ["type"],
    ignored: ["add_prefix_space", "trim_offsets", "use_regex"],
  }),
  CTC: "it joins the frames of speech recognition; use a language model's tokenizer",
  Fuse: new FieldTable({ honoured: ["type"] }),
  Metaspace: new FieldTable({
    honoured: ["type", "replacement", "prepend_scheme", "add_prefix_space"],
    ignored: ["split", "str_rep"],
  }),
  Replace: new FieldTable({ honoured: ["type", "pattern", "content"] }),
  Sequence: new FieldTable({ honoured: ["type", "decoders"] }),
  Strip: new FieldTable({ honoured: ["type", "content", "start", "stop"] }),
  WordPiece: new FieldTable({ honoured: ["type", "prefix", "cleanup"] }),
};

type Chain = (tokens: readonly string[]) => readonly string[];

/**
 * Reads a decoder.
 *
 * @throws {TypeError} naming the type, the field or the pattern that is not honoured
 */
export function createDecoder(value: unknown): TokenDecoder {
  if (value === null || value === undefined) {
    return (tokens) => tokens.join(" ");
  }
  const chains = flattenSteps(value, "tokenizer.json: decoder", TYPES, "decoders")
    .map(({ step, place }) => createChain(step, place));
  return (tokens) => {
    let rest = tokens;
    for (const chain of chains) rest = chain(rest);
    return rest.join("");
  };
}

function createChain(step: Step, place: string): Chain {
  switch (step.type) {
    case "BPEDecoder": {
      const suffix = stepField(step, place, "suffix", "string");
      return (tokens) =>
        tokens.map((text, index) =>
          text.replaceAll(suffix, index === tokens.length - 1 ? "" : " ")
        );
    }
    case "ByteFallback":
      return byteFallback;
    case "ByteLevel":
      return byteLevel;
    case "Fuse":
      return (tokens) => [tokens.join("")];
    case "Metaspace":
      return metaspace(step, place);
    case "Replace": {
      const content = stepField(step, place, "content", "string");
      // It stands in each token's text; a blank is all that published models write.
      if (content.length > 1024) refuse(place, "(Replace): content is longer than 1024 characters");
      const { find } = compilePattern(step.pattern, `${place}.pattern`);
      return (tokens) => tokens.map((text) => replaceAll(text, find(text), content));
    }
    case "Strip":
      return strip(step, place);
    default:
      return wordPiece(step, place);
  }
}

function byteFallback(tokens: readonly string[]): string[] {
  const result: string[] = [];
  let bytes: number[] = [];
  const flush = (): void => {
    if (bytes.length === 0) return;
    result.push(textOfByteRun(bytes));
    bytes = [];
  };
  for (const token of tokens) {
    const byte = byteOfToken(token);
    if (byte !== undefined) {
      bytes.push(byte);
      continue;
    }
    flush();
    result.push(token);
  }
  flush();
  return result;
}

/** The byte of a token `<0xNN>`. */
export function byteOfToken(token: string): number | undefined {
  const hex = /^<0x([0-9A-Fa-f]{2})>$/.exec(token);
  return hex === null ? undefined : parseInt(hex[1], 16);
}

/** The text of all byte tokens in a row: if they are no UTF-8, U+FFFD for each, as in Rust. */
export function textOfByteRun(bytes: readonly number[]): string {
  try {
    return strictUtf8.decode(Uint8Array.from(bytes));
  } catch {
    return "\ufffd".repeat(bytes.length);
  }
}

const strictUtf8 = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });
const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
const encoder = new TextEncoder();

function byteLevel(tokens: readonly string[]): string[] {
  const bytes: number[] = [];
  for (const token of tokens) for (const byte of byteLevelBytes(token)) bytes.push(byte);
  return [utf8.decode(Uint8Array.from(bytes))];
}

/** The bytes of a token in the byte alphabet; one with another character stands for its own text. */
export function byteLevelBytes(token: string): Uint8Array {
  const bytes: number[] = [];
  for (const char of token) {
    const byte = CHAR_TO_BYTE.get(char);
    if (byte === undefined) return encoder.encode(token);
    bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}

function metaspace(step: Step, place: string): Chain {
  const replacement = stepField(step, place, "replacement", "string");
  if ([...replacement].length !== 1) refuse(place, "(Metaspace): replacement is not one character");
  const keepsFirst = stepField(step, place, "prepend_scheme", "string", "always") === "never" ||
    !stepField(step, place, "add_prefix_space", "boolean", true);
  return (tokens) =>
    tokens.map((text, index) =>
      text.replaceAll(replacement, index === 0 && !keepsFirst ? "" : " ")
    );
}

function strip(step: Step, place: string): Chain {
  const content = stepField(step, place, "content", "string");
  const most = (name: string): number => {
    const count = stepField(step, place, name, "number");
    if (!Number.isSafeInteger(count) || count < 0) refuse(place, `(Strip): ${name} is ${count}`);
    return count;
  };
  const [start, stop] = [most("start"), most("stop")];
  if ([...content].length !== 1) refuse(place, "(Strip): content is not one character");
  return (tokens) =>
    tokens.map((text) => {
      const chars = Array.from(text);
      let from = 0;
      while (from < start && chars[from] === content) from++;
      let to = chars.length;
      while (to > 0 && chars.length - to < stop && chars[to - 1] === content) to--;
      return chars.slice(from, Math.max(from, to)).join("");
    });
}

function wordPiece(step: Step, place: string): Chain {
  const prefix = stepField(step, place, "prefix", "string");
  const cleans = stepField(step, place, "cleanup", "boolean");
  return (tokens) =>
    tokens.map((text, index) => {
      let joined = text;
      if (index > 0) {
        joined = text.startsWith(prefix) ? text.slice(prefix.length) : ` ${text}`;
      }
      return cleans ? cleanUp(joined) : joined;
    });
}

const CLEANED: readonly (readonly [string, string])[] = [
  [" .", "."],
  [" ?", "?"],
  [" !", "!"],
  [" ,", ","],
  [" ' ", "'"],
  [" n't", "n't"],
  [" 'm", "'m"],
  [" do not", " don't"],
  [" 's", "'s"],
  [" 've", "'ve"],
  [" 're", "'re"],
];

function cleanUp(text: string): string {
  return CLEANED.reduce((each, [from, to]) => each.replaceAll(from, to), text);
}
