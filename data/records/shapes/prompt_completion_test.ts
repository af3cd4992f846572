import assert from "node:assert/strict";
import { shapedRow } from "../../../tests/support/shaped_row.ts";
import { promptCompletion } from "./prompt_completion.ts";

const user = { role: "user", content: "Hi" } as const;
const yes = { role: "assistant", content: "Yes" } as const;
const no = { role: "assistant", content: "No" } as const;
const tool = { role: "tool", content: "1" } as const;

Deno.test("a prompt and its completion are two texts, or the two parts of a chat", () => {
  const chat = (...messages: readonly unknown[]) => ({ kind: "chat", messages });
  const cases: readonly (readonly [Readonly<Record<string, unknown>>, unknown])[] = [
    [{ prompt: "P", completion: "C" }, { kind: "text", prompt: "P", completion: "C" }],
    [{ prompt: "", completion: " C " }, { kind: "text", prompt: "", completion: " C " }],
    [
      {
        ...{ prompt: "P", completion: "C", think: "", history: [], system: null, tools: "[]" },
        chat_template_kwargs: "{}",
      },
      { kind: "text", prompt: "P", completion: "C" },
    ],
    // Replies of the prompt are not learned, those of the completion are, up to the last one.
    [{ prompt: [user], completion: [yes] }, chat(user, yes)],
    [
      { prompt: [user, no, user], completion: [yes, user, no, user] },
      chat(user, { ...no, learn: false }, user, yes, user, no),
    ],
    [
      { prompt: [user, yes, tool], completion: [no], think: null, history: "" },
      chat(user, { ...yes, learn: false }, tool, no),
    ],
    [{ prompt: [{ role: "system", content: "" }], completion: [yes] }, chat(yes)],
  ];
  for (const [values, expected] of cases) {
    const read = promptCompletion.parse(shapedRow(values, { rest: { label: true } }));
    assert.deepEqual(read, expected, JSON.stringify(values));
  }
  const unread: string[] = [];
  const values = { prompt: [{ ...user, odd: 1 }], completion: [{ ...yes, other: 1 }] };
  assert.deepEqual(promptCompletion.parse(shapedRow(values, { unread })), chat(user, yes));
  assert.deepEqual(unread, ["the prompt[].odd", "the completion[].other"]);
});

const PLAIN =
  "expected none beside a prompt and a completion of plain text, where it would be lost; name them with " +
  "--columns question=prompt,answer=completion where they are a chat";
const BESIDE =
  "beside the completion it would be lost; put it into the messages, or remove the column, or " +
  "leave it out with --columns";

Deno.test("a prompt and its completion are refused where something of the row would be lost", () => {
  const plain = { prompt: "P", completion: "C" };
  const chat = { prompt: [user], completion: [yes] };
  const LABEL = "label is false: a completion that is marked as bad would be learned; drop the row";
  const cases: readonly (readonly [Readonly<Record<string, unknown>>, string, string])[] = [
    ...["think", "history", "system", "tools", "chat_template_kwargs"].map((name) =>
      [{ ...plain, [name]: "x" }, `the ${name}`, PLAIN] as const
    ),
    [{ ...chat, think: "t" }, "the think", `the think is "t": ${BESIDE} think=`],
    [{ ...chat, history: [1] }, "the history", `the history is [1]: ${BESIDE} history=`],
    [
      { prompt: [user], completion: "C" },
      "the completion",
      'expected messages, as the prompt has, got string "C"; write both as texts or both as messages',
    ],
    [
      { prompt: 4, completion: [yes] },
      "the prompt",
      "expected messages, as the completion has, got number 4; write both as texts or both as messages",
    ],
    [{ ...plain, prompt: null }, "the prompt", "expected a string, got null"],
    [{ ...plain, completion: " " }, "the completion", "expected some text, got only blank space"],
    [
      { prompt: [user, yes], completion: [no] },
      "the prompt",
      "expected a last message of the user or a tool, got one of the assistant; join what the assistant says in " +
      "the completion",
    ],
    [
      { prompt: [user, yes, user], completion: [user] },
      "the completion",
      "expected a reply of the assistant to learn, got none; add it, or drop the row",
    ],
    [
      { prompt: [user], completion: [{ ...yes, content: " " }] },
      "the completion",
      "expected a reply of the assistant to learn, got only empty ones; add it, or drop the row",
    ],
  ];
  for (const [values, field, problem] of cases) {
    assert.throws(() => promptCompletion.parse(shapedRow(values)), {
      name: "JsonlError",
      message: `rows.jsonl:3:${field}: ${problem}`,
    }, JSON.stringify(values));
  }
  for (const values of [plain, chat]) {
    assert.throws(() => promptCompletion.parse(shapedRow(values, { rest: { label: false } })), {
      message: `rows.jsonl:3:label: ${LABEL}`,
    });
  }
});
