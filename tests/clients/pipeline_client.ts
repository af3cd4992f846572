/**
 * transformers.js's pipeline in a process of its own, told nothing but the folder. In: a folder of exports and
 * JSON with one export's name and questions. Out: on standard output JSON of the replies to each question alone,
 * and of those to all in one batch, which the pipeline pads on the left.
 */

type Messages = readonly { readonly role: string; readonly content: string }[];
type Said = readonly { readonly generated_text: Messages }[];

interface Transformers {
  readonly env: { allowRemoteModels: boolean; localModelPath: string };
  pipeline(task: "text-generation", model: string): Promise<
    (chats: Messages | readonly Messages[], options: Record<string, unknown>) => Promise<unknown>
  >;
}

const [root, json] = Deno.args;
const { model, questions, newTokens }: {
  readonly model: string;
  readonly questions: readonly string[];
  readonly newTokens: number;
} = JSON.parse(json);

// Not a literal: the repository's own imports must not hold this package, or every task fetched it.
const name = "@huggingface/transformers";
const { env, pipeline }: Transformers = await import(name);
env.allowRemoteModels = false;
env.localModelPath = `${root}/`;

const generate = await pipeline("text-generation", model);
// Without an end: the client goes on with rows that have ended until the last has.
const options = { max_new_tokens: newTokens, do_sample: false, eos_token_id: [] };
const chats = questions.map((content): Messages => [{ role: "user", content }]);
const answerOf = (said: Said): string => said[0].generated_text.at(-1)!.content;
const alone: string[] = [];
for (const chat of chats) alone.push(answerOf(await generate(chat, options) as Said));
const batch = (await generate(chats, options) as Said[]).map(answerOf);
console.log(JSON.stringify({ alone, batch }));
