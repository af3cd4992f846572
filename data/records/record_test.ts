import assert from "node:assert/strict";
import { PythonNumber } from "../../internal/json/python_json.ts";
import { parseRecord, recordsOf, toMessages } from "./record.ts";

const where = { file: "train.jsonl", line: 12 };
const user = { role: "user", content: "Hi" } as const;

Deno.test("parseRecord() keeps question, think and answer and ignores other columns", () => {
  assert.deepEqual(
    parseRecord({ Instruction: "x", question: "q", think: "t", answer: "a", metrics: 4 }, where),
    { kind: "question", question: "q", think: "t", answer: "a" },
  );
});

Deno.test("parseRecord() tells a null or missing think from an empty one", () => {
  const think = (value: Record<string, unknown>): unknown => {
    const record = parseRecord({ question: "q", answer: "a", ...value }, where);
    return record.kind === "question" ? record.think : undefined;
  };
  assert.deepEqual([think({}), think({ think: null }), think({ think: "" })], [null, null, ""]);
});

const read = (row: Record<string, unknown>): [ReturnType<typeof parseRecord>, string[]] => {
  const unread: string[] = [];
  const onUnread = (field: string, remedy?: string): void => void unread.push(remedy ?? field);
  return [parseRecord(row, where, { onUnread }), unread];
};
const bot = { role: "assistant", content: "Yo" } as const;

Deno.test("parseRecord() reads messages, and names what else the row holds", () => {
  const reply = { ...bot, reasoning_content: "Hm", name: "x", tool_calls: [], mood: 1 };
  const [record, unread] = read({ question: 4, id: 7, messages: [{ ...user, name: "y" }, reply] });
  assert.deepEqual(record, {
    kind: "chat",
    messages: [{ ...user, name: "y" }, { ...bot, reasoning_content: "Hm", name: "x" }],
  });
  assert.deepEqual(unread, ["question", "messages[].mood"]);
});

Deno.test("parseRecord() reads thinking under all its names, in any letter case", () => {
  for (const name of ["reasoning", "thinking", "reasoning_content", "Think", "Complex_CoT"]) {
    const expected = { kind: "question", question: "q", think: "t", answer: "a" };
    assert.deepEqual(read({ Question: "q", [name]: "t", ANSWER: "a" }), [expected, []]);
    const [chat, unread] = read({ messages: [user, { ...bot, [name]: "t" }] });
    const messages = [user, { ...bot, reasoning_content: "t" }];
    assert.deepEqual([chat, unread], [{ kind: "chat", messages }, []]);
  }
  const twice = { question: "q", think: null, reasoning: "t", thinking: "t", answer: "a" };
  assert.deepEqual(read(twice)[0], { kind: "question", question: "q", think: "t", answer: "a" });
});

Deno.test("parseRecord() reads which replies are to be learned", () => {
  const off = [
    { weight: 0 },
    { train: false },
    { loss: false },
    { loss_mask: 0 },
    { trainable: false },
    { training: false },
    { masked: true },
  ];
  for (const flag of off) {
    const [record, unread] = read({ messages: [user, { ...bot, ...flag }, user, bot] });
    const messages = [user, { ...bot, learn: false }, user, bot];
    assert.deepEqual([record, unread], [{ kind: "chat", messages }, []], JSON.stringify(flag));
  }
  for (const flag of [{ weight: 1 }, { train: true, loss: 1 }, { mask: 0 }]) {
    const [record] = read({ messages: [user, { ...bot, ...flag }] });
    assert.deepEqual(record, { kind: "chat", messages: [user, { ...bot, learn: true }] });
  }
  const [, unread] = read({ messages: [{ ...user, train: true }, bot] });
  assert.deepEqual(unread, ["only replies of the assistant are learned"]);
});

Deno.test("parseRecord() reads system, input and history beside a question", () => {
  const row = { question: "q", input: "i", answer: "a", system: "s", history: [["x", "y"]] };
  const [record, unread] = read(row);
  assert.deepEqual(toMessages(record, { system: "other" }), [
    { role: "system", content: "s" },
    { role: "user", content: "x" },
    { role: "assistant", content: "y", reasoning_content: "" },
    { role: "user", content: "q\ni" },
    { role: "assistant", content: "a", reasoning_content: "" },
  ]);
  assert.deepEqual(unread, []);
  const none = read({ question: "q", answer: "a", system: "" })[0];
  assert.deepEqual(toMessages(none, { system: "other" })[0].role, "user");
  const turns = [user, { ...bot, weight: 0 }];
  const chat = read({ question: "q", answer: "a", history: turns })[0];
  assert.deepEqual(toMessages(chat).slice(0, 2), [user, {
    ...bot,
    learn: false,
    reasoning_content: "",
  }]);
});

Deno.test("parseRecord() reads a system column beside messages", () => {
  const system = { role: "system", content: "s" };
  for (const messages of [[user, bot], [system, user, bot]]) {
    const [record] = read({ system: "s", messages });
    assert.deepEqual(toMessages(record)[0], system);
  }
});

Deno.test("parseRecord() joins text parts, takes developer for system, and leaves empty messages out", () => {
  const parts = (...texts: string[]) => texts.map((text) => ({ type: "text", text }));
  const messages = [
    { role: "developer", content: "Be brief." },
    { role: "system", content: "" },
    { role: "user", content: parts("H", "i") },
    { role: "assistant", content: null },
    { role: "user", content: "?" },
    { role: "assistant", content: parts("Yo") },
    user,
  ];
  assert.deepEqual(read({ messages })[0], {
    kind: "chat",
    messages: [
      { role: "system", content: "Be brief." },
      user,
      { role: "assistant", content: "", learn: false },
      { role: "user", content: "?" },
      bot,
    ],
  });
});

Deno.test("parseRecord() reads enable_thinking of chat_template_kwargs", () => {
  const [record] = read({
    messages: [user, bot],
    chat_template_kwargs: { enable_thinking: false },
  });
  assert.ok(record.kind === "chat" && record.enableThinking === false);
});

Deno.test("parseRecord() names known fields that are not honoured, with their value", () => {
  const [, unread] = read({ question: "q", answer: "a", weight: 0.5, hint: "h", rejected: "b" });
  assert.deepEqual(unread, [
    "weight is 0.5: all rows weigh the same; repeat a row to weigh it more, or leave it out",
    'rejected is "b": preferences are not trained on: the answer alone is learned',
    "hint",
  ]);
});

Deno.test("toMessages() prepends the system prompt to a question", () => {
  const record = { kind: "question", question: "q", think: "t", answer: "a" } as const;
  const chat = [
    { role: "user", content: "q" },
    { role: "assistant", content: "a", reasoning_content: "t" },
  ];
  assert.deepEqual(toMessages(record), chat);
  assert.deepEqual(toMessages(record, { system: "s" }), [
    { role: "system", content: "s" },
    ...chat,
  ]);
});

Deno.test("toMessages() gives an empty thinking for a think that is null or empty", () => {
  for (const think of [null, ""]) {
    const [, reply] = toMessages({ kind: "question", question: "q", think, answer: "a" });
    assert.deepEqual(reply, { role: "assistant", content: "a", reasoning_content: "" });
  }
});

Deno.test("toMessages() finds thinking inside the answer, and tags inside the think column", () => {
  const reply = { role: "assistant", content: "a", reasoning_content: "t" };
  for (
    const row of [
      { think: null, answer: "<think>\nt\n</think>\n\na" },
      { think: "<think>t</think>\n", answer: "a" },
      { think: "t", answer: "a" },
      { think: "t", answer: "<think>t</think>a" },
    ]
  ) {
    assert.deepEqual(toMessages({ kind: "question", question: "q", ...row })[1], reply);
  }
  // What has text beside its tags is thinking as it stands: nothing of it is lost.
  for (const think of ["<think>t</think> and more", "first <think>t</think>", "a <think> b"]) {
    const [, { reasoning_content }] = toMessages({
      kind: "question",
      question: "q",
      think,
      answer: "a",
    });
    assert.equal(reasoning_content, think);
  }
});

Deno.test("toMessages() prepends the system prompt to a chat only if the chat has none", () => {
  const bot = { role: "assistant", content: "<think>t</think>a" } as const;
  const split = { role: "assistant", content: "a", reasoning_content: "t" };
  const own = { role: "system", content: "own" } as const;
  const system = { role: "system", content: "s" };
  assert.deepEqual(toMessages({ kind: "chat", messages: [user, bot] }, { system: "s" }), [
    system,
    user,
    split,
  ]);
  assert.deepEqual(toMessages({ kind: "chat", messages: [own, user, bot] }, { system: "s" }), [
    own,
    user,
    split,
  ]);
});

Deno.test("toMessages() leaves tags in the content of a reply whose thinking is apart", () => {
  const bot = { role: "assistant", content: "use </think>", reasoning_content: "t" } as const;
  assert.deepEqual(toMessages({ kind: "chat", messages: [user, bot] })[1], bot);
});

Deno.test("parseRecord() says what a row was found to be, and from which columns", () => {
  const human = { from: "human", value: "Hi" };
  const shapes: [Record<string, unknown>, string, string[], Record<string, string>?][] = [
    [{ messages: [user, bot], system: "s", question: "q" }, "messages", ["messages", "system"]],
    [{ conversations: [human, { from: "gpt", value: "a" }] }, "ShareGPT", ["conversations"]],
    [{ instruction: "q", input: null, output: "a" }, "Alpaca", ["instruction", "output"]],
    [{ prompt: "q", completion: "a" }, "prompt and completion", ["prompt", "completion"]],
    [{ prompt: "q", chosen: "a", rejected: "b" }, "preference pair", [
      "prompt",
      "chosen",
      "rejected",
    ]],
    // The chosen reply alone.
    [{ prompt: "q", chosen: "a", rejected: "b" }, "question and answer", [
      "question=prompt",
      "answer=chosen",
    ], { question: "prompt", answer: "chosen" }],
    [{ Question: "q", Complex_CoT: "t", Response: "a" }, "question and answer", [
      "Question",
      "think=Complex_CoT",
      "answer=Response",
    ]],
    [{ q: "q", a: "a" }, "question and answer", ["question=q", "answer=a"], {
      question: "q",
      answer: "a",
    }],
    // What is empty names no shape.
    [
      { question: "q", answer: "a", messages: [], prompt: "", completion: null },
      "question and answer",
      [
        "question",
        "answer",
      ],
    ],
  ];
  for (const [row, name, names, columns] of shapes) {
    const found: unknown[] = [];
    parseRecord(row, where, { columns, onShape: (shape) => found.push(shape) });
    assert.deepEqual(found, [{ name, columns: names }]);
  }
});

Deno.test("parseRecord() tells of columns that --columns names in vain, and reads none that it empties", () => {
  const unread: string[] = [];
  const onUnread = (field: string, remedy?: string): void => void unread.push(remedy ?? field);
  const columns = { think: "CoT", system: "" };
  const row = { question: "q", answer: "a", system: "s", cot: "t" };
  assert.deepEqual(parseRecord(row, where, { columns, onUnread }), {
    kind: "question",
    question: "q",
    think: null,
    answer: "a",
  });
  assert.deepEqual(unread, ["system", "cot", "--columns think=CoT names no column of the row"]);
});

Deno.test("parseRecord() takes thinking off its tags, and tells so", () => {
  const value = "<|begin_of_thought|>\n\nHm.\n\n<|end_of_thought|>\n\n" +
    "<|begin_of_solution|>\n\nYo\n\n<|end_of_solution|>";
  const [record, unread] = read({
    conversations: [{ from: "user", value: "Hi" }, { from: "assistant", value }],
  });
  assert.deepEqual(record, {
    kind: "chat",
    messages: [user, { ...bot, reasoning_content: "Hm." }],
  });
  assert.match(unread[0], /are read as thinking and answer, and not taught$/);
});

Deno.test("parseRecord() reads calls of tools, and only an answer of theirs makes a chat", () => {
  const args = new Map([["a", new PythonNumber("1.0")]]);
  const call = { type: "function", function: { name: "f", arguments: args } } as const;
  const tools = [{ name: "f", parameters: {} }];
  const sent = {
    role: "assistant",
    content: null,
    tool_calls: [{ name: "f", arguments: '{"a": 1.0}' }],
  };
  const [record, unread] = read({ tools, messages: [user, sent] });
  assert.deepEqual(record, {
    kind: "chat",
    messages: [user, { role: "assistant", content: "", tool_calls: [call] }],
    tools: [
      new Map<string, unknown>([
        ["type", "function"],
        ["function", new Map<string, unknown>([["name", "f"], ["parameters", new Map()]])],
      ]),
    ],
  });
  assert.deepEqual(unread, []);
});

Deno.test("toMessages() refuses plain text, which is no chat", () => {
  const record = { kind: "text", prompt: "a", completion: "b" } as const;
  assert.throws(() => toMessages(record), { name: "TypeError", message: /use toTextExample$/ });
});

Deno.test("parseRecord() splits replies that hold their prompt where they part, a blank left to them", () => {
  const texts = (row: Record<string, unknown>) => {
    const parsed = parseRecord(row, where);
    assert.ok("chosen" in parsed);
    return [parsed.chosen, parsed.rejected];
  };
  const text = (prompt: string, completion: string) => ({ kind: "text", prompt, completion });
  assert.deepEqual(texts({ chosen: "The sky is blue.", rejected: "The sky is red." }), [
    text("The sky is", " blue."),
    text("The sky is", " red."),
  ]);
  assert.deepEqual(texts({ chosen: "🎉🎊", rejected: "🎉🎈" }), [
    text("🎉", "🎊"),
    text("🎉", "🎈"),
  ]);
  assert.deepEqual(texts({ prompt: "P", chosen: "c", rejected: "r" }), [
    text("P", "c"),
    text("P", "r"),
  ]);
});

Deno.test("parseRecord() reads as many messages, turns, calls and tools as it says", () => {
  const call = { type: "function", function: { name: "f", arguments: "{}" } };
  const chat = parseRecord({
    messages: [...Array(1023).fill(user), { ...bot, tool_calls: Array(128).fill(call) }],
    tools: Array(1024).fill({ name: "f" }),
  }, where);
  assert.ok(chat.kind === "chat");
  assert.deepEqual(
    [chat.messages.length, chat.messages.at(-1)!.tool_calls!.length, chat.tools!.length],
    [1024, 128, 1024],
  );
  const asked = parseRecord(
    { question: "q", answer: "a", history: Array(1024).fill(["x", "y"]) },
    where,
  );
  assert.ok(asked.kind === "question");
  assert.equal(asked.history!.length, 2048);
});

Deno.test("parseRecord() ends a chat with its last reply that is learned, or reads it whole", () => {
  const off = { ...bot, weight: 0 };
  const kept = { ...bot, learn: false };
  const cases = [
    [[user, bot, user], [user, bot]],
    [[user, bot, user, off], [user, bot]],
    [[user, off, user, bot, user, user], [user, kept, user, bot]],
    [[user, off, user], [user, kept, user]],
    [[user, bot, user, { ...bot, content: "" }, user], [user, bot]],
  ];
  for (const [messages, expected] of cases) {
    assert.deepEqual(read({ messages })[0], { kind: "chat", messages: expected });
  }
  // Thinking alone is no reply to learn, but may stand in a prompt.
  const begun = { ...off, content: "<think>hm</think>" };
  assert.deepEqual(read({ messages: [user, begun, user, bot] })[0], {
    kind: "chat",
    messages: [user, { ...bot, content: "<think>hm</think>", learn: false }, user, bot],
  });
});

Deno.test("parseRecord() reads what tools answer, whatever names the call", () => {
  const made = (id?: string) => ({
    type: "function",
    function: { name: "f", arguments: new Map() },
    ...id === undefined ? {} : { id },
  });
  const asks = (...ids: (string | undefined)[]) => ({
    role: "assistant",
    content: null,
    tool_calls: ids.map((id) => ({ ...made(id), function: { name: "f", arguments: "{}" } })),
  });
  const sent = (...ids: (string | undefined)[]) => ({
    role: "assistant",
    content: "",
    tool_calls: ids.map(made),
  });
  const tool = { role: "tool", content: "1" } as const;
  const cases = [
    // A call without an id is named by none.
    [[asks(undefined), { ...tool, tool_call_id: "b" }], [sent(undefined), {
      ...tool,
      tool_call_id: "b",
    }]],
    [[asks("a", undefined), tool, { ...tool, tool_call_id: "a", name: "f" }], [
      sent("a", undefined),
      tool,
      { ...tool, tool_call_id: "a", name: "f" },
    ]],
    [
      [asks("a", "b"), { ...tool, content: { x: [1] } }, {
        ...tool,
        content: ["1", { text: "2" }],
      }],
      [
        sent("a", "b"),
        { ...tool, content: '{"x":[1]}' },
        { ...tool, content: "12" },
      ],
    ],
    [[
      { from: "function_call", value: '<think>\nHm.\n</think>\n\n{"name": "f", "arguments": {}}' },
      tool,
    ], [
      { ...sent(undefined), reasoning_content: "Hm." },
      tool,
    ]],
    [[{ ...bot, content: null, function_call: { name: "f", arguments: "{}" } }, tool], [
      sent(undefined),
      tool,
    ]],
  ];
  for (const [messages, expected] of cases) {
    const [record, unread] = read({ messages: [user, ...messages, bot] });
    assert.deepEqual(record, { kind: "chat", messages: [user, ...expected, bot] });
    assert.deepEqual(unread, []);
  }
});

Deno.test("parseRecord() tells of each field of a message and a call that it does not read, and why", () => {
  const told: unknown[][] = [];
  const call = {
    index: 0,
    id: null,
    type: null,
    odd: 1,
    function: { name: "f", arguments: "{}", strict: true },
  };
  const messages = [
    { ...user, tool_call_id: "a", thinking: "hm" },
    { ...user, tool_call_id: null, thinking: "" },
    { ...bot, tool_calls: [call], train: true },
    { role: "tool", content: "1", tool_call_id: null, train: 1, name: null },
    { ...user, train: false },
    {
      ...bot,
      content: [{ text: "Yo", index: 0, id: "x", annotations: [], cache_control: {}, odd: null }],
    },
  ];
  const record = parseRecord({ messages }, where, {
    onUnread: (...each: unknown[]) => void told.push(each),
  });
  assert.deepEqual(told, [
    [
      "messages[]: thinking of a message that is not the assistant's",
      "thinking is read of the assistant only",
    ],
    ["messages[]: a tool_call_id of a message that is not a tool's"],
    ["messages[].tool_calls[].odd"],
    ["messages[].tool_calls[].function.strict"],
    [
      "messages[]: a flag to train on a message that is not the assistant's",
      "only replies of the assistant are learned",
    ],
  ]);
  assert.deepEqual(record, {
    kind: "chat",
    messages: [
      user,
      user,
      {
        ...bot,
        tool_calls: [{ type: "function", function: { name: "f", arguments: new Map() } }],
        learn: true,
      },
      { role: "tool", content: "1" },
      user,
      bot,
    ],
  });
});

Deno.test("parseRecord() reads roles under all their names", () => {
  const roles = {
    system: ["system", "developer", "System"],
    user: ["user", "human", "prompter", "USER"],
    assistant: ["assistant", "gpt", "bot", "model", "ai", "chatgpt"],
    tool: ["tool", "function", "observation", "ipython"],
  };
  for (const [role, names] of Object.entries(roles)) {
    for (const name of names) {
      const [record] = read({ messages: [{ role: name, content: "x" }, bot] });
      assert.deepEqual(record, { kind: "chat", messages: [{ role, content: "x" }, bot] }, name);
    }
  }
});

Deno.test("parseRecord() leaves columns out that are named empty, and finds named ones in any letter case", () => {
  const both = { question: "q", answer: "a", messages: [user, bot] };
  const question = { kind: "question", question: "q", think: null, answer: "a" };
  assert.deepEqual(parseRecord(both, where, { columns: { messages: "" } }), question);
  const told: string[] = [];
  const options = { columns: { think: "cot" }, onUnread: (field: string) => void told.push(field) };
  assert.deepEqual(parseRecord({ question: "q", answer: "a", CoT: "t" }, where, options), {
    ...question,
    think: "t",
  });
  assert.deepEqual(told, []);
  // A tool may have a type of its own beside its name.
  const tool = { type: "custom", name: "f" };
  assert.deepEqual(parseRecord({ messages: [user, bot], tools: [tool] }, where), {
    kind: "chat",
    messages: [user, bot],
    tools: [
      new Map<string, unknown>([["type", "function"], ["function", new Map(Object.entries(tool))]]),
    ],
  });
});

Deno.test("parseRecord() reads a system column that says nothing beside a system message", () => {
  const own = { role: "system", content: "own" } as const;
  const [record] = read({ system: "", messages: [own, user, bot] });
  assert.deepEqual(record, { kind: "chat", messages: [own, user, bot], system: "" });
  assert.deepEqual(read({ system: null, tools: "[]", messages: [user, bot] })[0], {
    kind: "chat",
    messages: [user, bot],
  });
});

Deno.test("recordsOf() gives both of a pair, and toMessages() the chosen one below the system prompt", () => {
  const pair = parseRecord({ question: "q", chosen: "a", rejected: "b" }, where);
  assert.ok(pair.kind === "pair");
  assert.deepEqual(recordsOf(pair), [pair.chosen, pair.rejected]);
  assert.deepEqual(recordsOf(pair.chosen as never), [pair.chosen]);
  assert.deepEqual(toMessages(pair, { system: "s" }), [
    { role: "system", content: "s" },
    { role: "user", content: "q" },
    { role: "assistant", content: "a", reasoning_content: "" },
  ]);
});
