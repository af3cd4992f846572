/**
 * What training data teach. In: data and a tokenizer. Out: the first example as a table of tokens, and
 * lines on its terminator, its prompt, and control tokens in texts.
 */

import type { ExampleList } from "../data/example_list.ts";
import { inspectRecords, promptIsInference, taughtTerminator } from "../data/preflight.ts";
import { formatTokenTable, type FormatTokenTableOptions, tokenTable } from "../data/token_table.ts";
import type { Tokenizer } from "../data/tokenizer.ts";
import type { TrainingArguments } from "./training_arguments.ts";
import { lines, type TrainingData } from "./training_data.ts";

const UNLIKE_SEED =
  "note: replies follow the model's own chat template and end with its end of turn, " +
  "samples are drawn in evaluation mode, updates are counted rounding up; --compat seed trains as " +
  "Qwen3-Medical-SFT did";

/** The first example token by token, and what the data teach, a line each. */
export async function describeData(
  { trainFile, system, compat }: Pick<TrainingArguments, "trainFile" | "system" | "compat">,
  { data, tokenizer, table }: {
    readonly data: { readonly train: Pick<ExampleList, "at"> } & Pick<TrainingData, "report">;
    readonly tokenizer: Tokenizer;
    readonly table?: FormatTokenTableOptions;
  },
): Promise<string[]> {
  const { first, controlTokens } = await inspectRecords(trainFile, {
    tokenizer,
    system: system || undefined,
  });
  const { report, train } = data;
  const example = train.at(0);
  const said = compat === "seed" ? [] : [UNLIKE_SEED];
  said.push(...formatTokenTable(tokenTable(example, tokenizer), table));
  const terminator = taughtTerminator(example, tokenizer);
  said.push(
    terminator === undefined
      ? "terminator: the first example does not teach where a reply ends"
      : `terminator: ${terminator} is taught`,
  );
  const { unterminated, rows } = report;
  if (unterminated.length > 0) {
    said.push(
      `warning: ${unterminated.length} of ${rows} rows lose their terminator (${
        lines(unterminated)
      }), so the model may not learn to stop; raise --max-length`,
    );
  }
  // Where line 1 was left out or its prompt cut, there is nothing to compare.
  if (example.source?.line === 1 && example.supervised > 0) {
    said.push(
      promptIsInference(example, first, tokenizer)
        ? `prompt: its ${example.promptLength} tokens are those that inference makes`
        : "warning: inference makes another prompt of the first example than training did; check " +
          "the chat template",
    );
  }
  if (controlTokens.length > 0) {
    const tokens = [...new Set(controlTokens.map(({ token }) => token))].join(", ");
    said.push(
      `warning: ${tokens} in the text of ${trainFile}, ${
        lines([...new Set(controlTokens.map(({ line }) => line))])
      }: read as control, not as text; remove them unless that is meant`,
    );
  }
  return said;
}
