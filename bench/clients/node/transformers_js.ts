/** transformers.js: the export's tokens by AutoModelForCausalLM in fp32, and a pipeline in q4. */

import { dirname } from "node:path";
import {
  AutoModelForCausalLM,
  AutoTokenizer,
  env,
  pipeline,
  type Tensor,
} from "@huggingface/transformers";
import { artefacts, check, done, facts, tokens, version, withoutEnd } from "./client.ts";

env.allowRemoteModels = false;
env.localModelPath = `${dirname(artefacts.export)}/`;
const tokenizer = await AutoTokenizer.from_pretrained("export");
const model = await AutoModelForCausalLM.from_pretrained("export", { dtype: "fp32" });
const [ids, greedy]: number[][][] = [[], []];
for (const { messages } of facts.checkpoint) {
  const inputs = tokenizer.apply_chat_template(messages, {
    add_generation_prompt: true,
    return_dict: true,
  });
  const prompt = [...inputs.input_ids.data].map(Number);
  const made = await model.generate({
    ...inputs,
    max_new_tokens: facts.newTokens,
    do_sample: false,
  }) as Tensor;
  ids.push(prompt);
  greedy.push(withoutEnd([...made.data].map(Number).slice(prompt.length)));
}
const wanted: { ids: number[]; greedy: number[] }[] = facts.checkpoint;
tokens("prompt ids", ids, wanted.map((each) => each.ids));
tokens("greedy tokens, fp32", greedy, wanted.map((each) => each.greedy));
const ask = await pipeline("text-generation", "export", { dtype: "q4" });
const [{ generated_text }] = await ask(facts.checkpoint[0].messages, {
  max_new_tokens: 16,
  do_sample: false,
}) as { generated_text: { role: string; content: string }[] }[];
const { role, content } = generated_text.at(-1)!;
check("pipeline, q4", role === "assistant" && content.length > 0, JSON.stringify(content));
done(version("@huggingface/transformers"));
