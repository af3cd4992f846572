/**
 * Rows of Alpaca: `{instruction, input, output}`, with LLaMA-Factory's system and history. In: a row.
 * Out: a question.
 */

import { type RowShape, SHARED_COLUMNS, THINK_NAMES } from "../row_shape.ts";
import { questionRecord } from "./question_record.ts";

/** The shape. */
export const alpaca: RowShape = {
  name: "Alpaca",
  needs: ["instruction", "output"],
  columns: {
    instruction: ["instruction"],
    input: ["input"],
    output: ["output"],
    think: THINK_NAMES,
    history: ["history"],
    ...SHARED_COLUMNS,
  },
  parse: (row) => questionRecord(row, { question: "instruction", answer: "output" }),
};
