/**
 * BLEU between answer and reference, from 0 to 100, as pip's sacrebleu computes it: tokenizer `13a` for words
 * and `zh` for Chinese, smoothing `exp`. A row's value is `sentence_bleu` (effective order), that of several
 * rows `corpus_bleu`. Post 2018, https://aclanthology.org/W18-6319.
 */

import { comparesTexts, type Metric } from "../metric.ts";
import { countNgrams, isChinese, sharedNgrams } from "../text_tokens.ts";

const ORDER = 4;

/** What Python calls a blank. */
const BLANK =
  "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const BLANKS = new RegExp(`[${BLANK}]+`);
const LAST_BLANKS = new RegExp(`[${BLANK}]+$`);
const OUTER_BLANKS = new RegExp(`^[${BLANK}]+|[${BLANK}]+$`, "g");

/** Signs and what is put around them, of mteval-v13a; one after another. */
const SIGNS: readonly (readonly [RegExp, string])[] = [
  [/([{-~[-` -&(-+:-@/])/g, " $1 "],
  [/([^0-9])([.,])/gu, "$1 $2 "],
  [/([.,])([^0-9])/gu, " $1 $2"],
  [/([0-9])(-)/g, "$1 $2 "],
];

/**
 * What sacrebleu's `zh` takes for a Chinese character. Its list has U+2001 to U+2A6D in place of extension B,
 * whose first and last place have five digits, so that quotation marks and dashes are among them.
 */
const ZH_CHARACTERS = new RegExp(
  "[\\u2001-\\u2a6d\\u2e80-\\u2fff\\u3000-\\u303f\\u3100-\\u312f\\u31a0-\\u31bf\\u31c0-\\u31ef" +
    "\\u3200-\\u33ff\\u3400-\\u4db5\\u4e00-\\u9fbb\\uf900-\\ufa2d\\ufa30-\\ufa6a\\ufa70-\\ufad9" +
    "\\ufe10-\\ufe1f\\ufe30-\\ufe4f\\uff00-\\uffef]",
  "gu",
);

function apart(text: string): readonly string[] {
  const spaced = SIGNS.reduce((line, [sign, put]) => line.replace(sign, put), text);
  return spaced.split(BLANKS).filter((token) => token !== "");
}

function bleuTokens(text: string, chinese: boolean): readonly string[] {
  const line = text.replace(LAST_BLANKS, "");
  if (chinese) return apart(line.replace(OUTER_BLANKS, "").replace(ZH_CHARACTERS, " $& "));
  const plain = line.replaceAll("<skipped>", "").replaceAll("-\n", "").replaceAll("\n", " ")
    .replaceAll("&quot;", '"').replaceAll("&amp;", "&").replaceAll("&lt;", "<")
    .replaceAll("&gt;", ">");
  return apart(` ${plain} `);
}

/** What BLEU sums over rows: both lengths, the n-grams that match by order, and all of the text's. */
export function bleuSums(
  text: string,
  reference: string,
  { chinese = isChinese(reference) }: { readonly chinese?: boolean } = {},
): readonly number[] {
  const [own, expected] = [text, reference].map((each) => bleuTokens(each, chinese));
  const orders = Array.from({ length: ORDER }, (_, i) => i + 1);
  const correct = orders.map((n) => sharedNgrams(countNgrams(own, n), countNgrams(expected, n)));
  const total = orders.map((n) => Math.max(own.length - n + 1, 0));
  return [own.length, expected.length, ...correct, ...total];
}

/**
 * BLEU by the sums of one text or of several.
 *
 * @param effective whether orders that the text is too short for are left out, as of single sentences
 */
export function bleuOf(
  [own, expected, ...counts]: readonly number[],
  { effective }: { readonly effective: boolean },
): number {
  const [correct, total] = [counts.slice(0, ORDER), counts.slice(ORDER)];
  if (correct.every((count) => count === 0)) return 0;
  let [logs, order, halves] = [0, ORDER, 1];
  for (let n = 0; n < ORDER; n++) {
    if (total[n] === 0) {
      if (!effective) return 0;
      order = n;
      break;
    }
    if (correct[n] === 0) halves *= 2;
    logs += Math.log(correct[n] > 0 ? 100 * correct[n] / total[n] : 100 / (halves * total[n]));
  }
  const brevity = own < expected ? Math.exp(1 - expected / own) : 1;
  return brevity * Math.exp(logs / order);
}

/** BLEU as a row of the table. */
export const bleu: Metric = {
  title: { en: "BLEU", zh: "BLEU" },
  better: "higher",
  score(row) {
    if (!comparesTexts(row)) return undefined;
    const sums = bleuSums(row.reply.answer, row.reference.answer);
    return { value: bleuOf(sums, { effective: true }), sums };
  },
  combine: (sums) => bleuOf(sums, { effective: false }),
};
