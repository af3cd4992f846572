/** Replies that are held to JSON: of a real model, alone and among others, in every protocol. */

import assert from "node:assert/strict";
import { byteTokenizerFiles } from "../data/text/byte_tokenizer.ts";
import { createTokenizer, loadTokenizer } from "../data/text/tokenizer.ts";
import { ReplyFormat } from "../infer/constrain/reply_format.ts";
import { objectGrammar, schemaGrammar } from "../infer/constrain/schema_language.ts";
import { TokenTrie } from "../infer/constrain/token_trie.ts";
import { fixtureServer } from "./support/fixture_server.ts";
import { fixturePath } from "./support/parity_fixture.ts";
import { atOnce } from "../infer/serve/slice_queue.ts";

const messages = [{ role: "user", content: "What is a fever?" }];
const SCHEMA = {
  type: "object",
  properties: {
    name: { type: "string", maxLength: 6 },
    level: { enum: ["low", "high"] },
    ages: { type: "array", items: { type: "boolean" }, maxItems: 3 },
  },
  required: ["name", "level", "ages"],
  additionalProperties: false,
};
const FORMAT = { type: "json_schema", json_schema: { name: "n", strict: true, schema: SCHEMA } };

function assertFits(text: string): void {
  const { name, level, ages, ...rest } = JSON.parse(text);
  assert.ok([...name].length <= 6, text);
  assert.ok(["low", "high"].includes(level), text);
  assert.ok(ages.length <= 3 && ages.every((each: unknown) => typeof each === "boolean"), text);
  assert.deepEqual(rest, {});
}

Deno.test("replies are held to a schema, greedy and drawn, each choice by itself", async () => {
  await using server = await fixtureServer();
  const ask = { messages, response_format: FORMAT, max_tokens: 300, enable_thinking: false };
  for (const how of [{ temperature: 0 }, { seed: 1 }, { temperature: 2, seed: 2, n: 3 }]) {
    const { choices } = await server.json("/v1/chat/completions", { ...ask, ...how });
    for (const { message, finish_reason } of choices) {
      assertFits(message.content);
      assert.equal(finish_reason, "stop");
    }
  }
});

Deno.test("in one batch replies with a format and without it are what they are alone", async () => {
  await using server = await fixtureServer();
  const free = { messages, max_tokens: 40, temperature: 0, ignore_eos: true };
  const held = { messages, response_format: FORMAT, max_tokens: 300, temperature: 0 };
  const other = {
    messages,
    max_tokens: 300,
    temperature: 0,
    response_format: {
      type: "json_schema",
      json_schema: { name: "n", schema: { type: "array", items: { type: "null" }, maxItems: 4 } },
    },
  };
  const say = async (fields: Record<string, unknown>): Promise<string> =>
    (await server.json("/v1/chat/completions", { ...fields, enable_thinking: false })).choices[0]
      .message.content;
  const asked = [free, held, other, held];
  const alone: string[] = [];
  for (const each of asked) alone.push(await say(each));
  assert.deepEqual(await Promise.all(asked.map(say)), alone);
  assertFits(alone[1]);
  assert.ok(JSON.parse(alone[2]).every((each: unknown) => each === null));
  assert.equal(alone[3], alone[1]);
});

Deno.test("bans of other options do not break a format", async () => {
  // No token may come twice: not even a quote.
  await using server = await fixtureServer({ no_repeat_ngram_size: 1 });
  const { choices: [{ message }] } = await server.json("/v1/chat/completions", {
    messages,
    response_format: FORMAT,
    enable_thinking: false,
    temperature: 0,
    max_tokens: 300,
  });
  assertFits(message.content);
});

Deno.test("the Responses API and Ollama hold replies to the same formats", async () => {
  await using server = await fixtureServer();
  const response = await server.json("/v1/responses", {
    input: "What is a fever?",
    text: { format: { type: "json_schema", name: "n", schema: SCHEMA } },
    enable_thinking: false,
    max_output_tokens: 300,
    temperature: 0,
  });
  assert.equal(response.output.length, 1);
  assertFits(response.output[0].content[0].text);
  const chat = await server.json("/api/chat", {
    messages,
    format: SCHEMA,
    think: false,
    stream: false,
    options: { num_predict: 300, temperature: 0 },
  });
  assert.equal(chat.message.content, response.output[0].content[0].text);
  const refused = await server.post("/v1/chat/completions", {
    messages,
    response_format: {
      type: "json_schema",
      json_schema: { name: "n", schema: { type: "string", pattern: "a" } },
    },
  });
  const { error } = await refused.json();
  assert.deepEqual([refused.status, error.param], [
    400,
    "response_format.json_schema.schema.pattern",
  ]);
});

/** Random tokens among those that a constraint lets come. */
function drawn(
  format: ReplyFormat,
  tokenizer: ReturnType<typeof createTokenizer>,
  { state, mayThink, size, end, most }: {
    readonly state: "start" | "thinking" | "answer";
    readonly mayThink: boolean;
    readonly size: number;
    readonly end: number;
    readonly most: number;
  },
): { readonly ids: number[]; readonly allowed: readonly (readonly number[])[] } {
  const constraint = format.constraint({ ends: new Set([end]), state, mayThink });
  const ids: number[] = [];
  const allowed: number[][] = [];
  while (!constraint.finished && ids.length < most) {
    const scores = new Float32Array(size);
    constraint.apply(scores);
    const may = [...scores.keys()].filter((id) => scores[id] === 0);
    allowed.push(may);
    const closing = may.filter((id) => /^["}\]]/.test(tokenizer.decode([id])));
    const from = closing.length > 0 && ids.length % 2 === 1 ? closing : may;
    const id = from[(ids.length * 7919) % from.length];
    if (id === end) break;
    constraint.push(id);
    ids.push(id);
  }
  return { ids, allowed };
}

Deno.test("tokens of several bytes are let come where all of their bytes are, as byte by byte", async () => {
  const tokenizer = await loadTokenizer(fixturePath("tokenizer"));
  const grammar = schemaGrammar(SCHEMA);
  const format = new ReplyFormat(grammar, atOnce(TokenTrie.of(tokenizer)), tokenizer);
  const size = tokenizer.vocabSize + 10;
  const end = 298;
  const { ids, allowed } = drawn(format, tokenizer, {
    ...{ state: "start", mayThink: false, size, end, most: 300 },
  });
  let left = grammar.root;
  for (const [step, id] of ids.entries()) {
    const slow = Array.from({ length: size }, (_, each) => each).filter((each) => {
      const bytes = tokenizer.tokenBytes(each);
      if (bytes.length === 0 || tokenizer.isAdded(each)) return false;
      const after = bytes.reduce((state, byte) => grammar.languages.after(state, byte), left);
      return after !== grammar.languages.none;
    });
    assert.deepEqual(allowed[step], slow);
    for (const byte of tokenizer.tokenBytes(id)) left = grammar.languages.after(left, byte);
  }
  assertFits(tokenizer.decode(ids));
});

Deno.test("thinking is free, and the format holds after it; without leave there is none", () => {
  const tokenizer = createTokenizer(byteTokenizerFiles());
  const format = new ReplyFormat(objectGrammar(), atOnce(TokenTrie.of(tokenizer)), tokenizer);
  const [open, close] = ["<think>", "</think>"].map((tag) => tokenizer.tokenToId(tag)!);
  const end = tokenizer.eosTokenId!;
  const allowed = (
    pushed: readonly number[],
    options: { state: "start" | "thinking"; mayThink: boolean },
  ) => {
    const constraint = format.constraint({ ends: new Set([end]), ...options });
    for (const id of pushed) constraint.push(id);
    const scores = new Float32Array(tokenizer.vocabSize);
    constraint.apply(scores);
    return { may: (id: number): boolean => scores[id] === 0, finished: constraint.finished };
  };
  const [a, brace, closing] = ["a", "{", "}"].map((each) => each.charCodeAt(0));
  const start = { state: "start", mayThink: true } as const;
  const fresh = allowed([], start);
  assert.deepEqual([open, brace, a, close, end].map(fresh.may), [true, true, false, false, false]);
  const silent = allowed([], { ...start, mayThink: false });
  assert.deepEqual([open, brace].map(silent.may), [false, true]);
  const thinking = allowed([open, a], start);
  assert.deepEqual([a, brace, close, end].map(thinking.may), [true, true, true, false]);
  const opened = allowed([a], { ...start, state: "thinking" });
  assert.deepEqual([a, close, end].map(opened.may), [true, true, false]);
  const after = allowed([open, a, close, 10, 10], start);
  assert.deepEqual([brace, a, open, end].map(after.may), [true, false, false, false]);
  const whole = allowed([open, close, brace, closing], start);
  assert.ok(whole.finished);
  assert.ok(whole.may(end) && !whole.may(a));
});
