/**
 * transformers.js's pipeline in a process of its own, told nothing but the folder. In: a folder of exports and
 * JSON with one export's name and questions. Out: on standard output JSON of the replies.
 */

import { type Generate, pipelineReplies } from "./pipeline_replies.ts";

interface Transformers {
  readonly env: { allowRemoteModels: boolean; localModelPath: string };
  pipeline(task: "text-generation", model: string): Promise<Generate>;
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
console.log(JSON.stringify(await pipelineReplies(generate, questions, newTokens)));
