/** Facts that are wrong, to see whether clients would notice. In: facts. Out: none of the expected values is right. */

import type { Facts, PromptFact } from "./facts.ts";

const wrongIds = (ids: readonly number[]): number[] => ids.map((id) => (id + 1) % 1000);
const wrongPoints = (points: Facts["loss"]): [number, number][] =>
  points.map(([step, value]) => [step, value * 1.001]);

/** Leaves what is asked (texts, messages, prompts) and changes what is expected. */
export function damagedFacts(facts: Facts): Facts {
  const prompts = (all: readonly PromptFact[]): PromptFact[] =>
    all.map((each) => ({
      ...each,
      logits: each.logits.map((logit) => logit + 0.01),
      greedy: wrongIds(each.greedy),
    }));
  return {
    ...facts,
    texts: facts.texts.map(({ text, ids }) => ({ text, ids: wrongIds(ids) })),
    checkpoint: prompts(facts.checkpoint),
    adapter: prompts(facts.adapter),
    merged: prompts(facts.merged),
    published: facts.published.map((each) => ({ ...each, greedy: wrongIds(each.greedy) })),
    replies: facts.replies.map((each) => ({
      ...each,
      think: `${each.think}.`,
      answer: `${each.answer}.`,
      promptTokens: each.promptTokens + 1,
    })),
    completion: { ...facts.completion, text: `${facts.completion.text}.` },
    advice: { ...facts.advice, urgent: !facts.advice.urgent },
    loss: wrongPoints(facts.loss),
    evalLoss: wrongPoints(facts.evalLoss),
    library: Object.fromEntries(Object.keys(facts.library).map((name) => [name, "wrong"])),
  };
}
