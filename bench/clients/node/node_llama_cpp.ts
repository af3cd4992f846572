/** node-llama-cpp: llama.cpp generates from the GGUF that llama_cpp_convert.py made. */

import { dirname } from "node:path";
import { getLlama } from "node-llama-cpp";
import { artefacts, done, facts, tokens, version } from "./client.ts";

const llama = await getLlama({ gpu: false, build: "never" });
const model = await llama.loadModel({ modelPath: `${dirname(artefacts.merged)}/published.gguf` });
const [ids, greedy]: number[][][] = [[], []];
for (const { ids: prompt, text } of facts.published) {
  ids.push([...model.tokenize(text, true)]);
  const context = await model.createContext({ contextSize: 512 });
  const made: number[] = [];
  for await (const id of context.getSequence().evaluate(prompt, { temperature: 0 })) {
    if (model.isEogToken(id)) break;
    made.push(id);
    if (made.length >= facts.newTokens) break;
  }
  greedy.push(made);
  await context.dispose();
}
const wanted: { ids: number[]; greedy: number[] }[] = facts.published;
tokens("prompt ids", ids, wanted.map((each) => each.ids));
tokens("greedy tokens", greedy, wanted.map((each) => each.greedy));
done(version("node-llama-cpp"));
