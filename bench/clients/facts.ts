/**
 * What ortune says of the artefacts, for the clients to compare with what they get.
 *
 * In: the artefacts. Out: JSON; ids are token ids, logits `[vocab]` in float32 of the token after the prompt.
 */

import { loadTokenizer } from "../../data/text/tokenizer.ts";
import type { Message } from "../../data/text/message.ts";
import { chat } from "../../infer/chat/chat.ts";
import { type ChatModel, openChatModel } from "../../infer/chat/open_chat_model.ts";
import { ReplyFormat } from "../../infer/constrain/reply_format.ts";
import { schemaGrammar } from "../../infer/constrain/schema_language.ts";
import { TokenTrie } from "../../infer/constrain/token_trie.ts";
import { Decoder } from "../../infer/generate/decoder.ts";
import { createSampler } from "../../infer/sampling/sampling.ts";
import { loadAdapter } from "../../lora/load_adapter.ts";
import { loadModel } from "../../model/engine/load_model.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { readMetricsLog } from "../../train/track/read_metrics_log.ts";
import { withoutNative } from "../../tests/support/without_native.ts";
import type { Artefacts } from "./artefacts.ts";

const NEW_TOKENS = 48;

/** Not one of them ends in the model's vocabulary of whole words: bytes, scripts, emoji, blanks. */
const TEXTS: readonly string[] = [
  "How can I sleep better during night shifts?",
  "医生，我最近被诊断为糖尿病，应该选择什么样的碳水化合物呢？",
  "  two  blanks\n\n\ttab, “quotes” – and 1234567890 don't we'll I'M",
  "头疼 🛌🏽 naïve café Ελληνικά עברית हिन्दी 한국어",
  "<|im_start|>user\n<think>\nHm</think>\n\n<|im_end|>",
];

const SYSTEM = "你是一个医学专家，你需要根据用户的问题，给出带有思考的回答。";
const CHATS: readonly (readonly Message[])[] = [
  [
    { role: "system", content: SYSTEM },
    {
      role: "user",
      content:
        "医生，我最近被诊断为糖尿病，听说碳水化合物的选择很重要，我应该选择什么样的碳水化合物呢？",
    },
  ],
  [{ role: "user", content: "How can I sleep better during night shifts?" }],
  [
    { role: "user", content: "头疼 🛌 怎么办？" },
    { role: "assistant", content: "Lie down." },
    { role: "user", content: "And then?" },
  ],
];

/** As pydantic writes the class that the scripts have. */
const ADVICE = {
  type: "object",
  properties: { advice: { type: "string", maxLength: 40 }, urgent: { type: "boolean" } },
  required: ["advice", "urgent"],
};

/** One prompt and what a model makes of it. */
export interface PromptFact {
  readonly messages: readonly Message[];
  /** The chat template's text, with the generation prompt. */
  readonly text: string;
  readonly ids: readonly number[];
  readonly logits: readonly number[];
  /** Greedy tokens without the one that ends the reply, at most `newTokens`. */
  readonly greedy: readonly number[];
}

/** One reply as the server has it at temperature 0. */
export interface ReplyFact {
  readonly messages: readonly Message[];
  readonly think: string;
  readonly answer: string;
  readonly promptTokens: number;
  readonly newTokens: number;
}

/** All that clients compare with. */
export interface Facts {
  readonly newTokens: number;
  readonly eosTokenIds: readonly number[];
  readonly texts: readonly { readonly text: string; readonly ids: readonly number[] }[];
  readonly checkpoint: readonly PromptFact[];
  /** The checkpoint with the adapter. */
  readonly adapter: readonly PromptFact[];
  readonly merged: readonly PromptFact[];
  readonly published: readonly Omit<PromptFact, "logits">[];
  readonly replies: readonly ReplyFact[];
  /** A prompt as it is, and the greedy text after it. */
  readonly completion: { readonly prompt: string; readonly text: string };
  /** The answer to the first chat where it is held to {@linkcode ADVICE}. */
  readonly advice: { readonly advice: string; readonly urgent: boolean };
  /** `[step, value]` of logged losses and evaluations. */
  readonly loss: readonly (readonly [number, number])[];
  readonly evalLoss: readonly (readonly [number, number])[];
  /** What tests/support/without_native.ts answers here. */
  readonly library: Readonly<Record<string, unknown>>;
}

/** Asks ortune. */
export async function makeFacts(artefacts: Artefacts): Promise<Facts> {
  const { checkpoint, adapter, merged, run } = artefacts;
  using runtime = new Runtime();
  const tokenizer = await loadTokenizer(checkpoint);
  const texts = TEXTS.map((text) => ({ text, ids: [...tokenizer.encode(text)] }));
  using model = await openChatModel(checkpoint, { runtime });

  const replies: ReplyFact[] = [];
  for (const asked of CHATS) {
    // As the server does: the prompt that the model was trained with, where a chat has none.
    const system: Message[] = asked[0].role === "system"
      ? []
      : [{ role: "system", content: model.system }];
    const messages = [...system, ...asked];
    const pieces = { think: "", answer: "" };
    const said = chat(model.generator, model.tokenizer, { messages, greedy: true });
    for await (const { kind, text } of said) pieces[kind] += text;
    const { promptTokens, newTokens } = said;
    replies.push({ messages: asked, ...pieces, promptTokens, newTokens });
  }
  const advice = JSON.parse(await heldTo(ADVICE, model, CHATS[0]));
  const prompt = "The doctor says: drink";
  const ids: number[] = [];
  const completed = model.generator.generate(tokenizer.encode(prompt), {
    greedy: true,
    maxNewTokens: NEW_TOKENS,
  });
  for await (const id of completed) ids.push(id);

  const log = await readMetricsLog(`${run}/metrics.jsonl`);
  return {
    newTokens: NEW_TOKENS,
    eosTokenIds: await eosTokenIds(checkpoint),
    texts,
    checkpoint: await promptFacts(runtime, checkpoint),
    adapter: await promptFacts(runtime, checkpoint, adapter),
    merged: await promptFacts(runtime, merged),
    published: (await promptFacts(runtime, artefacts.published)).map(({ logits: _, ...each }) =>
      each
    ),
    library: await withoutNative(artefacts.library),
    replies,
    advice,
    completion: { prompt, text: tokenizer.decode(ids, { skipSpecialTokens: true }) },
    loss: log.flatMap((event) => event.type === "log" ? [[event.step, event.loss] as const] : []),
    evalLoss: log.flatMap((event) =>
      event.type === "evaluate" ? [[event.step, event.evalLoss] as const] : []
    ),
  };
}

/** The greedy answer that fits a schema. */
async function heldTo(
  schema: unknown,
  { generator, tokenizer }: ChatModel,
  messages: readonly Message[],
): Promise<string> {
  const slices = TokenTrie.of(tokenizer);
  let slice = slices.next();
  while (!slice.done) slice = slices.next();
  const format = new ReplyFormat(schemaGrammar(schema), slice.value, tokenizer);
  let answer = "";
  const said = chat(generator, tokenizer, {
    messages,
    greedy: true,
    constraint: (ends) => format.constraint({ ends, state: "start", mayThink: true }),
  });
  for await (const { kind, text } of said) if (kind === "answer") answer += text;
  return answer;
}

async function eosTokenIds(folder: string): Promise<readonly number[]> {
  const { eos_token_id } = JSON.parse(await Deno.readTextFile(`${folder}/generation_config.json`));
  return [eos_token_id].flat();
}

async function promptFacts(
  runtime: Runtime,
  folder: string,
  adapter?: string,
): Promise<PromptFact[]> {
  const tokenizer = await loadTokenizer(folder);
  const ends = await eosTokenIds(folder);
  using resources = new DisposableStack();
  const { config, weights: base } = await loadModel(runtime, folder);
  resources.use(base);
  const adapted = adapter === undefined
    ? undefined
    : resources.use(await loadAdapter(runtime, adapter, { config, base }));
  const decoder = resources.use(
    new Decoder(runtime, config, adapted?.weights ?? base, { linear: adapted?.linear }),
  );
  const likeliest = createSampler({ greedy: true });
  const facts: PromptFact[] = [];
  for (const messages of CHATS) {
    const text = tokenizer.render(messages, { addGenerationPrompt: true });
    const ids = [...tokenizer.encode(text)];
    decoder.reset();
    let next = await decoder.prefill(ids);
    const logits = [...next];
    const greedy: number[] = [];
    for (let id = likeliest(next); greedy.length < NEW_TOKENS && !ends.includes(id);) {
      greedy.push(id);
      next = await decoder.decode(id);
      id = likeliest(next);
    }
    facts.push({ messages, text, ids, logits, greedy });
  }
  return facts;
}
