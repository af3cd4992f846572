/**
 * The tokens of an example, by who speaks.
 *
 * In: an example, the chat that it is of, and a function that renders. Out: blocks of tokens in order,
 * each with its role, which tokens are taught, and where its thinking stands.
 */

import { type Example, IGNORED } from "../../data/examples/example.ts";
import type { Message } from "../../data/text/message.ts";
import type { Tokenizer } from "../../data/text/tokenizer.ts";

/** One token. */
export interface BlockToken {
  readonly id: number;
  /** What it adds to the text; of a character's parts the last one has it whole. */
  readonly text: string;
  /** Whether the model is taught to write it. */
  readonly taught: boolean;
  /** Whether it means control, such as the end of a turn. */
  readonly special: boolean;
}

/** What one speaks, with what the chat template writes around it. */
export interface TokenBlock {
  /** A role; `prompt` where roles cannot be told apart. */
  readonly role: string;
  readonly tokens: readonly BlockToken[];
  /** The first token of its thinking and the first behind it, where it has some. */
  readonly thinking?: readonly [from: number, to: number];
}

/** Renders the first messages of a chat as they stand in a prompt; may refuse a part of a chat. */
export type RenderPart = (messages: readonly Message[]) => string;

/** Most messages whose places are looked for: each is rendered with all before it. */
const MAX_MESSAGES = 64;
/** Thinking that says something, up to its end or the example's. */
const THINKING = /<think>(?!\s*<\/think>)[^]*?(?:<\/think>|$)/;

/**
 * Takes an example apart.
 *
 * @param before the messages before its reply; none of plain text, or where some were left out
 */
export function tokenBlocks(
  example: Example,
  tokenizer: Tokenizer,
  { before, render, roles }: {
    readonly before: readonly Message[];
    readonly render: RenderPart;
    /** Of a prompt that is not told apart, and of the reply. */
    readonly roles: readonly [prompt: string, reply: string];
  },
): TokenBlock[] {
  const pieces = tokenPieces(example.inputIds, tokenizer);
  const tokens = Array.from(example.inputIds, (id, index): BlockToken => ({
    id,
    text: pieces[index],
    taught: example.labels[index] !== IGNORED,
    special: tokenizer.isSpecial(id),
  }));
  const prompt = pieces.slice(0, example.promptLength).join("");
  const ends = messageEnds(before, prompt, render);
  const blocks: TokenBlock[] = [];
  let [from, at] = [0, 0];
  for (const { role, end } of ends) {
    let to = from;
    while (to < example.promptLength && at < end) at += pieces[to++].length;
    if (to > from) blocks.push(block(role, tokens.slice(from, to)));
    from = to;
  }
  // What is left of the prompt begins the reply, but where nothing was told apart.
  const [other, reply] = roles;
  const rest = ends.length > 0 ? from : example.promptLength;
  if (rest > from) blocks.push(block(other, tokens.slice(from, rest)));
  if (rest < tokens.length) blocks.push(block(reply, tokens.slice(rest)));
  return blocks;
}

/** Where each message ends in the prompt, of those that are found; a place for each that is not the last. */
function messageEnds(
  messages: readonly Message[],
  prompt: string,
  render: RenderPart,
): { readonly role: string; readonly end: number }[] {
  const ends: { role: string; end: number }[] = [];
  if (messages.length > MAX_MESSAGES) return ends;
  for (let count = 1, last = 0; count <= messages.length; count++) {
    const { role } = messages[count - 1];
    const end = endOf(messages.slice(0, count), { prompt, from: last, render });
    // It is then a part of the next one that is found.
    if (end === undefined) continue;
    ends.push({ role, end });
    last = end;
  }
  return ends;
}

function endOf(
  messages: readonly Message[],
  { prompt, from, render }: {
    readonly prompt: string;
    readonly from: number;
    readonly render: RenderPart;
  },
): number | undefined {
  let text: string;
  try {
    text = render(messages);
  } catch {
    // Some templates render no chat without a question.
    return undefined;
  }
  if (text.length > from && prompt.startsWith(text)) return text.length;
  // Once the chat has gone on, a template may write the thinking of a reply no more, but its end.
  const content = messages.at(-1)!.content.trim();
  const start = content === "" ? -1 : text.lastIndexOf(content);
  const tail = start === -1 ? text.slice(-24) : text.slice(start);
  const at = prompt.indexOf(tail, from);
  return at === -1 ? undefined : at + tail.length;
}

function block(role: string, tokens: readonly BlockToken[]): TokenBlock {
  const text = tokens.map((token) => token.text).join("");
  const found = role === "assistant" || role === "completion" ? THINKING.exec(text) : null;
  if (found === null) return { role, tokens };
  const indexAt = (place: number): number => {
    let index = 0;
    for (let at = 0; at < place; index++) at += tokens[index].text.length;
    return index;
  };
  return {
    role,
    tokens,
    thinking: [indexAt(found.index), indexAt(found.index + found[0].length)],
  };
}

/** What each token adds to the text. */
function tokenPieces(ids: Int32Array, tokenizer: Tokenizer): string[] {
  const decoder = new TextDecoder();
  return Array.from(ids, (id, index) => {
    try {
      return decoder.decode(tokenizer.tokenBytes(id, { atStart: index === 0 }), { stream: true });
    } catch {
      // Neither byte-level nor of SentencePiece's kind.
      return tokenizer.decode([id]);
    }
  });
}
