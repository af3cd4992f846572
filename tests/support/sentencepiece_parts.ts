/** Parts of a tokenizer.json of SentencePiece's kind, as Llama 2 has them, for small vocabularies in tests. */

/** Tokens of the 256 bytes, in their order. */
export const BYTE_TOKENS: readonly string[] = Array.from(
  { length: 256 },
  (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`,
);

/** The decoder. */
export const SENTENCEPIECE_DECODER = {
  type: "Sequence",
  decoders: [
    { type: "Replace", pattern: { String: "\u2581" }, content: " " },
    { type: "ByteFallback" },
    { type: "Fuse" },
    { type: "Strip", content: " ", start: 1, stop: 0 },
  ],
};
