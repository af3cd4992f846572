import assert from "node:assert/strict";
import { shapedRow } from "../../../tests/support/shaped_row.ts";
import { preference } from "./preference.ts";

const system = { role: "system", content: "S" } as const;
const user = { role: "user", content: "Hi" } as const;
const yes = { role: "assistant", content: "Yes" } as const;
const no = { role: "assistant", content: "No" } as const;
const tool = { role: "tool", content: "1" } as const;
const unlearned = { ...yes, learn: false };

const text = (prompt: string, completion: string) => ({ kind: "text", prompt, completion });
const texts = (prompt: string, chosen: string, rejected: string) => ({
  kind: "pair",
  chosen: text(prompt, chosen),
  rejected: text(prompt, rejected),
});
const chats = (before: readonly unknown[], chosen: unknown, rejected: unknown) => ({
  kind: "pair",
  chosen: { kind: "chat", messages: [...before, chosen] },
  rejected: { kind: "chat", messages: [...before, rejected] },
});
const asked = (question: string, chosen: string, rejected: string, more = {}) => ({
  kind: "pair",
  chosen: { kind: "question", question, think: null, answer: chosen, ...more },
  rejected: { kind: "question", question, think: null, answer: rejected, ...more },
});

Deno.test("a preference pair is two texts, two chats or two answers after what both share", () => {
  const cases: readonly (readonly [Readonly<Record<string, unknown>>, unknown])[] = [
    // Texts that continue a prompt, which may be empty.
    [{ prompt: "P ", chosen: "ab", rejected: "ac" }, texts("P ", "ab", "ac")],
    [{ prompt: "", chosen: "ab", rejected: "ac" }, texts("", "ab", "ac")],
    [{ prompt: "P", question: "", chosen: "ab", rejected: "ac" }, texts("P", "ab", "ac")],
    [
      {
        prompt: "P",
        chosen: "ab",
        rejected: "ac",
        system: "",
        tools: [],
        chat_template_kwargs: {},
      },
      texts("P", "ab", "ac"),
    ],
    // Texts that begin with it. A blank before the place where they part is the reply's.
    ...[{}, { prompt: null }, { prompt: undefined }].flatMap((prompt) => ([
      [{ ...prompt, chosen: "a bc", rejected: "a bd" }, texts("a b", "c", "d")],
      [{ ...prompt, chosen: "ab cd", rejected: "ab ef" }, texts("ab", " cd", " ef")],
      [{ ...prompt, chosen: "ab  c", rejected: "ab  d" }, texts("ab ", " c", " d")],
      [{ ...prompt, chosen: "ac", rejected: "ad" }, texts("a", "c", "d")],
      // Of which one is the beginning of the other.
      [{ ...prompt, chosen: "abcd", rejected: "abc" }, texts("ab", "cd", "c")],
      [{ ...prompt, chosen: "ab", rejected: "abcd" }, texts("a", "b", "bcd")],
      // By characters, of which some are two units.
      [{ ...prompt, chosen: "🎉🎊", rejected: "🎉🎈" }, texts("🎉", "🎊", "🎈")],
    ] as const)),
    // Chats after a prompt of messages, whose replies are not learned.
    [
      { prompt: [system, user, yes, user], chosen: [yes], rejected: [no] },
      chats([system, user, unlearned, user], yes, no),
    ],
    [
      { prompt: [user, yes, tool], chosen: [no], rejected: [yes] },
      chats([user, unlearned, tool], no, yes),
    ],
    // Chats that begin with it, and may have the user's last message beside them.
    ...[{}, { prompt: null }, { prompt: "" }, { prompt: "Hi" }].flatMap((prompt) => ([
      [{ ...prompt, chosen: [user, yes], rejected: [user, no] }, chats([user], yes, no)],
      [
        {
          ...prompt,
          chosen: [system, user, no, user, yes],
          rejected: [system, user, no, user, no],
        },
        chats([system, user, { ...no, learn: false }, user], yes, no),
      ],
      [
        { ...prompt, chosen: [user, no, tool, yes], rejected: [user, no, tool, no] },
        chats([user, { ...no, learn: false }, tool], yes, no),
      ],
    ] as const)),
    // Answers to a question.
    [{ question: "Q", chosen: "a", rejected: "b" }, asked("Q", "a", "b")],
    [{ question: "Q", prompt: "", chosen: "a", rejected: "b" }, asked("Q", "a", "b")],
    [{ question: "Q", prompt: null, chosen: "b", rejected: "a" }, asked("Q", "b", "a")],
  ];
  for (const [values, expected] of cases) {
    assert.deepEqual(preference.parse(shapedRow(values)), expected, JSON.stringify(values));
  }
});

const BESIDE =
  "beside the chosen it would be lost; put it into the messages, or remove the column, or " +
  "leave it out with --columns";
const PLAIN =
  "expected none beside a prompt and replies of plain text, where it would be lost; name them with " +
  "--columns question=prompt where they are a chat";
const SAME =
  "expected another reply than the chosen has, got the same: none is preferred; remove the row";
const BEGINNING = "expected the beginning of the chosen, which is their prompt, got";
const NAME_IT = "of it; name the prompt's column with --columns prompt=NAME";
const OTHER_PROMPT =
  "expected messages, or the user's last message that the chosen and the rejected share, got";
const LAST = "expected a last message of the user or a tool before the replies, got";
const ONE_REPLY = "expected one reply of the assistant after what both share, got";
const BEFORE = "messages; put what was said before the reply into both";
const LEARN = "expected a reply of the assistant to learn, got";

Deno.test("a preference pair is refused where its replies, or what is before them, cannot be told", () => {
  const pair = { chosen: "ab", rejected: "ac" };
  const cases: readonly (readonly [Readonly<Record<string, unknown>>, string, string])[] = [
    [{ ...pair, think: "t" }, "think", `the think is "t": ${BESIDE} think=`],
    [
      { chosen: [user, yes], rejected: [user, no], history: [["a", "b"]] },
      "history",
      `the history is [["a","b"]]: ${BESIDE} history=`,
    ],
    [
      { ...pair, prompt: "p", question: "q" },
      "prompt",
      "expected either the prompt or the question, got both; leave one out with --columns prompt= or --columns question=",
    ],
    [
      { chosen: [user, yes], rejected: "No" },
      "rejected",
      'expected messages, as the chosen has, got string "No"; write both as texts or both as messages',
    ],
    [
      { chosen: 4, rejected: [user, no] },
      "chosen",
      "expected messages, as the rejected has, got number 4; write both as texts or both as messages",
    ],
    [{ ...pair, prompt: "p", system: "s" }, "system", PLAIN],
    [{ ...pair, tools: [1] }, "tools", PLAIN],
    [{ ...pair, chat_template_kwargs: { a: 1 } }, "chat_template_kwargs", PLAIN],
    [{ prompt: "p", chosen: "a", rejected: "a" }, "rejected", SAME],
    [{ question: "q", chosen: "a", rejected: "a" }, "rejected", SAME],
    [{ prompt: [user], chosen: [yes], rejected: [yes] }, "rejected", SAME],
    [{ prompt: 4, ...pair }, "prompt", "expected a string, got number 4"],
    [{ prompt: "p", chosen: 4, rejected: 5 }, "chosen", "expected a string, got number 4"],
    [{ prompt: "p", chosen: "a", rejected: 5 }, "rejected", "expected a string, got number 5"],
    // Nothing is shared, or a blank alone, or all of a text of one character.
    [{ chosen: "ab", rejected: "cb" }, "rejected", `${BEGINNING} no character ${NAME_IT}`],
    [{ chosen: " a", rejected: " b" }, "rejected", `${BEGINNING} no character ${NAME_IT}`],
    [{ chosen: "a", rejected: "ab" }, "rejected", `${BEGINNING} no character ${NAME_IT}`],
    [
      { chosen: [user, yes], rejected: [{ ...user, content: "Ho" }, yes] },
      "rejected",
      `${BEGINNING} no message ${NAME_IT}`,
    ],
    [
      { chosen: [user], rejected: [user, yes] },
      "rejected",
      `${BEGINNING} no message ${NAME_IT}`,
    ],
    [
      { prompt: "Yes", chosen: [user, yes], rejected: [user, no] },
      "prompt",
      `${OTHER_PROMPT} string "Yes"; leave it out with --columns prompt=`,
    ],
    [
      { prompt: "Hi", chosen: [system, yes], rejected: [system, no] },
      "prompt",
      `${OTHER_PROMPT} string "Hi"; leave it out with --columns prompt=`,
    ],
    // The prompt ends with a reply, or says nothing.
    [
      { prompt: [user, yes], chosen: [yes], rejected: [no] },
      "prompt",
      `${LAST} one of the assistant`,
    ],
    [
      { chosen: [user, yes, no], rejected: [user, yes, yes] },
      "prompt",
      `${LAST} one of the assistant`,
    ],
    [
      { prompt: [{ ...system, content: "" }], chosen: [yes], rejected: [no] },
      "prompt",
      `${LAST} none`,
    ],
    [
      { prompt: [user], chosen: [user], rejected: [no] },
      "chosen",
      `${LEARN} none; add it, or drop the row`,
    ],
    [
      { prompt: [user, yes, user], chosen: [user], rejected: [no] },
      "chosen",
      `${LEARN} none; add it, or drop the row`,
    ],
    [
      { prompt: [user], chosen: [yes], rejected: [{ ...no, content: "" }] },
      "rejected",
      `${LEARN} only empty ones; add it, or drop the row`,
    ],
    [{ prompt: [user], chosen: [yes, no], rejected: [no] }, "chosen", `${ONE_REPLY} 2 ${BEFORE}`],
    [
      { chosen: [user, no], rejected: [user, yes, user, no] },
      "rejected",
      `${ONE_REPLY} 3 ${BEFORE}`,
    ],
  ];
  for (const [values, column, problem] of cases) {
    assert.throws(() => preference.parse(shapedRow(values)), {
      name: "JsonlError",
      message: `rows.jsonl:3:the ${column}: ${problem}`,
    }, JSON.stringify(values));
  }
});

Deno.test("a preference pair tells of fields of its messages that it does not read", () => {
  const unread: string[] = [];
  const values = {
    prompt: [{ ...user, odd: 1 }],
    chosen: [{ ...yes, odd_c: 1 }],
    rejected: [{ ...no, odd_r: 1 }],
  };
  assert.deepEqual(preference.parse(shapedRow(values, { unread })), chats([user], yes, no));
  assert.deepEqual(unread.toSorted(), [
    ...["the chosen[].odd_c", "the prompt[].odd", "the rejected[].odd_r"],
  ]);
});
