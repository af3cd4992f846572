/**
 * The pre_tokenizer of a tokenizer.json, put so that JavaScript splits as Hugging Face's Rust does.
 *
 * In: the parsed pre_tokenizer. Out: an equal one in which patterns stand as Split.
 * @huggingface/tokenizers takes digits and blanks in `Digits` and `ByteLevel` for JavaScript's \d
 * (ASCII alone) and \s (with U+FEFF, without U+0085); only Split's patterns does it translate.
 */

/** GPT-2's, which ByteLevel applies by itself. */
const BYTE_LEVEL_PATTERN =
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/** Puts `Digits` and the pattern of `ByteLevel` as Split; leaves all else as it is. */
export function withSplitPatterns(preTokenizer: unknown): unknown {
  if (typeof preTokenizer !== "object" || preTokenizer === null) return preTokenizer;
  const step: Record<string, unknown> = { ...preTokenizer };
  if (step.type === "Sequence" && Array.isArray(step.pretokenizers)) {
    return { ...step, pretokenizers: step.pretokenizers.map(withSplitPatterns) };
  }
  // Rust's is_numeric: all of Unicode's category N, so ½, ² and full-width digits too.
  if (step.type === "Digits") return split(step.individual_digits === true ? "\\p{N}" : "\\p{N}+");
  // A blank put before the text comes before the pattern, and only ByteLevel itself knows how.
  if (step.type === "ByteLevel" && step.use_regex !== false && step.add_prefix_space === false) {
    const pretokenizers = [split(BYTE_LEVEL_PATTERN), { ...step, use_regex: false }];
    return { type: "Sequence", pretokenizers };
  }
  return preTokenizer;
}

function split(pattern: string): Record<string, unknown> {
  return { type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false };
}
