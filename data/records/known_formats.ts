/**
 * Rows of other formats, by their columns.
 *
 * In: the names of a row's columns. Out: what the row is, and how to convert it.
 */

/** Columns of a format, in lower case, and what to do with it. */
interface Format {
  readonly columns: readonly string[];
  readonly remedy: string;
}

const RENAME = "rename the columns to question, think and answer";
const FORMATS: readonly Format[] = [
  {
    columns: ["conversations"],
    remedy: "ShareGPT's format; write messages: [{role, content}] in place of conversations: " +
      "[{from, value}], and user and assistant in place of human and gpt",
  },
  {
    columns: ["conversation"],
    remedy: "a chat of another format; write messages: [{role, content}]",
  },
  {
    columns: ["instruction", "output"],
    remedy: "Alpaca's format; rename instruction to question and output to answer (input, system " +
      "and history are read as they are)",
  },
  {
    columns: ["prompt", "chosen", "rejected"],
    remedy: "preference data; rename prompt to question and chosen to answer, and drop rejected",
  },
  {
    columns: ["chosen", "rejected"],
    remedy: "preference data; rename chosen to messages, and drop rejected",
  },
  {
    columns: ["prompt", "completion"],
    remedy: "prompt and completion; rename prompt to question and completion to answer, or where " +
      "they are lists of messages join them in messages",
  },
  { columns: ["prompt", "response"], remedy: `prompt and response; ${RENAME}` },
  { columns: ["query", "response"], remedy: `query and response; ${RENAME}` },
  { columns: ["problem", "solution"], remedy: `problem and solution; ${RENAME}` },
  { columns: ["question", "response"], remedy: "rename response to answer" },
  { columns: ["input", "output"], remedy: `input and output; ${RENAME}` },
  {
    columns: ["input_ids"],
    remedy: "data that is tokenized already; give the text it was made of",
  },
  {
    columns: ["text"],
    remedy: "plain text, of which no reply can be told apart; write question and answer",
  },
];

/** What a row without the columns that are read is; `undefined` where it is like none of them. */
export function knownFormat(columns: readonly string[]): string | undefined {
  const given = new Set(columns.map((name) => name.toLowerCase()));
  return FORMATS.find((format) => format.columns.every((name) => given.has(name)))?.remedy;
}
