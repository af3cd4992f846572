/**
 * Words of GGUF's tokenizers that both ways share: llama.cpp's numbers of types of tokens (`llama.h`).
 *
 * @module
 */

export const NORMAL = 1;
/** Special: never text. */
export const CONTROL = 3;
/** Added, matched before all merges. */
export const USER_DEFINED = 4;
/** A row of the embedding without a token. */
export const UNUSED = 5;
/** SentencePiece's `<0xNN>`. */
export const BYTE = 6;

/** What SentencePiece writes for a blank. */
export const BLANK = "▁";
