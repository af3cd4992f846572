/**
 * Rows of a question, its thinking and its answer, under the names that data sets give them. In: a row.
 * Out: a question.
 */

import { type RowShape, SHARED_COLUMNS, THINK_NAMES } from "../row_shape.ts";
import { questionRecord } from "./question_record.ts";

/** Names of question and answer that stand together, and of the thinking beside them. */
const NAMINGS: readonly {
  readonly question: string;
  readonly answer: string;
  readonly think?: readonly string[];
  readonly input?: readonly string[];
}[] = [
  // ortune's and Qwen3-Medical-SFT's.
  { question: "question", answer: "answer" },
  // medical-o1-reasoning-SFT's.
  { question: "question", answer: "response" },
  // OpenThoughts-114k's metadata.
  { question: "problem", answer: "deepseek_solution", think: ["deepseek_reasoning"] },
  // NuminaMath's and OpenR1-Math's.
  { question: "problem", answer: "solution" },
  // ms-swift's.
  { question: "query", answer: "response" },
  { question: "prompt", answer: "response" },
  // Dolly's.
  { question: "instruction", answer: "response", input: ["input", "context"] },
];

/** The shape, once for each naming. */
export const questions: readonly RowShape[] = NAMINGS.map(
  ({ question, answer, think = [], input = ["input"] }) => ({
    name: "question and answer",
    needs: ["question", "answer"],
    columns: {
      question: [question],
      think: [...think, ...THINK_NAMES],
      answer: [answer],
      input,
      history: ["history"],
      ...SHARED_COLUMNS,
    },
    parse: (row) => questionRecord(row, { question: "question", answer: "answer" }),
  }),
);
