/**
 * What a parity report asks of a checkpoint and its export. In: a tokenizer, perhaps a text. Out:
 * token ids.
 */

import type { Tokenizer } from "../../data/text/tokenizer.ts";
import type { ParityQuestions, ParityReference } from "../../infer/export/parity.ts";
import type { ModelConfig } from "../../model/config.ts";

/** What both are asked to go on with, in the words of a user. */
export const PARITY_PROMPTS: readonly string[] = [
  "医生，发烧了应该怎么办？",
  "What helps against a fever, and when should I see a doctor?",
  "我最近总是睡不好，白天很累，需要做什么检查吗？",
];

// Plain sentences in both languages, written for this: what matters is the difference between two
// models on the same text, not the text.
const TEXT =
  `A fever is a rise of the body's temperature. Most fevers come from an infection and pass \
within a few days. Drink enough water, rest, and wear light clothes. See a doctor if the fever lasts \
more than three days, if it is above 39.5 degrees, or if you find it hard to breathe.
发烧是身体温度升高的表现，大多数由感染引起，几天之内会好转。应当多喝水，注意休息，穿宽松的衣服。\
如果发烧超过三天，体温高于三十九度五，或者呼吸困难，请及时去医院就诊。
Sleep gets better with a fixed hour for going to bed, no coffee after noon, and a dark, quiet room. \
Tell the doctor how long it takes you to fall asleep and how often you wake up at night.
睡眠不好的人应当每天在固定的时间上床，中午以后不喝咖啡，让房间保持黑暗和安静。看病时请告诉医生\
入睡需要多长时间，夜里会醒几次。`;

// Logits of a window are held in memory: 256 times 150,000 of them are 155 MB.
const WINDOW = 256;

/** Options of {@linkcode parityQuestions}. */
export interface ParityQuestionOptions {
  readonly config: ModelConfig;
  readonly tokenizer: Tokenizer;
  readonly greedyTokens: number;
  /** @default a short one */
  readonly text?: string;
}

/** What both are asked, and what the checkpoint answered. */
export interface Comparison {
  /** The prompts and the text, also as texts, for another tokenizer. */
  readonly questions: ParityQuestions & { readonly texts: readonly string[] };
  /** The checkpoint's answers. */
  readonly reference: ParityReference;
  /** The checkpoint's tokenizer, for texts of answers. */
  readonly tokenizer: Tokenizer;
}

/** Prompts by the model's template where it has one, and the text in windows. */
export function parityQuestions(
  { config, tokenizer, greedyTokens, text = TEXT }: ParityQuestionOptions,
): Comparison["questions"] {
  const ids = tokenizer.encode(text);
  const window = Math.min(WINDOW, config.maxPositions);
  const windows = Array.from(
    { length: Math.ceil(ids.length / window) },
    (_, i) => ids.subarray(i * window, (i + 1) * window),
  ).filter((each) => each.length > 1);
  if (windows.length === 0) {
    throw new RangeError("Cannot measure perplexity: the text has fewer than two tokens");
  }
  const room = config.maxPositions - greedyTokens;
  if (room < 1) {
    throw new RangeError(
      `Cannot compare ${greedyTokens} tokens: the model has ${config.maxPositions} positions`,
    );
  }
  const prompts = PARITY_PROMPTS.map((content) =>
    tokenizer.chatTemplate === undefined
      ? content
      : tokenizer.render([{ role: "user", content }], { addGenerationPrompt: true })
  );
  return {
    prompts: prompts.map((prompt) => tokenizer.encode(prompt).subarray(0, room)),
    greedyTokens,
    text: windows,
    texts: [...prompts, text],
  };
}
