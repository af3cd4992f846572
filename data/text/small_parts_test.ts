/** The small parts beside a tokenizer: messages, tools, the byte tokenizer's files, JSON's measure. */

import assert from "node:assert/strict";
import { parsePythonJson, PythonNumber } from "../../internal/json/python_json.ts";
import { byteTokenizerFiles } from "./byte_tokenizer.ts";
import { formatChatSettings, parseChatSettings } from "./chat_settings.ts";
import { measureJson } from "./jinja/from_json.ts";
import type { Message, Tool } from "./message.ts";
import { messageText } from "./message_text.ts";
import {
  mentionsThinkTag,
  OPENED_BY_PROMPT,
  splitThinking,
  trimLeadingLineBreaks,
  trimLineBreaks,
} from "./thinking.ts";
import { toByteChars } from "./tokenize/byte_chars.ts";
import { BYTE_TO_CHAR, CHAR_TO_BYTE } from "./tokenize/gpt2_bytes.ts";
import { newSmallLetter } from "./tokenize/rust_sets.ts";
import { createTokenizer } from "./tokenizer.ts";
import { parseToolArguments } from "./tool_arguments.ts";
import { toolName } from "./tool_name.ts";

Deno.test("messageText() is the content, and each call below it", () => {
  const calling = (content: string, ...calls: [string, unknown][]): Message => ({
    role: "assistant",
    content,
    tool_calls: calls.map(([name, made]) => ({
      type: "function",
      function: { name, arguments: made },
    })),
  });
  assert.equal(messageText({ role: "user", content: "Hi" }), "Hi");
  assert.equal(messageText({ role: "user", content: "" }), "");
  assert.equal(
    messageText(calling("Hi", ["f", parsePythonJson('{"b": 1.0, "a": "é"}')], ["g", { x: 1 }])),
    'Hi\nf({"b": 1.0, "a": "é"})\ng({"x":1})',
  );
  assert.equal(messageText(calling("", ["f", new Map()])), "f({})");
});

Deno.test("toolName() is the name of a tool's function, where it has one", () => {
  const tool = (json: string): Tool => parsePythonJson(json) as Tool;
  assert.equal(toolName(tool('{"function": {"name": "find"}}')), "find");
  for (
    const json of ["{}", '{"function": 1}', '{"function": {}}', '{"function": {"name": 1}}', "[]"]
  ) {
    assert.equal(toolName(tool(json)), undefined, json);
  }
});

Deno.test("parseToolArguments() gives an object, or that of a text, its keys in their order", () => {
  const entries = (
    value: unknown,
  ): unknown => [...parseToolArguments(value) as Map<string, unknown>];
  assert.deepEqual(entries('{"b": "x", "a": null}'), [["b", "x"], ["a", null]]);
  assert.deepEqual(entries(""), []);
  assert.deepEqual(entries({ b: "x", a: null }), [["b", "x"], ["a", null]]);
  for (const bad of ["[1]", "1", "{", '"a"', [1], 1, null, undefined, () => 1]) {
    assert.equal(parseToolArguments(bad), undefined, String(bad));
  }
  const deep = "[".repeat(100_000);
  assert.equal(parseToolArguments(`{"a": ${deep}`), undefined);
});

Deno.test("byteTokenizerFiles() are the files of 261 tokens", () => {
  const { tokenizerJson, tokenizerConfig } = byteTokenizerFiles();
  const level = {
    type: "ByteLevel",
    add_prefix_space: false,
    trim_offsets: false,
    use_regex: false,
  };
  const { model, added_tokens, ...rest } = tokenizerJson;
  assert.deepEqual(rest, {
    version: "1.0",
    truncation: null,
    padding: null,
    normalizer: null,
    pre_tokenizer: level,
    post_processor: level,
    decoder: level,
  });
  const { vocab, ...fields } = model as Record<string, unknown>;
  assert.deepEqual(fields, {
    type: "BPE",
    dropout: null,
    unk_token: null,
    continuing_subword_prefix: "",
    end_of_word_suffix: "",
    fuse_unk: false,
    byte_fallback: false,
    ignore_merges: false,
    merges: [],
  });
  assert.deepEqual(Object.values(vocab as Record<string, number>).length, 256);
  const names = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"];
  assert.deepEqual(
    added_tokens,
    names.map((content, index) => ({
      id: 256 + index,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: [true, true, true, false, false][index],
    })),
  );
  const { chat_template: _, ...config } = tokenizerConfig;
  assert.deepEqual(config, {
    bos_token: null,
    eos_token: "<|im_end|>",
    pad_token: "<|endoftext|>",
    model_max_length: 4096,
    clean_up_tokenization_spaces: false,
    tokenizer_class: "Qwen2Tokenizer",
  });
  const tokenizer = createTokenizer(byteTokenizerFiles());
  assert.deepEqual(tokenizer.notes, []);
  const bytes = Uint8Array.from({ length: 128 }, (_, byte) => byte);
  assert.deepEqual([...tokenizer.encode(new TextDecoder().decode(bytes))], [...bytes]);
});

Deno.test("the byte alphabet is GPT-2's", () => {
  // Printable Latin-1 bytes stand for themselves, the other 68 take U+0100 to U+0143.
  const code = (byte: number): number => BYTE_TO_CHAR[byte].codePointAt(0)!;
  const bytes = [0, 0x20, 0x21, 0x7e, 0x7f, 0xa0, 0xa1, 0xac, 0xad, 0xae, 0xff];
  assert.deepEqual(bytes.map(code), [
    ...[0x100, 0x120, 0x21, 0x7e, 0x121, 0x142, 0xa1, 0xac, 0x143, 0xae, 0xff],
  ]);
  assert.equal(BYTE_TO_CHAR.length, 256);
  assert.equal(new Set(BYTE_TO_CHAR).size, 256);
  assert.deepEqual(BYTE_TO_CHAR.map((char) => CHAR_TO_BYTE.get(char)), [...BYTE_TO_CHAR.keys()]);
  assert.equal(toByteChars("a~ é"), "a~\u0120\u00c3\u00a9");
  assert.equal(toByteChars(""), "");
});

Deno.test("newSmallLetter() gives the small letters of capitals that V8 does not know", () => {
  const small = [..."\ua7ce\ua7d2\ua7d4\u{16ea0}\u{16eb8}"].map(newSmallLetter).join("");
  assert.equal(small, "\ua7cf\ua7d3\ua7d5\u{16ebb}\u{16ed3}");
});

Deno.test("trimLineBreaks() and its like drop line breaks at the ends, and no blanks", () => {
  const text = "\r\n\n a\nb \n\r";
  assert.equal(trimLineBreaks(text), " a\nb ");
  assert.equal(trimLeadingLineBreaks(text), " a\nb \n\r");
  assert.equal(trimLineBreaks("\n"), "");
  assert.equal(mentionsThinkTag("a <think> b"), true);
  assert.equal(mentionsThinkTag("a </think>"), true);
  assert.equal(mentionsThinkTag("think"), false);
  assert.equal(OPENED_BY_PROMPT.test("x<think>\n "), true);
  assert.equal(OPENED_BY_PROMPT.test("<think>x"), false);
});

Deno.test("splitThinking() takes a closing tag without an opening one only at the edge of a line", () => {
  const cases: [string, string, string][] = [
    ["</think>a", "", "a"],
    ["t</think>", "t", ""],
    ["t</think>\na", "t", "a"],
    ["t\r</think>a", "t", "a"],
    ["t </think> a", "", "t </think> a"],
    ["t<think>\n</think>\na", "", "t<think>\n</think>\na"],
    ["<think>a</think>b<think>c</think>d", "a", "b<think>c</think>d"],
    ["<think><think></think>", "<think>", ""],
  ];
  for (const [text, think, answer] of cases) {
    assert.deepEqual(splitThinking(text), { think, answer }, text);
  }
});

Deno.test("chat settings take up to 16 ids, and are written as JSON of two blanks", () => {
  const ids = Array.from({ length: 16 }, (_, id) => id);
  const json = { format: 1, system: null, enable_thinking: null, eos_token_ids: ids };
  assert.deepEqual(parseChatSettings(json), { eosTokenIds: ids });
  assert.throws(() => parseChatSettings({ ...json, eos_token_ids: [...ids, 16] }), {
    message:
      "Cannot read chat_settings.json: eos_token_ids must be a list of ids; delete it, and give --system yourself",
  });
  for (const enable_thinking of [true, false]) {
    assert.deepEqual(
      parseChatSettings({ ...json, system: "", enable_thinking, eos_token_ids: [3] }),
      {
        system: "",
        enableThinking: enable_thinking,
        eosTokenIds: [3],
      },
    );
  }
  assert.equal(
    formatChatSettings({ system: "", enableThinking: true, eosTokenIds: [1] }),
    '{\n  "format": 1,\n  "system": "",\n  "enable_thinking": true,\n  "eos_token_ids": [\n    1\n  ]\n}\n',
  );
  assert.equal(
    formatChatSettings({ eosTokenIds: [] }),
    '{\n  "format": 1,\n  "system": null,\n  "enable_thinking": null,\n  "eos_token_ids": []\n}\n',
  );
});

Deno.test("measureJson() counts characters, those of keys too, and 8 for each value", () => {
  const cases: [unknown, number][] = [
    ["", 8],
    ["abc", 11],
    [1, 8],
    [null, 8],
    [true, 8],
    [undefined, 8],
    [[], 8],
    [["ab", 1], 8 + 10 + 8],
    [{}, 8],
    [{ abc: "de", f: [1] }, 8 + 3 + 10 + 1 + 8 + 8],
    [new Map<unknown, unknown>([["abc", "de"], [12, null]]), 8 + 3 + 10 + 2 + 8],
    [new PythonNumber("1.50"), 8 + 4 + 12],
  ];
  for (const [value, expected] of cases) {
    assert.equal(measureJson(value), expected, JSON.stringify(value));
  }
});
