/**
 * Decodes an export with transformers.js. In: a folder of exports and JSON of what to measure. Out:
 * milliseconds of prefill and of each token after it, as JSON.
 */

interface Model {
  generate(options: Record<string, unknown>): Promise<unknown>;
}

interface Transformers {
  readonly env: { allowRemoteModels: boolean; localModelPath: string };
  readonly AutoModelForCausalLM: {
    from_pretrained(model: string, options: Record<string, unknown>): Promise<Model>;
  };
  readonly Tensor: new (type: string, data: BigInt64Array, dims: readonly number[]) => unknown;
}

const [root, folder, json] = Deno.args;
const { dtype, prompt, tokens, threads }: {
  readonly dtype: string;
  readonly prompt: readonly number[];
  readonly tokens: number;
  readonly threads: number;
} = JSON.parse(json);
// Not a literal: the repository's own imports must not hold this package, or every task fetched it.
const name = "@huggingface/transformers";
const { env, AutoModelForCausalLM, Tensor }: Transformers = await import(name);
env.allowRemoteModels = false;
env.localModelPath = `${root}/`;
const model = await AutoModelForCausalLM.from_pretrained(folder, {
  dtype,
  session_options: { intraOpNumThreads: threads },
});
const times: number[] = [];
let last = 0;
const inputs = {
  input_ids: new Tensor("int64", BigInt64Array.from(prompt, BigInt), [1, prompt.length]),
  attention_mask: new Tensor("int64", new BigInt64Array(prompt.length).fill(1n), [
    1,
    prompt.length,
  ]),
};
for (const measured of [false, true]) {
  let calls = 0;
  last = performance.now();
  await model.generate({
    ...inputs,
    max_new_tokens: measured ? tokens : 2,
    do_sample: false,
    eos_token_id: [],
    streamer: {
      put(): void {
        const now = performance.now();
        // The first call hands the prompt over.
        if (measured && calls++ > 0) times.push(now - last);
        last = now;
      },
      end(): void {},
    },
  });
}
const [prefill, ...decode] = times;
console.log(JSON.stringify({ prefill, decode }));
