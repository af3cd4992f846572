import assert from "node:assert/strict";
import { checkChatTemplate, renderChat } from "./chat_template.ts";
import type { Message } from "./message.ts";
import { qwen3Tokenizer } from "../../tests/support/qwen3_tokenizer.ts";

// Expected texts are transformers 4.57.6's:
//   tok.chat_template = json.load(open("tokenizer_config.json"))["chat_template"]
//   tok.apply_chat_template(messages, tokenize=False, add_generation_prompt=…)
const qwen3 = (await qwen3Tokenizer()).chatTemplate!;

const chatML = `{% for message in messages %}
{% if loop.first and messages[0]['role'] != 'system' %}
{{ '<|im_start|>system\\nYou are helpful.<|im_end|>\\n' -}}
{% endif %}
{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' -}}
{% endfor %}
{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}
`;
const llama3 = `{{- bos_token }}
{%- if not date_string is defined %}{%- if strftime_now is defined %}
{%- set date_string = strftime_now("%d %b %Y") %}{%- endif %}{%- endif %}
{%- if messages[0]['role'] == 'system' %}
  {%- set system_message = messages[0]['content'] | trim %}{%- set messages = messages[1:] %}
{%- else %}{%- set system_message = "" %}{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\nToday Date: " + date_string + "\\n\\n" }}
{{- system_message + "<|eot_id|>" }}
{%- for message in messages %}
  {%- if message.content == 'refuse me' %}{{- raise_exception('no such talk') }}{%- endif %}
  {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' }}
  {{- message['content'] | trim + '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}
`;

const system: Message = { role: "system", content: "你是一个医学专家。" };
const user: Message = { role: "user", content: "感冒了怎么办？" };
const reply: Message = {
  role: "assistant",
  content: "多喝水。",
  reasoning_content: "嗯，先判断。",
};
const prompt = { addGenerationPrompt: true };
const whole = { addGenerationPrompt: false };

Deno.test("renderChat() ends Qwen3's prompt at the assistant's line, thinking left open", () => {
  const text =
    "<|im_start|>system\n你是一个医学专家。<|im_end|>\n<|im_start|>user\n感冒了怎么办？<|im_end|>\n" +
    "<|im_start|>assistant\n";
  assert.equal(renderChat(qwen3, [system, user], prompt), text);
  assert.equal(renderChat(qwen3, [system, user], { ...prompt, enableThinking: true }), text);
  assert.equal(
    renderChat(qwen3, [system, user], { ...prompt, enableThinking: false }),
    `${text}<think>\n\n</think>\n\n`,
  );
});

Deno.test("renderChat() keeps thinking in Qwen3's last reply and drops it from earlier ones", () => {
  assert.equal(
    renderChat(qwen3, [user, reply, user, reply], whole),
    "<|im_start|>user\n感冒了怎么办？<|im_end|>\n<|im_start|>assistant\n多喝水。<|im_end|>\n" +
      "<|im_start|>user\n感冒了怎么办？<|im_end|>\n" +
      "<|im_start|>assistant\n<think>\n嗯，先判断。\n</think>\n\n多喝水。<|im_end|>\n",
  );
});

Deno.test("renderChat() renders empty thinking as Qwen3 does, as an empty block", () => {
  for (
    const last of [{ ...reply, reasoning_content: "" }, {
      role: reply.role,
      content: reply.content,
    }]
  ) {
    assert.equal(
      renderChat(qwen3, [user, last], whole),
      "<|im_start|>user\n感冒了怎么办？<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n多喝水。<|im_end|>\n",
    );
  }
});

Deno.test("renderChat() puts thinking into the content where a template knows none, in last replies only", () => {
  assert.equal(
    renderChat(chatML, [user, reply, user, reply], whole),
    "<|im_start|>system\nYou are helpful.<|im_end|>\n" +
      "<|im_start|>user\n感冒了怎么办？<|im_end|>\n<|im_start|>assistant\n多喝水。<|im_end|>\n" +
      "<|im_start|>user\n感冒了怎么办？<|im_end|>\n" +
      "<|im_start|>assistant\n<think>\n嗯，先判断。\n</think>\n\n多喝水。<|im_end|>\n",
  );
});

Deno.test("renderChat() renders a Llama 3 template with bos and a date that can be fixed", () => {
  const now = new Date(2026, 10, 21);
  assert.equal(
    renderChat(llama3, [system, user], { ...prompt, bosToken: "<|begin_of_text|>", now }),
    "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nToday Date: 21 Nov 2026\n\n" +
      "你是一个医学专家。<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n感冒了怎么办？<|eot_id|>" +
      "<|start_header_id|>assistant<|end_header_id|>\n\n",
  );
});

Deno.test("renderChat() trims block lines as Hugging Face sets Jinja up", () => {
  const template =
    "{% for message in messages %}\n  {% if message.role == 'user' %}\n<u>{{ message.content }}\n" +
    "  {% endif %}\n{% endfor %}\n";
  assert.equal(renderChat(template, [{ role: "user", content: "hi" }], whole), "<u>hi\n");
  assert.equal(renderChat("\n\nx\n\n", [user], whole), "\n\nx\n");
});

Deno.test("renderChat() renders no bos token as nothing, and passes tools as none", () => {
  assert.equal(renderChat("{{ bos_token }}|{{ tools is none }}", [user], whole), "|True");
});

Deno.test("renderChat() reports what a template refuses, and a template it cannot parse", () => {
  assert.throws(() => renderChat(llama3, [{ role: "user", content: "refuse me" }], whole), {
    message: "Cannot render the chat: the template refused 1 messages: no such talk",
  });
  assert.throws(() => renderChat("{% for %}", [user], whole), {
    name: "SyntaxError",
    message: /^Cannot parse the chat template: /,
  });
});

Deno.test("renderChat() keeps indentation and U+3000 where Qwen3's template strips line breaks", () => {
  for (
    const [reasoning_content, content] of [
      ["  pi r squared", "    import math\n    return math.pi * r ** 2"],
      ["　　先写景。", "　　春天来了，柳树发芽。\n　　燕子飞回来了。"],
      ["\tt", "\t- a\n\t- b"],
    ]
  ) {
    const reply: Message = { role: "assistant", content, reasoning_content };
    assert.equal(
      renderChat(qwen3, [{ role: "user", content: "q" }, reply], whole),
      "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n" +
        `<think>\n${reasoning_content}\n</think>\n\n${content}<|im_end|>\n`,
    );
  }
});

Deno.test("renderChat() gives templates the special tokens that are set, and no others", () => {
  const template = "{{ bos_token is defined }} {{ pad_token }} {{ unk_token is defined }}";
  const specialTokens = { pad_token: "<pad>" };
  assert.equal(
    renderChat(template, [user], { ...whole, bosToken: "<s>", specialTokens }),
    "True <pad> False",
  );
  assert.equal(renderChat(template, [user], whole), "False  False");
});

Deno.test("checkChatTemplate() names what is not rendered exactly, and the way out", () => {
  assert.throws(() => checkChatTemplate("a\n{{ messages | pprint }}"), {
    name: "TypeError",
    message:
      'Cannot use the chat template "a\\n{{ messages | pprint }}": line 2: the filter pprint ' +
      "would not be rendered exactly as transformers does; give another template with " +
      "--chat-template FILE",
  });
  assert.throws(() => checkChatTemplate("{% if %}"), {
    name: "SyntaxError",
    message:
      "Cannot parse the chat template: line 1: Expected an expression, got 'end of statement " +
      "block'; copy it again from the base model, or give another template with --chat-template FILE",
  });
  // A template may refuse chats of its own accord.
  checkChatTemplate("{% if not messages %}{{ raise_exception('no messages') }}{% endif %}");
});

Deno.test("renderChat() ends a hostile template with its beginning and the way out", () => {
  const bomb = "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}";
  assert.throws(() => renderChat(bomb, [user], whole), {
    name: "RangeError",
    message:
      'Cannot render the chat with the template "{% for a in range(9999) %}{% for b in ra…": ' +
      "the template evaluates more steps than any chat needs; it is damaged or hostile, so give " +
      "another template with --chat-template FILE",
  });
});

const WAY_OUT = "give another template with --chat-template FILE";

Deno.test("checkChatTemplate() takes templates up to their limits, and names longer ones by their beginning", () => {
  checkChatTemplate("x".repeat(1_048_576));
  assert.throws(() => checkChatTemplate("x".repeat(1_048_577)), {
    name: "RangeError",
    message: `Cannot parse the chat template: 1048577 characters exceed 1048576; ${WAY_OUT}`,
  });
  const names = Array.from({ length: 3000 }, (_, i) => `{% set a${i} = 1 %}`).join("");
  assert.throws(() => checkChatTemplate(names + "{% if 1 %}{% endif %}".repeat(3000)), {
    name: "RangeError",
    message:
      'Cannot use the chat template "{% set a0 = 1 %}{% set a1 = 1 %}{% set a…": the template sets more names ' +
      `in more branches than any chat needs; ${WAY_OUT}`,
  });
  // Forty characters are shown, of which the last may be half of one.
  const unknown = "{{ a | pprint }}";
  for (
    const [more, shown] of [
      [23, "x".repeat(23)],
      [24, "x".repeat(24)],
      [25, `${"x".repeat(24)}…`],
    ] as const
  ) {
    assert.throws(() => checkChatTemplate(unknown + "x".repeat(more)), {
      name: "TypeError",
      message:
        `Cannot use the chat template "${unknown}${shown}": line 1: the filter pprint would not be rendered ` +
        `exactly as transformers does; ${WAY_OUT}`,
    });
  }
  assert.throws(() => checkChatTemplate(`${unknown}${"x".repeat(23)}🎉`), {
    message: /^Cannot use the chat template "\{\{ a \| pprint \}\}x{23}\ufffd…": /,
  });
});

Deno.test("renderChat() tells what a template may not do from what it refuses", () => {
  const fails = (template: string, name: string, message: string): void =>
    assert.throws(() => renderChat(template, [user, reply, user], whole), { name, message });
  const power = "{{ (0 - messages | length) ** 0.5 }}";
  fails(
    power,
    "TypeError",
    `Cannot render the chat with the template "${power}": a power that is a complex number would not be ` +
      `rendered exactly as transformers does; ${WAY_OUT}`,
  );
  const refused = "Cannot render the chat: the template refused 3 messages:";
  fails("{{ raise_exception('no') }}", "Error", `${refused} no`);
  fails("{{ 1 // 0 }}", "Error", `${refused} integer division or modulo by zero`);
  // What is none of these is no fault of the template's.
  const now = { getFullYear: () => assert.fail("no date") } as unknown as Date;
  assert.throws(() => renderChat("{{ strftime_now('%Y') }}", [user], { ...whole, now }), {
    name: "AssertionError",
    message: "no date",
  });
  // As often as it is asked.
  for (let i = 0; i < 9; i++) {
    assert.equal(renderChat(`${i} {{ messages | length }}`, [user, user], whole), `${i} 2`);
    assert.equal(renderChat("{{ messages[0].role }}", [user], whole), "user");
  }
});

Deno.test("renderChat() gives templates every field of a message that is set, and no others", () => {
  const call = {
    type: "function",
    function: { name: "f", arguments: new Map([["a", "b"]]) },
    id: "i",
  } as const;
  const fields = ["role", "content", "name", "tool_calls", "tool_call_id"];
  const show = (names: readonly string[]): string =>
    "{% for m in messages %}" +
    names.map((name) => `{{ m.${name} if m.${name} is defined else '-' }}`).join("|") +
    "\n{% endfor %}";
  const messages: readonly Message[] = [
    { role: "user", content: "U", name: "N" },
    { role: "assistant", content: "A", reasoning_content: "R", tool_calls: [call] },
    { role: "tool", content: "T", tool_call_id: "i" },
    { role: "assistant", content: "B", reasoning_content: "" },
  ];
  const calls =
    "[{'type': 'function', 'function': {'name': 'f', 'arguments': {'a': 'b'}}, 'id': 'i'}]";
  assert.equal(
    renderChat(show([...fields, "reasoning_content", "thinking"]), messages, whole),
    `user|U|N|-|-|-|-\nassistant|A|-|${calls}|-|R|R\ntool|T|-|-|i|-|-\nassistant|B|-|-|-||\n`,
  );
  // A template that knows no thinking has it in the content, of replies to the last user alone.
  assert.equal(
    renderChat(show(fields), messages, whole),
    `user|U|N|-|-\nassistant|<think>\nR\n</think>\n\nA|-|${calls}|-\ntool|T|-|-|i\nassistant|B|-|-|-\n`,
  );
  const shown = "{% for m in messages %}[{{ m.content }}]{% endfor %}";
  const fold = (...given: readonly Message[]): string => renderChat(shown, given, whole);
  assert.equal(fold(reply), "[<think>\n嗯，先判断。\n</think>\n\n多喝水。]");
  assert.equal(fold(reply, user), "[多喝水。][感冒了怎么办？]");
  assert.equal(
    fold(user, { ...user, role: "tool", reasoning_content: "x" }),
    "[感冒了怎么办？][感冒了怎么办？]",
  );
  assert.equal(
    fold(user, { ...reply, reasoning_content: "\n a\n\n" }, { ...reply, reasoning_content: "b" }),
    "[感冒了怎么办？][<think>\n a\n</think>\n\n多喝水。][<think>\nb\n</think>\n\n多喝水。]",
  );
});

Deno.test("renderChat() gives templates what they may ask of a chat beside its messages", () => {
  const template =
    "{{ add_generation_prompt }} {{ documents is none }} {{ tools is none }} {{ bos_token }} " +
    "{{ eos_token }} {{ enable_thinking is defined }} {{ enable_thinking }}";
  assert.equal(renderChat(template, [user], whole), "False True True   False ");
  const options = {
    ...prompt,
    bosToken: "<s>",
    eosToken: "</s>",
    tools: [],
    enableThinking: false,
  };
  assert.equal(renderChat(template, [user], options), "True True False <s> </s> True False");
  // The date is today's where none is given.
  const before = new Date().getFullYear();
  const year = Number(renderChat("{{ strftime_now('%Y') }}", [user], whole));
  assert.ok(before <= year && year <= new Date().getFullYear(), `${year}`);
});
