import assert from "node:assert/strict";
import { type Example, IGNORED } from "../../data/examples/example.ts";
import type { Message } from "../../data/text/message.ts";
import type { Tokenizer } from "../../data/text/tokenizer.ts";
import { type RenderPart, tokenBlocks } from "./token_blocks.ts";

/** Of each token its bytes; those in angles are special. */
const PIECES = ["<s>", "<e>", "a", "b", "cd", " ", "<think>", "</think>", "\n", "é", "x:", "y:"];

/** Half of a character each. */
const HALVES = [[0xc3], [0xa9]];

const tokenizer: Pick<Tokenizer, "tokenBytes" | "isSpecial" | "decode"> = {
  tokenBytes: (id, { atStart = false } = {}) =>
    HALVES[id - 20] !== undefined
      ? Uint8Array.from(HALVES[id - 20])
      : new TextEncoder().encode(atStart ? PIECES[id].trimStart() : PIECES[id]),
  isSpecial: (id) => id < 2,
  decode: (ids) => `[${Array.from(ids)}]`,
};

function example(inputIds: readonly number[], promptLength: number, from = promptLength): Example {
  return {
    inputIds: Int32Array.from(inputIds),
    labels: Int32Array.from(inputIds, (id, i) => i >= from ? id : IGNORED),
    promptLength,
    supervised: inputIds.length - from,
    truncatedTokens: 0,
    terminated: true,
  };
}

/** `x:…<e>` of a user, `y:…<e>` of anyone else. */
const render: RenderPart = (messages) =>
  messages.map(({ role, content }) => `${role === "user" ? "x:" : "y:"}${content}<e>`).join("");

function blocks(
  of: Example,
  before: readonly Message[],
  how: { readonly render?: RenderPart; readonly roles?: readonly [string, string] } = {},
) {
  return tokenBlocks(of, tokenizer as Tokenizer, {
    before,
    render,
    roles: ["prompt", "assistant"],
    ...how,
  });
}

/** Role, text and thinking of each. */
function told(...args: Parameters<typeof blocks>): readonly unknown[] {
  return blocks(...args).map(({ role, tokens, thinking }) => [
    role,
    tokens.map(({ text }) => text).join("|"),
    ...thinking ? [thinking] : [],
  ]);
}

const user = (content: string): Message => ({ role: "user", content });
const assistant = (content: string): Message => ({ role: "assistant", content });

Deno.test("tokenBlocks() tells of each token its text, whether it is taught and whether it is special", () => {
  assert.deepEqual(blocks(example([10, 2, 1, 11, 4, 1], 4), [user("a")]), [
    {
      role: "user",
      tokens: [
        { id: 10, text: "x:", taught: false, special: false },
        { id: 2, text: "a", taught: false, special: false },
        { id: 1, text: "<e>", taught: false, special: true },
      ],
    },
    {
      role: "assistant",
      tokens: [
        { id: 11, text: "y:", taught: false, special: false },
        { id: 4, text: "cd", taught: true, special: false },
        { id: 1, text: "<e>", taught: true, special: true },
      ],
    },
  ]);
});

Deno.test("tokenBlocks() gives each message of a prompt a block", () => {
  const prompt = [10, 2, 1, 11, 3, 1, 10, 4, 2, 1];
  const before = [user("a"), assistant("b"), user("cda")];
  assert.deepEqual(told(example([...prompt, 11, 3], 11), before), [
    ["user", "x:|a|<e>"],
    ["assistant", "y:|b|<e>"],
    ["user", "x:|cd|a|<e>"],
    ["assistant", "y:|b"],
  ]);
});

Deno.test("tokenBlocks() ends a message with the token that holds its last character", () => {
  const lines: RenderPart = (messages) => messages.map(({ content }) => `${content}\n`).join("");
  const before = [user("a"), assistant("cda")];
  assert.deepEqual(told(example([2, 8, 4, 2, 8, 3], 5), before, { render: lines }), [
    ["user", "a|\n"],
    ["assistant", "cd|a|\n"],
    ["assistant", "b"],
  ]);
  // A token of two messages belongs to the first one.
  const joined: RenderPart = (messages) => messages.map(({ content }) => content).join("");
  const [c, d] = [user("c"), assistant("d")];
  assert.deepEqual(told(example([4, 2, 3], 2), [c, d, user("a")], { render: joined }), [
    ["user", "cd"],
    ["user", "a"],
    ["assistant", "b"],
  ]);
});

Deno.test("tokenBlocks() looks for a message behind the one before it", () => {
  // Of more than one message it renders what the prompt does not have.
  const other: RenderPart = (messages) => messages.length > 1 ? "?a<e>" : render(messages);
  assert.deepEqual(
    told(example([10, 2, 1, 10, 2, 1, 4], 6), [user("a"), user("a")], { render: other }),
    [
      ["user", "x:|a|<e>"],
      ["user", "x:|a|<e>"],
      ["assistant", "cd"],
    ],
  );
});

Deno.test("tokenBlocks() has no block of a reply of nothing, nor of a prompt of nothing", () => {
  assert.deepEqual(told(example([10, 2, 1], 3), [user("a")]), [["user", "x:|a|<e>"]]);
  assert.deepEqual(told(example([2, 3], 0), []), [["assistant", "a|b"]]);
  assert.deepEqual(told(example([], 0), []), []);
});

Deno.test("tokenBlocks() tells a prompt without messages from its reply by the names that it is given", () => {
  const roles = ["prompt", "completion"] as const;
  assert.deepEqual(told(example([2, 3, 4], 1), [], { roles }), [["prompt", "a"], [
    "completion",
    "b|cd",
  ]]);
});

Deno.test("tokenBlocks() gives a message that cannot be rendered alone to the next one", () => {
  const failing: RenderPart = (messages) => {
    if (messages.length === 1) throw new Error("no question");
    return render(messages);
  };
  const before = [{ role: "system", content: "b" } as const, user("a")];
  const of = example([11, 3, 1, 10, 2, 1, 11, 4], 7);
  assert.deepEqual(told(of, before, { render: failing }), [
    ["user", "y:|b|<e>|x:|a|<e>"],
    ["assistant", "y:|cd"],
  ]);
});

Deno.test("tokenBlocks() finds a message by its content where a prompt has it in other words", () => {
  // The prompt leaves "a" of the first reply's thinking out: it is found by "b<e>".
  const own: RenderPart = (messages) => render(messages).replace(/b<e>$/, "ab<e>");
  const of = example([10, 3, 5, 1, 11, 3, 1, 10, 4, 1, 11, 2], 11);
  assert.deepEqual(told(of, [user("b "), assistant("b"), user("cd")], { render: own }), [
    ["user", "x:|b| |<e>"],
    ["assistant", "y:|b|<e>"],
    ["user", "x:|cd|<e>"],
    ["assistant", "y:|a"],
  ]);
});

Deno.test("tokenBlocks() finds a message without content by its last 24 characters", () => {
  const prompt = [10, ...Array(11).fill(4), 1, 10, 3, 1];
  const first = `x:${"cd".repeat(11)}<e>`;
  const shown = (characters: number) =>
    told(example([...prompt, 11], prompt.length), [user(" "), user("b")], {
      render: (messages) =>
        messages.length === 1 ? `?${first.slice(-characters)}` : `${first}x:b<e>`,
    }).length;
  // The message itself, what follows it, and the reply; or both messages as one.
  assert.deepEqual([24, 23].map(shown), [3, 2]);
});

Deno.test("tokenBlocks() tells no more than 64 messages apart", () => {
  const prompt = (count: number) => Array.from({ length: count }, () => [10, 2, 1]).flat();
  const shown = (count: number): number =>
    told(example([...prompt(count), 11], 3 * count), Array(count).fill(user("a"))).length;
  assert.deepEqual([64, 65].map(shown), [65, 2]);
});

Deno.test("tokenBlocks() marks the thinking of an assistant and of a completion", () => {
  const thinking = [6, 2, 3, 7, 4];
  assert.deepEqual(told(example([10, 11, ...thinking], 1), []), [
    ["prompt", "x:"],
    ["assistant", "y:|<think>|a|b|</think>|cd", [1, 5]],
  ]);
  const roles = ["prompt", "completion"] as const;
  assert.deepEqual(told(example(thinking, 0), [], { roles }).at(-1), [
    "completion",
    "<think>|a|b|</think>|cd",
    [0, 4],
  ]);
  assert.deepEqual(told(example(thinking, 0), [], { roles: ["prompt", "user"] }), [
    ["user", "<think>|a|b|</think>|cd"],
  ]);
  // To its end where it goes on, and none where it is empty.
  assert.deepEqual(told(example([2, 6, 3], 0), []), [["assistant", "a|<think>|b", [1, 3]]]);
  assert.deepEqual(told(example([6, 8, 7, 3], 0), []), [["assistant", "<think>|\n|</think>|b"]]);
});

Deno.test("tokenBlocks() writes a character whole with its last part, and the first token as at a start", () => {
  assert.deepEqual(told(example([5, 5, 20, 21, 3], 0), []), [["assistant", "| ||é|b"]]);
});

Deno.test("tokenBlocks() takes decoded texts of a tokenizer without bytes", () => {
  const other: typeof tokenizer = {
    ...tokenizer,
    tokenBytes: () => {
      throw new TypeError("neither");
    },
  };
  const [{ tokens }] = tokenBlocks(example([2, 4], 0), other as Tokenizer, {
    before: [],
    render,
    roles: ["prompt", "assistant"],
  });
  assert.deepEqual(tokens.map(({ text }) => text), ["[2]", "[4]"]);
});
