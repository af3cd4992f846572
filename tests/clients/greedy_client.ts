/**
 * transformers.js in a process of its own, run with the example's deno.json. In: a folder of exports
 * and JSON of what to ask. Out: on standard output JSON of prompt ids and new ids.
 */

interface Tokens {
  readonly dims: readonly number[];
  tolist(): readonly (readonly (number | bigint)[])[];
}

interface Transformers {
  readonly env: { allowRemoteModels: boolean; localModelPath: string };
  readonly AutoTokenizer: {
    from_pretrained(model: string): Promise<{
      apply_chat_template(
        messages: readonly { readonly role: string; readonly content: string }[],
        options: { readonly add_generation_prompt: true; readonly return_dict: true },
      ): { readonly input_ids: Tokens };
    }>;
  };
  readonly AutoModelForCausalLM: {
    from_pretrained(model: string, options: { readonly dtype: string }): Promise<{
      generate(options: Record<string, unknown>): Promise<Tokens>;
      dispose(): Promise<unknown>;
    }>;
  };
}

const [root, json] = Deno.args;
const asked: readonly { readonly model: string; readonly dtype: string }[] =
  JSON.parse(json).models;
const questions: readonly string[] = JSON.parse(json).questions;
const newTokens: number = JSON.parse(json).newTokens;

// Not a literal: the repository's own imports must not hold this package, or every task fetched it.
const name = "@huggingface/transformers";
const { env, AutoTokenizer, AutoModelForCausalLM }: Transformers = await import(name);
env.allowRemoteModels = false;
env.localModelPath = `${root}/`;

const replies: { readonly prompt: number[]; readonly ids: number[] }[] = [];
for (const { model: folder, dtype } of asked) {
  const tokenizer = await AutoTokenizer.from_pretrained(folder);
  const model = await AutoModelForCausalLM.from_pretrained(folder, { dtype });
  for (const content of questions) {
    const inputs = tokenizer.apply_chat_template([{ role: "user", content }], {
      add_generation_prompt: true,
      return_dict: true,
    });
    const output = await model.generate({
      ...inputs,
      max_new_tokens: newTokens,
      do_sample: false,
      eos_token_id: [],
    });
    const [prompt] = inputs.input_ids.tolist();
    replies.push({
      prompt: prompt.map(Number),
      ids: output.tolist()[0].slice(prompt.length).map(Number),
    });
  }
  await model.dispose();
}
console.log(JSON.stringify(replies));
