/**
 * A tokenizer whose tokens are the 256 bytes and five ChatML tokens: for tests and tiny models.
 *
 * In: nothing. Out: the same files that a model folder has, so that every path is the real one.
 * Id b < 256 is the byte b; 256 <|endoftext|>, 257 <|im_start|>, 258 <|im_end|>, 259 <think>,
 * 260 </think>.
 *
 * @module
 */

import { BYTE_TO_CHAR } from "./tokenize/gpt2_bytes.ts";
import type { TokenizerFiles } from "./tokenizer.ts";

const TEMPLATE = `{% for message in messages %}
<|im_start|>{{ message.role }}
{% if message.role == "assistant" and loop.last and message.reasoning_content is defined %}
<think>
{{ message.reasoning_content }}
</think>

{% endif %}
{{ message.content }}<|im_end|>
{% endfor %}
{% if add_generation_prompt %}
<|im_start|>assistant
{% if enable_thinking is defined and enable_thinking is false %}
<think>

</think>

{% endif %}
{% endif %}
`;

/**
 * The files of a byte tokenizer with a chat template like Qwen3's: 261 tokens, no merges, no
 * normalization, so that `encode` gives the UTF-8 bytes of the text.
 *
 * @example
 * ```ts
 * import { byteTokenizerFiles, createTokenizer } from "@ortune/ortune";
 * import assert from "node:assert/strict";
 *
 * const tokenizer = createTokenizer(byteTokenizerFiles());
 * assert.equal(tokenizer.vocabSize, 261);
 * assert.deepEqual([...tokenizer.encode("<think>é")], [259, 0xc3, 0xa9]);
 * assert.equal(
 *   tokenizer.render([{ role: "user", content: "Hi" }], { addGenerationPrompt: true }),
 *   "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n",
 * );
 * ```
 */
export function byteTokenizerFiles(): TokenizerFiles {
  const byteLevel = {
    type: "ByteLevel",
    add_prefix_space: false,
    trim_offsets: false,
    use_regex: false,
  };
  const added = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"];
  return {
    tokenizerJson: {
      version: "1.0",
      truncation: null,
      padding: null,
      added_tokens: added.map((content, index) => ({
        id: 256 + index,
        content,
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        special: index < 3,
      })),
      normalizer: null,
      pre_tokenizer: byteLevel,
      post_processor: byteLevel,
      decoder: byteLevel,
      model: {
        type: "BPE",
        dropout: null,
        unk_token: null,
        continuing_subword_prefix: "",
        end_of_word_suffix: "",
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: false,
        vocab: Object.fromEntries(BYTE_TO_CHAR.map((char, byte) => [char, byte])),
        merges: [],
      },
    },
    tokenizerConfig: {
      bos_token: null,
      eos_token: "<|im_end|>",
      pad_token: "<|endoftext|>",
      model_max_length: 4096,
      clean_up_tokenization_spaces: false,
      tokenizer_class: "Qwen2Tokenizer",
      chat_template: TEMPLATE,
    },
  };
}
