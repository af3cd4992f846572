import assert from "node:assert/strict";
import { byteTokenizerFiles } from "../../data/text/byte_tokenizer.ts";
import { createTokenizer, type Tokenizer } from "../../data/text/tokenizer.ts";
import type { GenerationConfig } from "../generate/generation_config.ts";
import { type GoTemplate, goTemplate } from "./go_template.ts";
import { formatModelfile, type ModelfileOptions } from "./modelfile.ts";

/** Turns of a tokenizer whose sequences may begin with a token. */
function tokenizerOf(chatTemplate: string, bos?: string): Tokenizer {
  const { tokenizerJson, tokenizerConfig } = byteTokenizerFiles();
  const config = { ...tokenizerConfig, ...bos && { bos_token: bos } };
  return createTokenizer({ tokenizerJson, tokenizerConfig: config, chatTemplate });
}

function found(
  template: string,
  options: { readonly bos?: string; readonly enableThinking?: boolean } = {},
): GoTemplate | undefined {
  return goTemplate(tokenizerOf(template, options.bos), options);
}

/** Turns with texts around them, and a generation prompt. */
const turns = (around: string): string =>
  `{% for m in messages %}${around}{% endfor %}{% if add_generation_prompt %}<go>{% endif %}`;
const TURN = "<{{ m.role }}>{{ m.content }}</{{ m.role[0] }}>\n";
const GO = '{{ range $i, $m := .Messages }}{{ if eq .Role "system" }}<system>{{ .Content }}</s>\n' +
  '{{ else if eq .Role "user" }}<user>{{ .Content }}</u>\n' +
  '{{ else if eq .Role "assistant" }}<assistant>{{ .Content }}</a>\n{{ end }}{{ end }}<go>';

Deno.test("goTemplate() writes what stands around messages of each role", () => {
  assert.deepEqual(found(turns(TURN)), { text: GO });
  // Ollama writes the first token by itself.
  const bos = "{{ bos_token }}" + turns(TURN);
  assert.deepEqual(found(bos, { bos: "<|im_start|>" }), { text: GO });
  // One that is written only at times is a part of no turn.
  const later = `{% if messages | length > 3 %}{{ bos_token }}{% endif %}${turns(TURN)}`;
  assert.deepEqual(found(later, { bos: "<|im_start|>" }), { text: GO });
});

Deno.test("goTemplate() passes on whether there is thinking", () => {
  const template = turns(TURN) +
    "{% if add_generation_prompt and enable_thinking is false %}<no>{% endif %}";
  assert.equal(found(template)!.text, GO);
  assert.equal(found(template, { enableThinking: true })!.text, GO);
  assert.equal(found(template, { enableThinking: false })!.text, `${GO}<no>`);
});

Deno.test("goTemplate() finds the system prompt that a template writes by itself", () => {
  const own = "{% if messages[0].role != 'system' %}<system>Be kind.</s>\n{% endif %}" +
    turns(TURN);
  assert.deepEqual(found(own), { text: GO, system: "Be kind." });
});

Deno.test("goTemplate() knows system prompts within the first question", () => {
  const inside = turns(
    "{% if m.role == 'system' %}<user>{{ m.content }}\n--\n{% else %}" +
      "{% if not (loop.index0 == 1 and messages[0].role == 'system') %}<{{ m.role }}>{% endif %}" +
      "{{ m.content }}</{{ m.role[0] }}>{% endif %}",
  );
  assert.deepEqual(found(inside), {
    text: '{{ range $i, $m := .Messages }}{{ if eq .Role "system" }}<user>{{ .Content }}\n--\n' +
      '{{ else if eq .Role "user" }}{{ if not (and (eq $i 1) (eq (index $.Messages 0).Role "system")) }}' +
      '<user>{{ end }}{{ .Content }}</u>{{ else if eq .Role "assistant" }}<assistant>{{ .Content }}</a>' +
      "{{ end }}{{ end }}<go>",
  });
});

Deno.test("goTemplate() writes braces as texts", () => {
  const braces = turns("{{ '{{' }}{{ m.role }}|{{ m.content }}{{ '{{ }}' }}");
  assert.equal(
    found(braces)!.text,
    '{{ range $i, $m := .Messages }}{{ if eq .Role "system" }}{{ "{{" }}system|{{ .Content }}' +
      '{{ "{{" }} }}{{ else if eq .Role "user" }}{{ "{{" }}user|{{ .Content }}{{ "{{" }} }}' +
      '{{ else if eq .Role "assistant" }}{{ "{{" }}assistant|{{ .Content }}{{ "{{" }} }}' +
      "{{ end }}{{ end }}<go>",
  );
});

Deno.test("goTemplate() finds nothing in a template that is more than texts around messages", () => {
  const others = [
    // By numbers, by roles that come before, or by what is said.
    turns("{{ loop.index }}{{ m.role }}:{{ m.content }};"),
    turns(`{% if m.content == 'g' %}!{% endif %}${TURN}`),
    turns(`{% if m.content == 'm' %}!{% endif %}${TURN}`),
    turns(`{% if m.content == 'd' %}!{% endif %}${TURN}`),
    turns("<{{ m.role }}>{{ m.content | trim }}{{ m.content | length }}"),
    // Questions and replies in another order.
    "{% for m in messages | reverse %}<{{ m.role }}>{{ m.content }}{% endfor %}",
    // What comes before a reply is no beginning of what is written.
    `{% if add_generation_prompt %}go{% endif %}${turns(TURN)}`,
    // No system prompt may be given.
    "{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}" + turns(TURN),
    // A prompt of its own that is not written as one that is given.
    "{% if messages[0].role != 'system' %}[Be kind.]{% endif %}" + turns(TURN),
    // Roles apart.
    turns("{% if m.role == 'system' %}<s>{% endif %}{{ m.content }}") + "{{ messages | length }}",
  ];
  for (const template of others) assert.equal(found(template), undefined, template);
});

const GENERATION: GenerationConfig = { eosTokenIds: [], sampling: {}, notes: [] };

function modelfile(change: Partial<ModelfileOptions> = {}): string {
  return formatModelfile({
    file: "model.gguf",
    tokenizer: tokenizerOf(turns(TURN)),
    system: "",
    enableThinking: undefined,
    generation: GENERATION,
    eosTokenIds: [],
    maxPositions: 512,
    ...change,
  });
}

const DEFAULTS = `PARAMETER temperature 1
PARAMETER top_k 0
PARAMETER top_p 1
PARAMETER min_p 0
PARAMETER repeat_penalty 1
PARAMETER num_ctx 512
`;
const NO_TEMPLATE =
  "# Ollama's templates are not Jinja, and this model's chats are more than texts around messages. Ollama\n" +
  "# takes the nearest of those that it knows; compare its prompts, or write a TEMPLATE here.\n";

Deno.test("formatModelfile() writes the file, the template and llama.cpp's defaults", () => {
  assert.equal(modelfile(), `FROM ./model.gguf\nTEMPLATE """${GO}"""\n${DEFAULTS}`);
});

Deno.test("formatModelfile() writes adapter, system prompt, sampling and ends", () => {
  const sampling = { temperature: 0.7, topK: 20, topP: 0.9, minP: 0.1, repetitionPenalty: 1.1 };
  assert.equal(
    modelfile({
      adapter: "a.gguf",
      system: "Say 'no'.",
      generation: { ...GENERATION, sampling },
      eosTokenIds: [258, 256],
      maxPositions: 8193,
    }),
    `FROM ./model.gguf\nADAPTER ./a.gguf\nTEMPLATE """${GO}"""\nSYSTEM """Say 'no'."""\n` +
      "PARAMETER temperature 0.7\nPARAMETER top_k 20\nPARAMETER top_p 0.9\nPARAMETER min_p 0.1\n" +
      "PARAMETER repeat_penalty 1.1\nPARAMETER num_ctx 8192\n" +
      'PARAMETER stop "<|im_end|>"\nPARAMETER stop "<|endoftext|>"\n',
  );
  const greedy = { greedy: true, temperature: 0.7 };
  const lines = modelfile({ generation: { ...GENERATION, sampling: greedy } }).split("\n");
  assert.ok(lines.includes("PARAMETER temperature 0"));
});

Deno.test("formatModelfile() writes the template's own system prompt unless another one is given", () => {
  const own = tokenizerOf(
    "{% if messages[0].role != 'system' %}<system>Be kind.</s>\n{% endif %}" + turns(TURN),
  );
  const system = (text: string): string | undefined =>
    /^SYSTEM .*$/m.exec(modelfile({ tokenizer: own, system: text }))?.[0];
  assert.equal(system(""), 'SYSTEM """Be kind."""');
  assert.equal(system("Be brief."), 'SYSTEM """Be brief."""');
  // Three quotes would end it.
  assert.equal(system('"""'), undefined);
});

Deno.test("formatModelfile() says so where there is no template that Ollama can have", () => {
  const counted = tokenizerOf(turns("{{ loop.index }}{{ m.role }}:{{ m.content }};"));
  const quotes = tokenizerOf(turns('"""{{ m.role }}{{ m.content }}'));
  const none = createTokenizer({
    ...byteTokenizerFiles(),
    tokenizerConfig: { eos_token: "<|im_end|>" },
  });
  assert.equal(none.chatTemplate, undefined);
  for (const tokenizer of [counted, quotes, none]) {
    assert.equal(modelfile({ tokenizer }), `FROM ./model.gguf\n${NO_TEMPLATE}${DEFAULTS}`);
  }
});
