/**
 * The server's JSON answers that its chat page reads; but for the settings they are the OpenAI API's.
 *
 * Types alone, and no import: the page's script is checked against them together with the browser's
 * types, which know nothing of Deno and Node.
 */

/** A chunk of a streamed reply: `chat.completion.chunk`. */
export interface CompletionChunk {
  readonly id: string;
  readonly object: "chat.completion.chunk";
  /** Unix time in seconds. */
  readonly created: number;
  readonly model: string;
  /** One, or none in the last chunk of a stream with usage. */
  readonly choices: readonly ChunkChoice[];
  /** In the last chunk of a stream that usage was asked for, `null` before; else left out. */
  readonly usage?: Usage | null;
}

/** What a chunk adds to one choice of a completion. */
export interface ChunkChoice {
  readonly index: number;
  readonly delta: ChunkDelta;
  /** Where they were asked for: those of the tokens that came with the text. */
  readonly logprobs: { readonly content: readonly LogprobAnswer[]; readonly refusal: null } | null;
  /** Why the choice ended; `null` before. */
  readonly finish_reason: "stop" | "length" | null;
}

/** A token and its log probability. */
export interface TokenLogprobAnswer {
  /** Its text; a part of a character shows as U+FFFD. */
  readonly token: string;
  /** At least -9999. */
  readonly logprob: number;
  /** Its bytes. */
  readonly bytes: readonly number[];
}

/** A token that was chosen, and the likeliest ones. */
export interface LogprobAnswer extends TokenLogprobAnswer {
  readonly top_logprobs: readonly TokenLogprobAnswer[];
}

/** New text of a message. */
export interface ChunkDelta extends Partial<Reasoning> {
  readonly role?: string;
  readonly content?: string;
}

/** Thinking under DeepSeek's name and OpenRouter's: clients read one or the other. */
export interface Reasoning {
  readonly reasoning_content: string;
  readonly reasoning: string;
}

/** Tokens of a request. */
export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  readonly completion_tokens_details: { readonly reasoning_tokens: number };
}

/** A refusal, or in a stream the event in place of a failure. */
export interface ErrorAnswer {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: string | null;
  };
}

/** A model, as `/v1/models` describes it. */
export interface ModelAnswer {
  readonly id: string;
  readonly object: "model";
  /** Unix time in seconds. */
  readonly created: number;
  readonly owned_by: string;
  /** The base model's name, of an adapter. */
  readonly parent: string | null;
  /** Positions that a prompt and its reply have together at most. */
  readonly max_model_len: number;
}

/** The models that requests can name. */
export interface ModelList {
  readonly object: "list";
  readonly data: readonly ModelAnswer[];
}

/** What the page starts with. */
export interface PageSettings {
  /** The system prompt of chats that have none of their own; empty for none. */
  readonly system: string;
  /** The same of each model by its name: an adapter was perhaps trained with another. */
  readonly systems: Readonly<Record<string, string>>;
  /** Questions to begin with, of the data that the models were trained on; none where none were kept. */
  readonly examples: readonly string[];
}
