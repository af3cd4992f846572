/**
 * Greedy replies of a model to questions, whole and raw. In: a model folder, perhaps an adapter on
 * it, and questions. Out: a reply a question, with its faults of form.
 */

import { loadTokenizer } from "../../data/text/tokenizer.ts";
import { loadModel } from "../../model/engine/load_model.ts";
import { readGenerationConfig } from "../../infer/generate/generation_config.ts";
import { createGenerator } from "../../infer/generate/generator.ts";
import { loadAdapter } from "../../lora/load_adapter.ts";
import { trainedRounding } from "../../lora/trained_base.ts";
import type { Runtime } from "../../ort/runtime/runtime.ts";
import { formFaults } from "../../infer/evaluate/reply_form.ts";

/** A reply and how it was made. */
export interface Answer {
  readonly question: string;
  /** Tags and all, without the token that ends it. */
  readonly text: string;
  readonly tokens: number;
  readonly faults: readonly string[];
}

/** Answers and how long they took. */
export interface Answers {
  readonly answers: readonly Answer[];
  /** Of new tokens, prompts counted in the time. */
  readonly tokensPerSecond: number;
}

/** What is asked and of whom. */
export interface AskOptions {
  readonly runtime: Runtime;
  readonly model: string;
  readonly adapter?: string;
  readonly system: string;
  readonly questions: readonly string[];
  readonly maxNewTokens: number;
}

/** Asks each question in a chat of its own. */
export async function ask(options: AskOptions): Promise<Answers> {
  const { runtime, model, adapter, system, questions, maxNewTokens } = options;
  const tokenizer = await loadTokenizer(model);
  using resources = new DisposableStack();
  const rounded = await trainedRounding(adapter);
  const { config, weights: base } = await loadModel(runtime, model, { rounded });
  resources.use(base);
  const adapted = adapter === undefined
    ? undefined
    : resources.use(await loadAdapter(runtime, adapter, { config, base }));
  const generation = await readGenerationConfig(model, { config, tokenizer });
  const weights = adapted?.weights ?? base;
  const linear = adapted?.linear;
  const generator = resources.use(
    createGenerator({ runtime, config, weights, linear, generation }),
  );
  const answers: Answer[] = [];
  const began = performance.now();
  for (const question of questions) {
    const prompt = tokenizer.render([
      { role: "system", content: system },
      { role: "user", content: question },
    ], { addGenerationPrompt: true });
    const reply = generator.generate(tokenizer.encode(prompt), { greedy: true, maxNewTokens });
    const ids: number[] = [];
    for await (const id of reply) ids.push(id);
    const text = tokenizer.decode(ids);
    const faults = formFaults(text, reply.finishReason);
    answers.push({ question, text, tokens: ids.length, faults });
    console.log(
      `${answers.length}/${questions.length} ${ids.length} tokens, ${
        faults.join(", ") || "has the form"
      }`,
    );
  }
  const seconds = (performance.now() - began) / 1000;
  const made = answers.reduce((sum, { tokens }) => sum + tokens, 0);
  return { answers, tokensPerSecond: made / seconds };
}
