/**
 * Patterns of published models, which JavaScript's engine runs in linear time on any text.
 *
 * Each was read by hand: where a part can fail after a long run, a later alternative takes the whole
 * run, so that no run is read again and again. `compile_pattern_test.ts` times each on long runs.
 */

const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const TAIL = String.raw`|\s*[\r\n]+|\s+(?!\S)|\s+`;
const UPPER = String.raw`[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`;
const LOWER = String.raw`[\p{Ll}\p{Lm}\p{Lo}\p{M}]`;
const TITLE_CASE = String.raw`[^\r\n\p{L}\p{N}]?` + `${UPPER}*${LOWER}+`;
const UPPER_CASE = String.raw`[^\r\n\p{L}\p{N}]?` + `${UPPER}+${LOWER}*`;

/** GPT-2's, which ByteLevel applies by itself. */
export const GPT2_PATTERN = String
  .raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`;

/** cl100k: Llama 3, GLM-4, GPT-4. */
export const CL100K_PATTERN = CONTRACTIONS +
  String.raw`|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*` + TAIL;

/** Qwen 1.5 to 3. */
export const QWEN2_PATTERN = CONTRACTIONS +
  String.raw`|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*` + TAIL;

/** Qwen 3.5, which counts marks to the letters. */
export const QWEN35_PATTERN = CONTRACTIONS +
  String.raw`|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*` + TAIL;

/** o200k: GPT-4o, gpt-oss, Llama 4. */
export const O200K_PATTERN = `${TITLE_CASE}${CONTRACTIONS}?|${UPPER_CASE}${CONTRACTIONS}?` +
  String.raw`|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*` + TAIL;

/** Mistral's Tekken: o200k without contractions. */
export const TEKKEN_PATTERN = `${TITLE_CASE}|${UPPER_CASE}` +
  String.raw`|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*` + TAIL;

/** DeepSeek V2, V3, R1. */
export const DEEPSEEK_PATTERN = "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+" +
  String.raw`|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*` + TAIL;

/** Oniguruma's source of each. */
export const KNOWN_PATTERNS: readonly string[] = [
  // GPT-2 and all of ByteLevel with use_regex: SmolLM, StarCoder, Falcon, Phi, OPT.
  GPT2_PATTERN,
  String.raw`'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`,
  CL100K_PATTERN,
  QWEN2_PATTERN,
  QWEN35_PATTERN,
  // Two digits at a time: InternLM 2.5.
  CONTRACTIONS + String.raw`|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,2}| ?[^\s\p{L}\p{N}]+[\r\n]*` + TAIL,
  O200K_PATTERN,
  TEKKEN_PATTERN,
  DEEPSEEK_PATTERN,
];
