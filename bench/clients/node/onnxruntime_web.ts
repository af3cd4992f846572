/** onnxruntime-web: the fp32 export on WebAssembly, prompts and greedy tokens with its cache. */

import { readFileSync } from "node:fs";
import * as ort from "onnxruntime-web";
import { artefacts, check, done, facts, tokens, version, withoutEnd } from "./client.ts";

const folder = `${artefacts.export}/onnx`;
const config = JSON.parse(readFileSync(`${artefacts.export}/config.json`, "utf8"));
ort.env.wasm.numThreads = 1;
const session = await ort.InferenceSession.create(readFileSync(`${folder}/model.onnx`), {
  executionProviders: ["wasm"],
  externalData: [{ path: "model.onnx_data", data: readFileSync(`${folder}/model.onnx_data`) }],
});
const integers = (ids: number[]) => BigInt64Array.from(ids.map(BigInt));
const matrix = (ids: number[]) => new ort.Tensor("int64", integers(ids), [1, ids.length]);
type Cache = Record<string, ort.Tensor>;
const empty: Cache = Object.fromEntries(
  session.inputNames.filter((name) => name.startsWith("past_key_values")).map((name) => [
    name,
    new ort.Tensor("float32", new Float32Array(0), [
      1,
      config.num_key_value_heads,
      0,
      config.head_dim,
    ]),
  ]),
);

async function run(ids: number[], past: Cache, seen: number): Promise<[Float32Array, Cache]> {
  const given: Cache = { input_ids: matrix(ids), ...past };
  given.attention_mask = matrix(Array(seen + ids.length).fill(1));
  if (session.inputNames.includes("position_ids")) {
    given.position_ids = matrix(ids.map((_, i) => seen + i));
  }
  if (session.inputNames.includes("num_logits_to_keep")) {
    given.num_logits_to_keep = new ort.Tensor("int64", integers([1]), []);
  }
  const { logits, ...present } = await session.run(given);
  const cache = Object.entries(present).map((
    [key, value],
  ) => [key.replace("present", "past_key_values"), value]);
  return [(logits.data as Float32Array).slice(-config.vocab_size), Object.fromEntries(cache)];
}

const likeliest = (logits: Float32Array) => logits.indexOf(logits.reduce((a, b) => Math.max(a, b)));
let worst = 0;
const greedy: number[][] = [];
for (const { ids, logits } of facts.checkpoint) {
  let [next, past] = await run(ids, empty, 0);
  next.forEach((each, id) => worst = Math.max(worst, Math.abs(each - logits[id])));
  const made: number[] = [];
  while (made.length < facts.newTokens && !facts.eosTokenIds.includes(likeliest(next))) {
    made.push(likeliest(next));
    [next, past] = await run(made.slice(-1), past, ids.length + made.length - 1);
  }
  greedy.push(withoutEnd(made));
}
check("logits", worst < 1e-4, `error ${worst.toExponential(1)}`);
tokens("greedy tokens", greedy, facts.checkpoint.map((each: { greedy: number[] }) => each.greedy));
done(version("onnxruntime-web"));
