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
  assert.throws(() => checkChatTemplate("x".repeat(2 ** 21)), RangeError);
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
