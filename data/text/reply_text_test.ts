import assert from "node:assert/strict";
import type { Message, Tool } from "./message.ts";
import { PLACEHOLDER, type RenderMessages, replyText } from "./reply_text.ts";

const user = (content: string): Message => ({ role: "user", content });
const assistant = (content: string, fields: Partial<Message> = {}): Message => ({
  role: "assistant",
  content,
  ...fields,
});
const thinking = (content: string, reasoning_content: string): Message =>
  assistant(content, { reasoning_content });
const call = (name: string, made: unknown): Message["tool_calls"] => [
  { type: "function", function: { name, arguments: made } },
];

/** Renders each message by a function of its own, and what asks for a reply. */
const template = (
  show: (message: Message, index: number, all: readonly Message[]) => string,
  ask = "<assistant>",
): RenderMessages =>
(messages, addGenerationPrompt) => messages.map(show).join("") + (addGenerationPrompt ? ask : "");

const plain = template(({ role, content }) => `<${role}>${content}`);
/** As Qwen3's: thinking in a block before the answer. */
const withThinking = template(({ role, content, reasoning_content: think }) =>
  think === undefined ? `<${role}>${content}` : `<${role}><think>\n${think}\n</think>\n\n${content}`
);
const REMEDY = "give another chat template with --chat-template FILE";

Deno.test("replyText() cuts a chat where its prompt ends", () => {
  const chat = [user("Hi"), assistant("Yo"), user("Go"), assistant("Ok"), user("More")];
  assert.deepEqual(replyText(chat, 1, { render: plain }), {
    prompt: "<user>Hi<assistant>",
    reply: "Yo",
    trimmed: false,
  });
  assert.deepEqual(replyText(chat, 3, { render: plain }), {
    prompt: "<user>Hi<assistant>Yo<user>Go<assistant>",
    reply: "Ok",
    trimmed: false,
  });
  assert.deepEqual(replyText([user("Hi"), thinking("Yo", "Hm")], 1, { render: withThinking }), {
    prompt: "<user>Hi<assistant>",
    reply: "<think>\nHm\n</think>\n\nYo",
    trimmed: false,
  });
});

Deno.test("replyText() renders no empty chat: a reply that comes first is cut at its header", () => {
  const render: RenderMessages = (messages, ask) => {
    assert.ok(messages.length > 0);
    return plain(messages, ask);
  };
  assert.deepEqual(replyText([assistant("Yo"), user("Hi")], 0, { render }), {
    prompt: "<assistant>",
    reply: "Yo",
    trimmed: false,
  });
});

Deno.test("replyText() says whether a template dropped blanks at an end", () => {
  const trims = template(({ role, content, reasoning_content: think = "" }) =>
    `<${role}>${think.trim()}|${content.trim()}`
  );
  const trimmed = (message: Message): boolean =>
    replyText([user("Hi"), message], 1, { render: trims }).trimmed;
  assert.equal(trimmed(assistant("Yo")), false);
  assert.equal(trimmed(assistant(" Yo")), true);
  assert.equal(trimmed(assistant("Yo\n")), true);
  // Line breaks before an answer and around thinking are none of the text.
  assert.equal(trimmed(assistant("\nYo")), false);
  assert.equal(trimmed(thinking("Yo", "\nHm\n")), false);
  assert.equal(trimmed(thinking("Yo", "Hm ")), true);
  assert.equal(trimmed(thinking("Yo ", "Hm")), true);
});

Deno.test("replyText() gives the thinking back to a template that opens it and cuts it out", () => {
  const cuts = template(({ role, content }) => `<${role}>${content}`, "<assistant><think>\n");
  const prompt = "<user>Hi<assistant><think>\n";
  assert.deepEqual(replyText([user("Hi"), thinking("\nYo", "\nHm\n")], 1, { render: cuts }), {
    prompt,
    reply: "Hm\n</think>\n\nYo",
    trimmed: false,
  });
  assert.deepEqual(replyText([user("Hi"), assistant("Yo")], 1, { render: cuts }), {
    prompt,
    reply: "\n</think>\n\nYo",
    trimmed: false,
  });
  // One that shows it, and only breaks the line elsewhere.
  const shows = template(
    ({ role, content, reasoning_content: think }) =>
      `<${role}>${think === undefined ? "" : `<think>\r\n${think}</think>`}${content}`,
    "<assistant><think>\n",
  );
  assert.deepEqual(replyText([user("Hi"), thinking("Yo", "Hm")], 1, { render: shows }), {
    prompt,
    reply: "Hm</think>Yo",
    trimmed: false,
  });
});

Deno.test("replyText() takes the chat's own text where a template renders earlier replies otherwise", () => {
  // As Qwen3's: thinking is shown in the replies to the last user message alone.
  const render = template(({ role, content, reasoning_content: think = "" }, index, all) => {
    const shown = role === "assistant" && index === all.length - 1;
    return `<${role}>${shown ? `<think>${think}</think>` : ""}${content}`;
  });
  const chat = [user("Hi"), thinking("Yo", "Hm"), thinking("Ok", "So")];
  assert.deepEqual(replyText(chat, 2, { render }), {
    prompt: "<user>Hi<assistant>Yo<assistant>",
    reply: "<think>So</think>Ok",
    trimmed: false,
  });
  // The header is the last one before the answer, and not one that follows it.
  const around = template(({ role, content }, index, all) =>
    `<${role}>${content}${index === all.length - 1 ? "<assistant>" : ""}`
  );
  assert.deepEqual(replyText([user("Hi"), assistant("Yo")], 1, { render: around }), {
    prompt: "<user>Hi<assistant>",
    reply: "Yo<assistant>",
    trimmed: false,
  });
});

/** The error of a chat of a user and one reply. */
function refuses(
  render: RenderMessages,
  reply: Message,
  message: string,
  { before = [user("Hi")], tools }: {
    readonly before?: readonly Message[];
    readonly tools?: readonly Tool[];
  } = {},
): void {
  const turn = before.length;
  assert.throws(() => replyText([...before, reply], turn, { render, tools }), {
    name: "Error",
    message: `Cannot make an example of message ${turn}: ${message}`,
  });
}

Deno.test("replyText() names the character where prompt and chat part", () => {
  // Without a generation prompt there is no header to look for.
  const counts: RenderMessages = (messages) =>
    `${"s".repeat(30)}[${messages.length}]${
      messages.map(({ role, content }) => `<${role}>${content}`).join("")
    }`;
  refuses(
    counts,
    assistant("y".repeat(40)),
    "the chat template renders a chat that does not begin with its own prompt; they part at character 31, " +
      `prompt ${JSON.stringify(`${"s".repeat(23)}[1]<user>${"h".repeat(16)}`)}, ` +
      `chat ${JSON.stringify(`${"s".repeat(23)}[2]<user>${"h".repeat(16)}`)}; ${REMEDY}`,
    { before: [user("h".repeat(40))] },
  );
  const parted = (prompt: string, chat: string, at: number): string =>
    "the chat template renders a chat that does not begin with its own prompt; they part at character " +
    `${at}, prompt ${JSON.stringify(prompt)}, chat ${JSON.stringify(chat)}; ${REMEDY}`;
  // The header that it asks with is not the one that it writes.
  refuses(
    template(({ role, content }) => `<${role}>${content}`, "<gen>"),
    assistant("Yo"),
    parted("<user>Hi<gen>", "<user>Hi<assistant>Yo", 9),
  );
  // The last header is an earlier reply's.
  const bot = template(({ role, content }, index) => `<${index === 2 ? "bot" : role}>${content}`);
  refuses(
    bot,
    assistant("Ok"),
    parted("<user>Hi<assistant>Yo<assistant>", "<user>Hi<assistant>Yo<bot>Ok", 22),
    { before: [user("Hi"), assistant("Yo")] },
  );
  // What comes before depends on the answer.
  const length: RenderMessages = (messages, ask) =>
    `${messages.at(-1)!.content.length}${plain(messages, ask)}`;
  refuses(length, assistant("Yo!"), parted("2<user>Hi<assistant>", "3<user>Hi<assistant>Yo!", 0));
  // A prompt that does not begin with the chat has no header that could be found.
  const changes: RenderMessages = (messages, ask) => (ask ? "?" : "!") + plain(messages, ask);
  refuses(changes, assistant("Yo"), parted("?<user>Hi<assistant>", "!<user>Hi<assistant>Yo", 0));
  // The prompt opens the thinking of another chat.
  const other: RenderMessages = (messages, ask) =>
    ask ? "x<think>\n" : `y${plain(messages, false)}`;
  refuses(other, assistant("Yo"), parted("x<think>\n", "y<user>Hi<assistant>Yo", 0));
  assert.equal(PLACEHOLDER, "ORTUNE0ANSWER0PLACE");
});

Deno.test("replyText() names a prompt that asks for no thinking where the reply has some", () => {
  const closes = template(
    ({ role, content }) => `<${role}>${content}`,
    "<think>\n\n</think>\n\n",
  );
  refuses(
    closes,
    thinking("Yo", "Hm"),
    "its prompt asks for no thinking, and the reply has some; leave enable_thinking out, or drop the thinking",
  );
  for (const reply of [assistant("Yo"), thinking("Yo", " \n")]) {
    assert.throws(() => replyText([user("Hi"), reply], 1, { render: closes }), /they part at/);
  }
});

Deno.test("replyText() names thinking or an answer that a template leaves out or changes", () => {
  const lost = (name: string): string =>
    `the chat template leaves its ${name} out of the reply, or changes it; ${REMEDY}`;
  refuses(plain, thinking("Yo", "Hm"), lost("thinking"));
  const shouts = template(({ role, content, reasoning_content: think = "" }) =>
    `<${role}>${think}${role === "assistant" ? content.toUpperCase() : content}`
  );
  refuses(shouts, assistant("Yo"), lost("answer"));
  // The answer is looked for behind the thinking, and one text does not stand for both.
  const once = template(({ role, content }) => `<${role}>${content}`);
  refuses(once, thinking("same", "same"), lost("answer"));
  const swapped = template(({ role, content, reasoning_content: think = "" }) =>
    `<${role}>${content}${think}`
  );
  refuses(swapped, thinking("Yo", "Hm"), lost("answer"));
  const trims = template(({ role, content }) => `<${role}>${content.trim()}`);
  refuses(trims, thinking("same ", " same "), lost("answer"));
});

const tool = (name: unknown): Tool =>
  new Map([["function", new Map([["name", name]])]]) as unknown as Tool;

Deno.test("replyText() names a tool that the prompt does not tell of", () => {
  const tells: RenderMessages = (messages, ask) => `[find]${plain(messages, ask)}`;
  const tools = [tool("find")];
  assert.equal(
    replyText([user("Hi"), assistant("Yo")], 1, { render: tells, tools }).prompt,
    "[find]<user>Hi<assistant>",
  );
  // One without a name cannot be looked for.
  assert.ok(replyText([user("Hi"), assistant("Yo")], 1, { render: plain, tools: [tool(1)] }));
  refuses(
    tells,
    assistant("Yo"),
    'the chat template leaves the tool "look" out of the prompt; ' +
      `${REMEDY}, or leave the tools out with --columns tools=`,
    { tools: [tool(undefined), ...tools, tool("look")] },
  );
});

Deno.test("replyText() names a call that a template leaves out, of the reply or of one before", () => {
  const calls = template(({ role, content, tool_calls = [] }) =>
    `<${role}>${content}${
      tool_calls.map(({ function: { name, arguments: made } }) =>
        `(${name} ${JSON.stringify(made instanceof Map ? [...made.keys()] : made)})`
      ).join("")
    }`
  );
  const made = new Map([["a", 1], ['b"c', 2]]);
  const calling = assistant("Yo", { tool_calls: call("find", made) });
  assert.deepEqual(replyText([user("Hi"), calling], 1, { render: calls }), {
    prompt: "<user>Hi<assistant>",
    // A key may stand in it as JSON writes it.
    reply: 'Yo(find ["a","b\\"c"])',
    trimmed: false,
  });
  const left = (part: string, where: string): string =>
    `the chat template leaves ${
      JSON.stringify(part)
    } of the call of find out of the ${where}; ${REMEDY}`;
  refuses(plain, calling, left("find", "reply"));
  refuses(plain, assistant("Ok"), left("find", "prompt"), {
    before: [user("Hi"), calling, user("Go")],
  });
  const names = template(({ role, content, tool_calls = [] }) =>
    `<${role}>${content}${tool_calls.map(({ function: { name } }) => name).join("")}a`
  );
  refuses(names, calling, left('b"c', "reply"));
  // Arguments that are no Map have no names that are looked for.
  const other = assistant("Yo", { tool_calls: call("find", { zz: 1 }) });
  assert.ok(replyText([user("Hi"), other], 1, { render: names }));
  const two = assistant("Yo", { tool_calls: [...call("find", {})!, ...call("look", {})!] });
  const first = template(({ role, content, tool_calls = [] }) =>
    `<${role}>${content}${tool_calls.slice(0, 1).map(({ function: { name } }) => name).join("")}`
  );
  refuses(
    first,
    two,
    `the chat template leaves "look" of the call of look out of the reply; ${REMEDY}`,
  );
});
