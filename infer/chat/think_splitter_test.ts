import assert from "node:assert/strict";
import { splitThinking } from "../../data/text/thinking.ts";
import { type ChatPiece, ThinkSplitter, type ThinkSplitterOptions } from "./think_splitter.ts";

const TAGS = /(<think>|<\/think>)/;

/** Think and answer of a reply that comes in pieces of `size` characters, tags as tokens or text. */
function split(reply: string, size: number, options: ThinkSplitterOptions = {}): ChatPiece[] {
  const splitter = new ThinkSplitter(options);
  const pieces: ChatPiece[] = [];
  for (const part of options.textTags ? [reply] : reply.split(TAGS)) {
    if (!options.textTags && part === "<think>") pieces.push(...splitter.open());
    else if (!options.textTags && part === "</think>") pieces.push(...splitter.close());
    else {
      for (let at = 0; at < part.length; at += size) {
        pieces.push(...splitter.push(part.slice(at, at + size)));
      }
    }
  }
  pieces.push(...splitter.end());
  assert.ok(pieces.every(({ text }) => text !== ""));
  return pieces;
}

function join(pieces: readonly ChatPiece[]): { think: string; answer: string } {
  const of = (kind: string): string =>
    pieces.filter((piece) => piece.kind === kind).map(({ text }) => text).join("");
  return { think: of("think"), answer: of("answer") };
}

const REPLIES = [
  "<think>\nRest first.\n\nThen walk.\n</think>\n\nLie down.\n\nAnd rise. ",
  "<think>休息。</think> \n 　躺下。",
  "<think>\n    a = 1\n\tb = 2 \n</think>\r\n\n    import math",
  "\tindented without thinking",
  "<think></think>\n\nAt once.",
  "<think>\n\n</think>\n\n",
  "<think>\nnever ends  \n",
  "No thinking at all. ",
  "  \n indented",
  "",
  "\n",
  " \n<think>late</think>x",
  "a < b and c </ d",
  "<think>\na <think> opens nothing\n",
  "<think>\none <think> two",
  "<think>\n休息\u3000\n</think>\n\u3000躺下\u3000\n",
  "<think>a < b and </thin air\n</think>\nyes <think> is a tag, </think> too",
];

Deno.test("ThinkSplitter splits a stream as splitThinking splits the whole reply", () => {
  for (const reply of REPLIES) {
    for (const textTags of [true, false]) {
      for (const size of [1, 2, 3, 5, 1000]) {
        const { think, answer } = join(split(reply, size, { textTags }));
        assert.deepEqual({ think, answer }, splitThinking(reply), JSON.stringify({ reply, size }));
      }
    }
  }
});

Deno.test("ThinkSplitter begins in the thinking that the prompt opened", () => {
  for (const textTags of [true, false]) {
    const pieces = split("\nRest.\n</think>\n\nLie down.", 2, { thinking: true, textTags });
    assert.deepEqual(join(pieces), { think: "Rest.", answer: "Lie down." });
  }
});

Deno.test("ThinkSplitter gives text as soon as it is certain", () => {
  const splitter = new ThinkSplitter({ textTags: true });
  const given = (text: string): string[] => splitter.push(text).map(({ text }) => text);
  assert.deepEqual(given("<think>Rest"), ["Rest"]);
  assert.deepEqual(given(" a while"), [" a while"]);
  assert.deepEqual(given(" \n"), [" "]);
  assert.deepEqual(given("x <"), ["\nx "]);
  assert.deepEqual(given("/b> y"), ["</b> y"]);
  assert.deepEqual(given("</think>"), []);
  assert.deepEqual(given("z"), ["z"]);
  assert.deepEqual(given("<th"), ["<th"]);
});

Deno.test("ThinkSplitter takes tags in the text for text where the tokenizer has tokens for them", () => {
  const splitter = new ThinkSplitter();
  assert.deepEqual(splitter.push("<think>"), [{ kind: "answer", text: "<think>" }]);
});
