import assert from "node:assert/strict";
import {
  mentionsThinkTag,
  OPENED_BY_PROMPT,
  splitThinking,
  trimLeadingLineBreaks,
  trimLineBreaks,
} from "./thinking.ts";

const cases: [string, string, string, string][] = [
  ["reads Qwen3's spacing", "<think>\nt\n</think>\n\na", "t", "a"],
  ["keeps blanks after the tag", "<think>t</think> \n a", "t", " \n a"],
  ["keeps indentation", "<think>\n    t\n\tu\n</think>\n\n    a", "    t\n\tu", "    a"],
  ["reads tags without spacing", "<think>t</think>a", "t", "a"],
  ["accepts blank space before the tag", " \r\n<think> t </think>\r\na ", " t ", "a "],
  ["accepts empty thinking", "<think>\n\n</think>\n\na", "", "a"],
  ["takes unclosed thinking as thinking", "<think>\nt", "t", ""],
  ["takes a lone opening tag as nothing", "<think>", "", ""],
  ["accepts thinking that the prompt opened", "t\n</think>\n\na", "t", "a"],
  ["leaves a reply without tags as it is", "\n  a\n", "", "\n  a\n"],
  [
    "leaves tags that a reply mentions",
    "Use <think> and </think>.",
    "",
    "Use <think> and </think>.",
  ],
  ["ends thinking at the first closing tag", "<think>t</think>a</think>b", "t", "a</think>b"],
  ["keeps line breaks inside", "<think>t\n\nu</think>\na\n\nb", "t\n\nu", "a\n\nb"],
  ["keeps a Chinese paragraph's indent", "<think>\u3000t</think>\n\u3000a", "\u3000t", "\u3000a"],
  ["keeps what ends in U+3000", "<think>t\u3000\n</think>\na\u3000", "t\u3000", "a\u3000"],
  ["keeps outer blanks of an answer", "<think>t</think>\n  a \t ", "t", "  a \t "],
  [
    "leaves a closing tag that an answer mentions",
    "Write </think> here.",
    "",
    "Write </think> here.",
  ],
  ["accepts a closing tag on a line of its own", "t\n</think>a", "t", "a"],
  [
    "ends thinking where its tags balance",
    "<think>a <think> b </think>.</think>c",
    "a <think> b </think>.",
    "c",
  ],
  ["ends unbalanced thinking at the first tag", "<think>a <think> b</think>c", "a <think> b", "c"],
  ["accepts the empty reply", "", "", ""],
];

for (const [name, text, think, answer] of cases) {
  Deno.test(`splitThinking() ${name}`, () => {
    assert.deepEqual(splitThinking(text), { think, answer });
  });
}

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
