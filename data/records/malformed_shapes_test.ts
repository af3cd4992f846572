import assert from "node:assert/strict";
import { parseRecord } from "./record.ts";
import type { RowColumns } from "./row_shapes.ts";

const user = { role: "user", content: "Hi" };
const bot = { role: "assistant", content: "Yo" };
const human = { from: "human", value: "Hi" };
const call = { type: "function", function: { name: "f", arguments: "{}" } };
const chat = (...messages: unknown[]): Record<string, unknown> => ({ messages });
const gpt = (...conversations: unknown[]): Record<string, unknown> => ({ conversations });

const FIT = "expected the columns of a question and its answer or of a chat";
const NONE_FIT = "name them with --columns question=NAME,answer=NAME";
const said = (content: unknown): Record<string, unknown> => ({ role: "user", content });

/** A row, the exact message after `rows.jsonl:2`, and the columns that were named. */
const corpus: [Record<string, unknown>, string, RowColumns?][] = [
  [{ instruction: "a", output: 4 }, ":output: expected a string, got number 4"],
  [
    { instruction: "", input: "", output: "b" },
    ":instruction: expected some text, got an empty string",
  ],
  [
    { instruction: "a", output: "b", history: [["c"]] },
    ":history[0]: expected [question, answer] or a message, got array of 1",
  ],
  [{ instruction: "a", input: [], output: "b" }, ":input: expected a string, got array of 0"],
  [
    gpt(human),
    ":conversations: expected a reply of the assistant to learn, got none; add it, or drop the row",
  ],
  [
    gpt(human, { from: "critic", value: "x" }),
    ':conversations[1].from: expected system, user, assistant or tool, got string "critic"',
  ],
  [
    gpt(human, { from: "gpt", value: 4 }),
    ":conversations[1].value: expected a string, got number 4",
  ],
  [
    gpt(human, { from: "gpt" }),
    ":conversations: expected a reply of the assistant to learn, got only empty ones; add it, or drop the row",
  ],
  [
    gpt(human, { from: "gpt", value: "a", content: "b" }),
    ':conversations[1].content: expected the same as in value, which means the same, got string "b" beside string "a"; keep one of the two',
  ],
  [
    gpt(human, { from: "function_call", value: "f()" }),
    ':conversations[1].value: expected JSON of {name, arguments}, got string "f()"',
  ],
  [
    gpt(human, { from: "function_call", value: '{"arguments":{}}' }),
    ":conversations[1].value[0].name: expected a string, got nothing",
  ],
  [
    gpt(human, { from: "function_call", value: '{"name":"f","arguments":[1]}' }),
    ":conversations[1].value[0].arguments: expected a JSON object, or its text, got array of 1",
  ],
  [
    gpt(human, { from: "function_call", value: "[]" }),
    ":conversations[1].value: expected a call, got none; write the JSON of {name, arguments}",
  ],
  [
    gpt(human, { from: "function_call", value: '{"name":"f","arguments":{}}', tool_calls: [call] }),
    ":conversations[1].value: expected the call in the text or in tool_calls, got both; keep one",
  ],
  [{ conversations: "Hi" }, ':conversations: expected an array of messages, got string "Hi"'],
  [
    { conversation: [{ human: "a", assistant: "b" }] },
    ":conversation[0].role: expected system, user, assistant or tool, got nothing",
  ],
  [
    gpt(human, {
      from: "gpt",
      value: "<|begin_of_thought|>x<|end_of_thought|><|begin_of_solution|>y<|end_of_solution|>",
      thinking: "z",
    }),
    ":conversations[1].value: expected thinking in one place, got it inside the text and apart; keep one",
  ],
  [{ prompt: "a" }, ":completion: expected a string, got nothing"],
  [{ prompt: "a", completion: "" }, ":completion: expected some text, got an empty string"],
  [
    { prompt: "a", completion: [bot] },
    ':prompt: expected messages, as completion has, got string "a"; write both as texts or both as messages',
  ],
  [
    { prompt: [user], completion: "b" },
    ':completion: expected messages, as prompt has, got string "b"; write both as texts or both as messages',
  ],
  [
    { prompt: [user, bot], completion: [bot] },
    ":prompt: expected a last message of the user or a tool, got one of the assistant; join what the assistant says in the completion",
  ],
  [
    { prompt: [user], completion: [user] },
    ":completion: expected a reply of the assistant to learn, got none; add it, or drop the row",
  ],
  [
    { prompt: "a", completion: "b", system: "s" },
    ":system: expected none beside a prompt and a completion of plain text, where it would be lost; name them with --columns question=prompt,answer=completion where they are a chat",
  ],
  [
    { prompt: "a", completion: "b", tools: [call] },
    ":tools: expected none beside a prompt and a completion of plain text, where it would be lost; name them with --columns question=prompt,answer=completion where they are a chat",
  ],
  [
    { prompt: "a", completion: "b", label: false },
    ":label: label is false: a completion that is marked as bad would be learned; drop the row",
  ],
  [{ prompt: 4, completion: "b" }, ":prompt: expected a string, got number 4"],
  [
    { prompt: [user], completion: [bot], think: "x" },
    ':think: think is "x": beside completion it would be lost; put it into the messages, or remove the column, or leave it out with --columns think=',
  ],
  [
    { messages: [user, bot], question: "a", answer: "b" },
    ": expected columns of one shape, got messages (messages), question and answer (question and answer): any of them may be meant; say which with --columns messages=messages or --columns question=question,answer=answer",
  ],
  [
    { question: "a", answer: "b", response: "c" },
    ": expected columns of one shape, got question and answer (question and answer), question and response (question and answer): any of them may be meant; say which with --columns question=question,answer=answer or --columns question=question,answer=response",
  ],
  [
    { prompt: "a", completion: "b", response: "c" },
    ": expected columns of one shape, got prompt and completion (prompt and completion), prompt and response (question and answer): any of them may be meant; say which with --columns prompt=prompt,completion=completion or --columns question=prompt,answer=response",
  ],
  [
    { messages: [user, bot], conversations: [human, { from: "gpt", value: "x" }] },
    ": expected columns of one shape, got messages (messages), conversations (ShareGPT): any of them may be meant; say which with --columns messages=messages or --columns conversations=conversations",
  ],
  [
    { Question: "a" },
    ": expected the column Response, of --columns answer=Response, got Question",
    { question: "Question", answer: "Response" },
  ],
  [{ q: "a" }, ":answer: expected a string, got nothing", { question: "q" }],
  [{ q: "a", a: 4 }, ":a: expected a string, got number 4", { question: "q", answer: "a" }],
  [
    { foo: 1 },
    ": expected the columns of a question and its answer or of a chat, got foo; name them with --columns question=NAME,answer=NAME",
  ],
  [
    { input: "a", output: "b" },
    ": expected the columns of a question and its answer or of a chat, got input, output; input and output; give --columns question=input,answer=output",
  ],
  [
    { prompt: "a", chosen: "b", rejected: "b" },
    ":rejected: expected another reply than chosen has, got the same: none is preferred; remove the row",
  ],
  [
    { chosen: [], rejected: [] },
    ":chosen: expected 1 to 1024 messages, got 0",
  ],
  [
    { chosen: [user, bot], rejected: [bot] },
    ":rejected: expected the beginning of chosen, which is their prompt, got no message of it; name the prompt's column with --columns prompt=NAME",
  ],
  [
    { chosen: "ab", rejected: "cb" },
    ":rejected: expected the beginning of chosen, which is their prompt, got no character of it; name the prompt's column with --columns prompt=NAME",
  ],
  [
    { prompt: "a", chosen: "b", rejected: " " },
    ":rejected: expected some text, got only blank space",
  ],
  [
    { prompt: "a", chosen: "b", rejected: null },
    ":rejected: expected a string, got null",
  ],
  [
    { prompt: "a", chosen: "b", rejected: "c", system: "s" },
    ":system: expected none beside a prompt and replies of plain text, where it would be lost; name them with --columns question=prompt where they are a chat",
  ],
  [
    { prompt: "a", chosen: "b", rejected: "c", think: "t" },
    ':think: think is "t": beside chosen it would be lost; put it into the messages, or remove the column, or leave it out with --columns think=',
  ],
  [
    { prompt: "a", question: "a", chosen: "b", rejected: "c" },
    ":prompt: expected either prompt or question, got both; leave one out with --columns prompt= or --columns question=",
  ],
  [
    { prompt: [user], chosen: [bot], rejected: "c" },
    ':rejected: expected messages, as chosen has, got string "c"; write both as texts or both as messages',
  ],
  [
    { prompt: [user], chosen: [bot], rejected: [{ ...bot, content: "" }] },
    ":rejected: expected a reply of the assistant to learn, got only empty ones; add it, or drop the row",
  ],
  [
    { prompt: [user], chosen: [bot], rejected: [bot, user, { ...bot, content: "b" }] },
    ":rejected: expected one reply of the assistant after what both share, got 3 messages; put what was said before the reply into both",
  ],
  [
    { prompt: [user, bot], chosen: [bot], rejected: [{ ...bot, content: "b" }] },
    ":prompt: expected a last message of the user or a tool before the replies, got one of the assistant",
  ],
  [
    { prompt: "Ho", chosen: [user, bot], rejected: [user, { ...bot, content: "b" }] },
    ':prompt: expected messages, or the user\'s last message that chosen and rejected share, got string "Ho"; leave it out with --columns prompt=',
  ],
  [
    { id: 1, dialog: [{ role: "user", content: "a" }] },
    ': expected the columns of a question and its answer or of a chat, got id, dialog; "dialog" looks like messages: name it with --columns messages=dialog',
  ],
  [
    { text: "a" },
    ": expected the columns of a question and its answer or of a chat, got text; plain text, of which no reply can be told apart; write question and answer",
  ],
  [
    { ...chat(user, bot), tools: "x" },
    ':tools: expected an array of tools, or its JSON, got string "x"',
  ],
  [
    { ...chat(user, bot), tools: { a: 1 } },
    ":tools: expected an array of tools, or its JSON, got object",
  ],
  [{ ...chat(user, bot), tools: [1] }, ":tools[0]: expected a tool, got number 1"],
  [
    { ...chat(user, bot), tools: [{ type: "web_search" }] },
    ':tools[0].type: expected function, got string "web_search"; only functions are called',
  ],
  [
    { ...chat(user, bot), tools: [{ type: "function", function: {} }] },
    ":tools[0].function.name: expected a string, got nothing",
  ],
  [
    { ...chat(user, bot), tools: [{ type: "custom", function: { name: "f" } }] },
    ':tools[0].type: expected function, got string "custom"; only functions are called',
  ],
  [
    { ...chat(user, bot), tools: [{ function: "f" }] },
    ':tools[0].function: expected an object, got string "f"',
  ],
  [
    { ...chat(user, bot), tools: 4 },
    ":tools: expected an array of tools, or its JSON, got number 4",
  ],
  [
    chat(user, { ...bot, tool_calls: { a: 1 } }),
    ":messages[1].tool_calls: expected an array of calls, got object",
  ],
  [
    chat(user, { ...bot, tool_calls: [4] }),
    ":messages[1].tool_calls[0]: expected a call, got number 4",
  ],
  [
    chat(user, { ...bot, tool_calls: [{}] }),
    ":messages[1].tool_calls[0].name: expected a string, got nothing",
  ],
  [
    chat(user, { ...bot, tool_calls: [{ type: "custom", function: { name: "f" } }] }),
    ':messages[1].tool_calls[0].type: expected function, got string "custom"; only functions are called',
  ],
  [
    chat(user, { ...bot, tool_calls: [{ function: { name: "f" } }] }),
    ":messages[1].tool_calls[0].function.arguments: expected a JSON object, or its text, got nothing",
  ],
  [
    chat(user, { ...bot, tool_calls: [{ function: { name: "f", arguments: "x" } }] }),
    ':messages[1].tool_calls[0].function.arguments: expected a JSON object, or its text, got string "x"',
  ],
  [
    chat(user, { ...bot, tool_calls: [{ function: { name: "f", arguments: "[1]" } }] }),
    ':messages[1].tool_calls[0].function.arguments: expected a JSON object, or its text, got string "[1]"',
  ],
  [
    chat(user, { ...bot, tool_calls: [{ function: "f" }] }),
    ':messages[1].tool_calls[0].function: expected {name, arguments}, got string "f"',
  ],
  [
    chat(user, { ...bot, tool_calls: [{ name: "f", function: { name: "f", arguments: "{}" } }] }),
    ":messages[1].tool_calls[0].name: expected it in function alone; keep one",
  ],
  [
    chat(user, { ...bot, tool_calls: [{ ...call, id: 4 }] }),
    ":messages[1].tool_calls[0].id: expected a string, got number 4",
  ],
  [
    chat(user, { ...bot, tool_calls: "x" }),
    ':messages[1].tool_calls: expected JSON of {name, arguments}, got string "x"',
  ],
  [
    chat(user, { ...bot, tool_calls: Array(129).fill(call) }),
    ":messages[1].tool_calls: expected up to 128 calls, got 129",
  ],
  [
    chat(user, { ...bot, tool_calls: [call], function_call: { name: "f", arguments: "{}" } }),
    ":messages[1].function_call: expected tool_calls alone, of which function_call is the older name; keep one of the two",
  ],
  [
    chat(user, { ...bot, function_call: "f" }),
    ':messages[1].function_call: expected a call, got string "f"',
  ],
  [
    chat({ ...user, tool_calls: [call] }, bot),
    ":messages[0]: expected calls of the assistant alone, got them in another's message",
  ],
  [chat(user, { role: "tool" }, bot), ":messages[1].content: expected a string, got nothing"],
  [
    chat(user, { role: "tool", content: 4 }, bot),
    ":messages[1].content: expected a string, got number 4",
  ],
  [
    chat(user, { ...bot, tool_calls: [{ ...call, id: "a" }] }, {
      role: "tool",
      content: "x",
      tool_call_id: "b",
    }, bot),
    ':messages: expected each tool_call_id to name a call, got string "b", which no call has',
  ],
  [
    chat(user, { ...bot, tool_calls: [{ ...call, id: "a" }] }, {
      role: "tool",
      content: "x",
      tool_call_id: 4,
    }, bot),
    ":messages[2].tool_call_id: expected a string, got number 4",
  ],
  [
    chat(user, { role: "critic", content: "x" }, bot),
    ':messages[1].role: expected system, user, assistant or tool, got string "critic"',
  ],
  [
    chat(user, { role: 4, content: "x" }),
    ":messages[1].role: expected system, user, assistant or tool, got number 4",
  ],
  [
    chat(user, { content: "x" }),
    ":messages[1].role: expected system, user, assistant or tool, got nothing",
  ],
  [
    chat(user, { ...bot, from: "human" }),
    ':messages[1].from: expected the same as in role, which means the same, got string "human" beside string "assistant"; keep one of the two',
  ],
  [
    { think: "a", messages: [user, bot] },
    ':think: think is "a": beside messages it would be lost; put it into the messages, or remove the column, or leave it out with --columns think=',
  ],
  [
    { history: [["a", "b"]], messages: [user, bot] },
    ':history: history is [["a","b"]]: beside messages it would be lost; put it into the messages, or remove the column, or leave it out with --columns history=',
  ],
  [
    chat(user, { ...bot, content: "<think>hm</think>" }),
    ":messages[1].content: expected an answer after the thinking, got none: learning it, the model would stop there",
  ],
  [
    chat(user, { ...bot, tool_calls: [{ name: "f", arguments: { a: "\ud800" } }] }),
    ":messages[1].tool_calls[0].arguments: expected a JSON object, or its text, got object",
  ],
  // A part of a message.
  [
    chat(said([{ type: "image", text: "x" }]), bot),
    ':messages[0].content[0]: expected a part of type text, got string "image"; the model reads text only',
  ],
  [
    chat(said(["a", { type: "text", text: 4 }]), bot),
    ':messages[0].content[1]: expected a part of type text, got string "text"; the model reads text only',
  ],
  [
    chat(said([{ text: 4 }]), bot),
    ":messages[0].content[0]: expected a part of type text, got number 4; the model reads text only",
  ],
  [
    chat(said([{ type: "text", text: "a", id: 1, image: "x" }]), bot),
    ":messages[0].content[0].image: expected type and text alone; the model reads text only",
  ],
  [chat(said([4]), bot), ":messages[0].content[0]: expected a part of text, got number 4"],
  [
    chat(said(["a\ud800"]), bot),
    ":messages[0].content[0]: expected valid Unicode, got a lone surrogate",
  ],
  // Which of several says whether a reply is learned.
  [
    chat(user, { ...bot, weight: 0, train: false, loss: true }),
    ":messages[1].loss: expected what weight says, got boolean true: one has the reply learned and the other not; keep one",
  ],
  [
    chat(user, { ...bot, content: "<think>hm</think>", weight: 1 }),
    ":messages[1].content: expected an answer after the thinking, got none: learning it, the model would stop there",
  ],
  [
    chat(user, { ...bot, content: "", thinking: "hm" }),
    ":messages[1].content: expected an answer after the thinking, got none: learning it, the model would stop there",
  ],
  // One more than is read.
  [
    { question: "a", answer: "b", history: Array(1025).fill(["a", "b"]) },
    ":history: expected up to 1024 turns, got 1025",
  ],
  [
    { question: "a", answer: "b", history: [["c", 4]] },
    ":history[0][1]: expected a string, got number 4",
  ],
  [
    { question: "a", answer: "b", history: [["", "d"]] },
    ":history[0][0]: expected some text, got an empty string",
  ],
  [
    { question: "a", answer: "b", history: [["c", "<think>d</think>"]] },
    ":history[0][1]: expected an answer after the thinking, got none: learning it, the model would stop there",
  ],
  [
    { question: "a", answer: "b", history: 4 },
    ":history: expected an array of [question, answer], got number 4",
  ],
  [
    { ...chat(user, bot), tools: Array(1025).fill({ name: "f" }) },
    ":tools: expected up to 1024 tools, got 1025",
  ],
  [{ ...chat(user, bot), tools: [{ name: 4 }] }, ":tools[0].name: expected a string, got number 4"],
  // What the template is asked for.
  [
    { ...chat(user, bot), chat_template_kwargs: { enable_thinking: "no" } },
    ":chat_template_kwargs: expected enable_thinking true or false and nothing else, got enable_thinking; remove the rest",
  ],
  [
    { ...chat(user, bot), chat_template_kwargs: { enable_thinking: true, a: 1 } },
    ":chat_template_kwargs: expected enable_thinking true or false and nothing else, got a; remove the rest",
  ],
  [
    { ...chat(user, bot), chat_template_kwargs: [1] },
    ":chat_template_kwargs: expected enable_thinking true or false and nothing else, got value; remove the rest",
  ],
  [
    { ...chat({ role: "system", content: "b" }, user, bot), system_prompt: "a" },
    ":system_prompt: expected the system message of messages, got another text; keep one of the two",
  ],
  // Of two columns of one meaning the first is named.
  [
    { ...gpt(human), conversation: gpt(human).conversations, messages: [user] },
    ": expected columns of one shape, got messages (messages), conversations (ShareGPT): any of them may be meant; say which with --columns messages=messages or --columns conversations=conversations",
  ],
  [
    Object.fromEntries(Array.from("abcdefgh", (name) => [name, 1])),
    `: ${FIT}, got a, b, c, d, e, f, g, h; ${NONE_FIT}`,
  ],
  [
    Object.fromEntries(Array.from("abcdefghi", (name) => [name, 1])),
    `: ${FIT}, got a, b, c, d, e, f, g, h and 1 more; ${NONE_FIT}`,
  ],
  [{ data: [1, { a: 1 }], more: [] }, `: ${FIT}, got data, more; ${NONE_FIT}`],
  [
    { more: [], data: [{ from: "x" }] },
    `: ${FIT}, got more, data; "data" looks like messages: name it with --columns messages=data`,
  ],
  [
    { input_ids: [1] },
    `: ${FIT}, got input_ids; data that is tokenized already; give the text it was made of`,
  ],
];

Deno.test(`parseRecord() names the fault of ${corpus.length} rows of all shapes exactly`, () => {
  for (const [row, problem, columns] of corpus) {
    assert.throws(() => parseRecord(row, { file: "rows.jsonl", line: 2 }, { columns }), {
      name: "JsonlError",
      message: `rows.jsonl:2${problem}`,
    });
  }
});

Deno.test("parseRecord() tells how to write the rows that stand in one object", () => {
  const file = { version: 1, data: [{ question: "a", answer: "b" }] };
  assert.throws(() => parseRecord(file, { file: "rows.json", line: 1 }), {
    name: "JsonlError",
    message:
      "rows.json:1: expected the columns of a question and its answer or of a chat, got version, data; where " +
      `rows stand in "data", write them one a line: jq -c '.["data"][]' rows.json > rows.jsonl`,
  });
});
