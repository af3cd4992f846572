/**
 * Rows of a chosen and a rejected reply, as TRL means them: two texts that continue a prompt, or two chats; and two
 * answers to a question. Without a prompt it is the beginning that both share. In: a row. Out: a pair of records that
 * differ in their last reply alone.
 */

import { describeValue } from "../../../internal/json/describe_value.ts";
import type { Message } from "../../text/message.ts";
import { parseString, parseText, saysNothing } from "../field_values.ts";
import { JsonlError } from "../jsonl_error.ts";
import { assertReply, endWithReply, parseMessageList } from "../parse_messages.ts";
import type { ChatRecord, PairRecord, TextRecord } from "../record_types.ts";
import { type RowShape, type ShapedRow, SHARED_COLUMNS } from "../row_shape.ts";
import { BESIDE_CHAT, refuseBeside } from "./chat_record.ts";
import { questionRecord } from "./question_record.ts";

/** The replies of a pair. */
const REPLIES = ["chosen", "rejected"] as const;

/** The shape. */
export const preference: RowShape = {
  name: "preference pair",
  needs: REPLIES,
  columns: {
    prompt: ["prompt"],
    question: ["question"],
    chosen: ["chosen"],
    rejected: ["rejected"],
    ...BESIDE_CHAT,
    ...SHARED_COLUMNS,
  },
  parse(row) {
    const { values } = row;
    refuseBeside(row, row.nameOf("chosen"));
    const asked = !saysNothing(values.question);
    if (asked && !saysNothing(values.prompt)) {
      throw fault(
        row,
        "prompt",
        `expected either ${row.nameOf("prompt")} or ${
          row.nameOf("question")
        }, got both; leave one out with ` +
          "--columns prompt= or --columns question=",
      );
    }
    const lists = REPLIES.filter((name) => Array.isArray(values[name]));
    if (lists.length === 1) {
      const [text] = REPLIES.filter((name) => name !== lists[0]);
      throw fault(
        row,
        text,
        `expected messages, as ${row.nameOf(lists[0])} has, got ${describeValue(values[text])}; ` +
          "write both as texts or both as messages",
      );
    }
    const pair = asked ? questionsOf(row) : lists.length === 2 ? chatsOf(row) : textsOf(row);
    if (JSON.stringify(pair.chosen) === JSON.stringify(pair.rejected)) {
      throw fault(
        row,
        "rejected",
        `expected another reply than ${
          row.nameOf("chosen")
        } has, got the same: none is preferred; remove the row`,
      );
    }
    return { kind: "pair", ...pair };
  },
};

type Pair = Omit<PairRecord, "kind">;

function fault({ where, nameOf }: ShapedRow, column: string, problem: string): JsonlError {
  return new JsonlError({ ...where, field: nameOf(column) }, problem);
}

function questionsOf(row: ShapedRow): Pair {
  const [chosen, rejected] = REPLIES.map((answer) =>
    questionRecord(row, { question: "question", answer })
  );
  return { chosen, rejected };
}

function textsOf(row: ShapedRow): Pair {
  const { values, where } = row;
  for (const name of Object.keys(SHARED_COLUMNS)) {
    if (saysNothing(values[name])) continue;
    throw fault(
      row,
      name,
      "expected none beside a prompt and replies of plain text, where it would be lost; name them with " +
        "--columns question=prompt where they are a chat",
    );
  }
  const [first, second] = REPLIES.map((name) => parseText(values[name], where, row.nameOf(name)));
  if (values.prompt !== undefined && values.prompt !== null) {
    const prompt = parseString(values.prompt, where, row.nameOf("prompt"));
    return { chosen: textOf(prompt, first), rejected: textOf(prompt, second) };
  }
  // By characters, as Python counts them.
  const [chosen, rejected] = [Array.from(first), Array.from(second)];
  let at = sharedBeginning([chosen, rejected]);
  // TRL leaves a blank to the reply.
  if (chosen[at - 1] === " ") at--;
  if (at <= 0) throw noPrompt(row, "no character");
  const prompt = chosen.slice(0, at).join("");
  return {
    chosen: textOf(prompt, chosen.slice(at).join("")),
    rejected: textOf(prompt, rejected.slice(at).join("")),
  };
}

function textOf(prompt: string, completion: string): TextRecord {
  return { kind: "text", prompt, completion };
}

function chatsOf(row: ShapedRow): Pair {
  const { values, where, onUnread } = row;
  const list = (name: string): readonly Message[] =>
    parseMessageList(values[name], row.nameOf(name), { where, onUnread });
  const whole = { chosen: list("chosen"), rejected: list("rejected") };
  if (Array.isArray(values.prompt)) {
    const prompt = list("prompt");
    return pairOf(row, { prompt, chosen: whole.chosen, rejected: whole.rejected });
  }
  const at = sharedBeginning(
    REPLIES.map((name) => whole[name].map((message) => JSON.stringify(message))),
  );
  if (at <= 0) throw noPrompt(row, "no message");
  const prompt = whole.chosen.slice(0, at);
  const asks = prompt.findLast(({ role }) => role === "user")?.content;
  if (!saysNothing(values.prompt) && values.prompt !== asks) {
    throw fault(
      row,
      "prompt",
      `expected messages, or the user's last message that ${row.nameOf("chosen")} and ${
        row.nameOf("rejected")
      } share, got ${describeValue(values.prompt)}; leave it out with --columns prompt=`,
    );
  }
  return pairOf(row, {
    prompt,
    chosen: whole.chosen.slice(at),
    rejected: whole.rejected.slice(at),
  });
}

function pairOf(
  row: ShapedRow,
  { prompt, ...replies }: Readonly<Record<"prompt" | typeof REPLIES[number], readonly Message[]>>,
): Pair {
  if (prompt.at(-1)?.role === "assistant" || prompt.length === 0) {
    throw fault(
      row,
      "prompt",
      `expected a last message of the user or a tool before the replies, got ${
        prompt.length === 0 ? "none" : "one of the assistant"
      }`,
    );
  }
  const before = prompt.map((message): Message =>
    message.role === "assistant" ? { ...message, learn: false } : message
  );
  const [chosen, rejected] = REPLIES.map((name): ChatRecord => {
    const field = row.nameOf(name);
    const reply = replies[name];
    assertReply(reply, field, row.where);
    if (reply.length > 1) {
      throw fault(
        row,
        name,
        `expected one reply of the assistant after what both share, got ${reply.length} messages; put what was said ` +
          "before the reply into both",
      );
    }
    return { kind: "chat", messages: endWithReply([...before, ...reply], field, row.where) };
  });
  return { chosen, rejected };
}

/** Where two lists part; where one is the beginning of the other, before its last element, as TRL has it. */
function sharedBeginning([a, b]: readonly (readonly string[])[]): number {
  const least = Math.min(a.length, b.length);
  for (let at = 0; at < least; at++) if (a[at] !== b[at]) return at;
  return least - 1;
}

function noPrompt(row: ShapedRow, what: string): JsonlError {
  return fault(
    row,
    "rejected",
    `expected the beginning of ${
      row.nameOf("chosen")
    }, which is their prompt, got ${what} of it; name the prompt's ` +
      "column with --columns prompt=NAME",
  );
}
