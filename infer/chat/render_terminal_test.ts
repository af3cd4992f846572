import assert from "node:assert/strict";
import { renderTerminal, type RenderTerminalOptions } from "./render_terminal.ts";
import type { ChatPiece } from "./think_splitter.ts";

const REPLY: ChatPiece[] = [
  { kind: "think", text: "Rest " },
  { kind: "think", text: "first." },
  { kind: "answer", text: "Lie " },
  { kind: "answer", text: "down." },
];

async function render(
  pieces: AsyncIterable<ChatPiece> | Iterable<ChatPiece>,
  options: Omit<RenderTerminalOptions, "write">,
): Promise<string> {
  let text = "";
  const write = (more: string): void => {
    text += more;
  };
  await renderTerminal(pieces, { write, ...options }).catch((error) => text += `[${error}]`);
  return text;
}

Deno.test("renderTerminal() shows thinking dim under a heading", async () => {
  assert.equal(
    await render(REPLY, { isTty: true }),
    "\x1b[2m💭 thinking\nRest first.\x1b[0m\n\nLie down.\n",
  );
});

Deno.test("renderTerminal() writes tags into a file, and where NO_COLOR is set", async () => {
  const plain = "<think>\nRest first.\n</think>\n\nLie down.\n";
  assert.equal(await render(REPLY, { isTty: false }), plain);
  assert.equal(await render(REPLY, { isTty: true, noColor: true }), plain);
});

Deno.test("renderTerminal() shows an answer without thinking as it is", async () => {
  assert.equal(await render(REPLY.slice(2), { isTty: true }), "Lie down.\n");
  assert.equal(await render([], { isTty: true }), "");
});

Deno.test("renderTerminal() leaves no terminal dim where the reply breaks off", async () => {
  assert.equal(
    await render(REPLY.slice(0, 1), { isTty: true }),
    "\x1b[2m💭 thinking\nRest \x1b[0m\n",
  );
  async function* failing(): AsyncGenerator<ChatPiece> {
    yield* REPLY.slice(0, 1);
    await Promise.reject(new Error("no memory"));
  }
  assert.equal(
    await render(failing(), { isTty: true }),
    "\x1b[2m💭 thinking\nRest \x1b[0m\n[Error: no memory]",
  );
});

Deno.test("renderTerminal() lets no escape sequence of a reply reach the terminal", async () => {
  const pieces: ChatPiece[] = [{ kind: "answer", text: "a\x1b[31m\r\x07\tb\nc\u009b" }];
  assert.equal(await render(pieces, { isTty: true }), "a[31m\tb\nc\n");
});
