/**
 * A row that holds a question and its answer in columns. In: the row, and which columns they are. Out:
 * its QuestionRecord.
 */

import { splitThinking } from "../../text/thinking.ts";
import { parseString, parseText } from "../field_values.ts";
import { JsonlError } from "../jsonl_error.ts";
import { parseHistory } from "../parse_messages.ts";
import type { QuestionRecord } from "../record_types.ts";
import type { ShapedRow } from "../row_shape.ts";

/** Reads it, `input` below the question and `history` before it. */
export function questionRecord(
  row: ShapedRow,
  { question: asked, answer: answered }: { readonly question: string; readonly answer: string },
): QuestionRecord {
  const { values, where, onUnread } = row;
  const { think: rawThink = null, input = null } = values;
  const more = input === null ? "" : parseString(input, where, row.nameOf("input"));
  const asks = row.nameOf(asked);
  // An instruction may stand in either of its two columns.
  const question = more === "" || asked === "question"
    ? parseText(values[asked], where, asks)
    : parseString(values[asked], where, asks);
  const think = rawThink === null ? null : parseString(rawThink, where, row.nameOf("think"));
  const answers = row.nameOf(answered);
  const answer = parseText(values[answered], where, answers);
  if (!think && splitThinking(answer).answer === "") {
    throw new JsonlError(
      { ...where, field: answers },
      "expected an answer after </think>, got none",
    );
  }
  const history = parseHistory(values.history, row.nameOf("history"), { where, onUnread });
  return {
    kind: "question",
    // As LLaMA-Factory joins them.
    question: [question, more].filter((text) => text !== "").join("\n"),
    think,
    answer,
    ...history.length === 0 ? {} : { history },
  };
}
