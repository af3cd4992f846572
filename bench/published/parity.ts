/**
 * What ortune makes of the model, for parity.py, which compares it with transformers. In: the model
 * folder, a file of texts (a JSON array) and of questions. Out: JSON with the token ids of each
 * text (or the error), and the prompt and greedy reply of each question.
 *
 *     deno run -A bench/published/parity.ts DIR TEXTS.json OUT.json
 */

import { loadTokenizer } from "../../data/text/tokenizer.ts";
import { loadModel } from "../../model/engine/load_model.ts";
import { createGenerator } from "../../infer/generate/generator.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";

const NEW_TOKENS = 50;

const [directory, textsPath, outPath] = Deno.args;
const { texts, questions }: { texts: string[]; questions: string[] } = JSON.parse(
  await Deno.readTextFile(textsPath),
);
const tokenizer = await loadTokenizer(directory);
const encoded = texts.map((text) => {
  try {
    const ids = tokenizer.encode(text);
    return { ids: [...ids], decoded: tokenizer.decode(ids) };
  } catch (cause) {
    return { error: String(cause) };
  }
});

using runtime = new Runtime();
const { config, weights } = await loadModel(runtime, directory);
using generator = createGenerator({ runtime, config, weights });
const replies: { prompt: number[]; ids: number[] }[] = [];
for (const content of questions) {
  const prompt = tokenizer.encode(
    tokenizer.render([{ role: "user", content }], { addGenerationPrompt: true }),
  );
  const ids: number[] = [];
  const reply = generator.generate(prompt, { greedy: true, maxNewTokens: NEW_TOKENS });
  for await (const id of reply) ids.push(id);
  replies.push({ prompt: [...prompt], ids });
}
weights[Symbol.dispose]();
await Deno.writeTextFile(outPath, JSON.stringify({ encoded, replies }));
