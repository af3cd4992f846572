/**
 * The fields of Ollama's requests: https://docs.ollama.com/api, of version 0.12.
 *
 * Out: tables of what is honoured, known to change nothing, or refused by name.
 */

import { FieldTable, type UnsupportedField } from "../../../internal/json/field_table.ts";

const OUT = "this server does not support it; leave it out";
const TEXT_ONLY = "the model reads and writes text only";

const HONOURED = ["model", "stream", "options", "think", "format", "logprobs", "top_logprobs"];
const IGNORED = [
  // Models stay loaded, and prompts that are too long are refused and not cut.
  ...["keep_alive", "truncate", "shift"],
];
const REFUSED: Readonly<Record<string, UnsupportedField>> = {
  _debug_render_only: { unless: [false], remedy: OUT },
};

/** Fields of `/api/chat`. */
export const CHAT_FIELDS: FieldTable = new FieldTable({
  honoured: [...HONOURED, "messages"],
  ignored: IGNORED,
  refused: {
    ...REFUSED,
    tools: {
      unless: [[]],
      remedy: "the model is told of no tools; leave them out (calls and answers in the messages " +
        "are rendered)",
    },
  },
});

/** Fields of `/api/generate`. */
export const GENERATE_FIELDS: FieldTable = new FieldTable({
  honoured: [...HONOURED, "prompt", "system", "raw"],
  ignored: IGNORED,
  refused: {
    ...REFUSED,
    suffix: {
      unless: [""],
      remedy: "the model goes on with a text and fills no gaps; leave it out",
    },
    template: { unless: [""], remedy: "the model's own chat template is used; leave it out" },
    context: { unless: [[]], remedy: "send the chat so far to /api/chat" },
    images: { unless: [[]], remedy: TEXT_ONLY },
    width: { unless: [0], remedy: TEXT_ONLY },
    height: { unless: [0], remedy: TEXT_ONLY },
    steps: { unless: [0], remedy: TEXT_ONLY },
  },
});

/** Fields of `options`. */
export const OPTION_FIELDS: FieldTable = new FieldTable({
  honoured: [
    ...["num_predict", "seed", "stop", "temperature", "top_k", "top_p", "min_p", "typical_p"],
    "repeat_penalty",
  ],
  ignored: [
    // How a reply is computed. The context is the server's, and no prompt is cut to it.
    ...["num_ctx", "num_keep", "num_batch", "num_gpu", "main_gpu", "num_thread", "numa"],
    ...["low_vram", "use_mmap", "use_mlock", "f16_kv", "vocab_only", "logits_all"],
    // Only with what is refused.
    ...["mirostat_eta", "mirostat_tau", "penalize_newline"],
  ],
  refused: {
    repeat_last_n: {
      unless: [-1],
      remedy: "repeat_penalty looks at the prompt and the whole reply; send -1 or leave it out",
    },
    presence_penalty: { unless: [0], remedy: "repeat_penalty is supported; leave it out" },
    frequency_penalty: { unless: [0], remedy: "repeat_penalty is supported; leave it out" },
    mirostat: { unless: [0], remedy: OUT },
    tfs_z: { unless: [1], remedy: OUT },
  },
});

/** Fields of a message. */
export const MESSAGE_FIELDS: FieldTable = new FieldTable({
  honoured: ["role", "content", "thinking", "tool_calls", "tool_name", "tool_call_id"],
  refused: { images: { unless: [[]], remedy: TEXT_ONLY } },
});

/** Fields of a request for a model's description. */
export const SHOW_FIELDS: FieldTable = new FieldTable({
  honoured: ["model", "name"],
  // Tensors are never listed.
  ignored: ["verbose"],
  refused: {
    system: { unless: [""], remedy: OUT },
    template: { unless: [""], remedy: OUT },
    options: { unless: [{}], remedy: OUT },
  },
});
