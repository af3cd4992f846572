/**
 * The quickstart's tokenizer as the two files of a Hugging Face model folder, laid out as Qwen3's
 * are: byte-level BPE with a vocabulary of 1024 instead of 151,669, and a chat template that writes
 * conversations as Qwen3's does. Nothing goes in; out come the contents of `tokenizer.json` and
 * `tokenizer_config.json`, ready for `JSON.stringify`.
 *
 * Token ids: 0 to 255 are bytes in GPT-2's order, then the merges in theirs, then the added tokens.
 *
 * @module
 */

import { byteAlphabet, piecePattern } from "./byte_level.ts";
import { merges } from "./merges.ts";

/** The longest conversation the quickstart's model is made for, in tokens. */
const modelMaxLength = 512;

/** What Qwen3 writes as added tokens and the quickstart needs, in Qwen3's order. */
const addedTokens = [
  { content: "<|endoftext|>", special: true },
  { content: "<|im_start|>", special: true },
  { content: "<|im_end|>", special: true },
  { content: "<think>", special: false },
  { content: "</think>", special: false },
] as const;

/**
 * Qwen3's chat template without tools: the last answer carries its reasoning, from
 * `reasoning_content` or from `<think>` in the content, and answers before the last question do not.
 * Like Qwen3's, it writes an assistant turn that is last in the list even without reasoning with an
 * empty think block. `add_generation_prompt` opens an answer, and `enable_thinking=false` closes its
 * thinking at once.
 *
 * Source: `chat_template` in https://huggingface.co/Qwen/Qwen3-0.6B/blob/main/tokenizer_config.json
 */
export const chatTemplate: string = String.raw`
{%- set ns = namespace(last_query=messages|length - 1) %}
{%- for message in messages %}
    {%- if message.role == 'user' %}
        {%- set ns.last_query = loop.index0 %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- set content = message.content %}
    {%- if message.role == 'assistant' %}
        {%- set reasoning = '' %}
        {%- if message.reasoning_content is defined and message.reasoning_content is not none %}
            {%- set reasoning = message.reasoning_content %}
        {%- elif '</think>' in content %}
            {%- set reasoning = content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\n') %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query and (loop.last or reasoning) %}
            {%- set content = '<think>\n' + reasoning.strip('\n') + '\n</think>\n\n' + content.lstrip('\n') %}
        {%- endif %}
    {%- endif %}
    {{- '<|im_start|>' + message.role + '\n' + content + '<|im_end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\n\n</think>\n\n' }}
    {%- endif %}
{%- endif %}`.trim();

/** The contents of the quickstart's `tokenizer.json`. */
export function quickstartTokenizerJson(): Record<string, unknown> {
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: addedTokens.map(({ content, special }, index) => ({
      id: firstAddedId() + index,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special,
    })),
    normalizer: { type: "NFC" },
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "Split", pattern: { Regex: piecePattern }, behavior: "Isolated", invert: false },
        byteLevel(),
      ],
    },
    post_processor: byteLevel(),
    decoder: byteLevel(),
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: "",
      end_of_word_suffix: "",
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(baseTokens().map((token, id) => [token, id])),
      merges: merges.map((merge) => merge.split(" ")),
    },
  };
}

/** The contents of the quickstart's `tokenizer_config.json`, chat template included. */
export function quickstartTokenizerConfig(): Record<string, unknown> {
  return {
    add_bos_token: false,
    add_prefix_space: false,
    added_tokens_decoder: Object.fromEntries(
      addedTokens.map(({ content, special }, index) => [
        String(firstAddedId() + index),
        { content, lstrip: false, normalized: false, rstrip: false, single_word: false, special },
      ]),
    ),
    additional_special_tokens: ["<|im_start|>", "<|im_end|>"],
    bos_token: null,
    chat_template: chatTemplate,
    clean_up_tokenization_spaces: false,
    eos_token: "<|im_end|>",
    errors: "replace",
    model_max_length: modelMaxLength,
    pad_token: "<|endoftext|>",
    split_special_tokens: false,
    tokenizer_class: "Qwen2Tokenizer",
    unk_token: null,
  };
}

/** The tokens of BPE itself, at their ids. */
function baseTokens(): string[] {
  return [
    ...byteAlphabet.map(({ symbol }) => symbol),
    ...merges.map((merge) => merge.replace(" ", "")),
  ];
}

function firstAddedId(): number {
  return byteAlphabet.length + merges.length;
}

function byteLevel(): Record<string, unknown> {
  return { type: "ByteLevel", add_prefix_space: false, trim_offsets: false, use_regex: false };
}
