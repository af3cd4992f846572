/**
 * What training data teach. In: data and a tokenizer. Out: the first example as a table of tokens, and
 * lines on its terminator, its prompt, and control tokens in texts.
 */

import type { ExampleList } from "../../data/examples/example_list.ts";
import type { Example } from "../../data/examples/example.ts";
import {
  inspectRecords,
  promptIsInference,
  rendersGenerationPrompt,
  taughtTerminator,
} from "../../data/examples/preflight.ts";
import {
  formatTokenTable,
  type FormatTokenTableOptions,
  tokenTable,
} from "../../data/examples/token_table.ts";
import { describeRowFile } from "../../data/records/row_file.ts";
import { unitOf } from "../../data/records/row_format.ts";
import type { Tokenizer } from "../../data/text/tokenizer.ts";
import { readGenerationConfig } from "../../infer/generate/generation_config.ts";
import type { ModelConfig } from "../../model/config.ts";
import type { TrainingArguments } from "./training_arguments.ts";
import { DEFAULT_BETA } from "../objectives/pair_objectives.ts";
import { describeChat } from "./describe_chat.ts";
import { describeLines, describeShapes } from "./describe_rows.ts";
import { pairObjectiveOf } from "./objective_of.ts";
import { oneLine } from "./one_line.ts";
import { expandRows } from "./row_paths.ts";
import type { TrainingData } from "./training_data.ts";

const NO_GENERATION_PROMPT =
  "warning: the chat template knows no add_generation_prompt, so the model is taught to write the header " +
  "of its replies itself; give one that does with --chat-template FILE";
const UNLIKE_SEED =
  "note: replies follow the model's own chat template and end with its end of turn, " +
  "samples are drawn in evaluation mode, updates are counted rounding up; --compat seed trains as " +
  "Qwen3-Medical-SFT did";

/** The first example token by token, and what the data teach, a line each. */
export async function describeData(
  args: Pick<
    TrainingArguments,
    | "model"
    | "trainFile"
    | "system"
    | "compat"
    | "emptyThink"
    | "dropRefusedRows"
    | "columns"
    | "teach"
    | "truncation"
    | "loss"
    | "beta"
  >,
  { data, config, tokenizer, table }: {
    readonly data: { readonly train: Pick<ExampleList, "at"> } & Pick<TrainingData, "report">;
    readonly config: ModelConfig;
    readonly tokenizer: Tokenizer;
    readonly table?: FormatTokenTableOptions;
  },
): Promise<string[]> {
  const { model, trainFile, system, compat, emptyThink, dropRefusedRows, columns } = args;
  const { report, train } = data;
  const example = train.at(0);
  const { source } = example;
  const files = (await expandRows(trainFile)).flatMap((each) => each.files);
  const inspected = await Promise.all(files.map(async (file) => ({
    file,
    unit: unitOf((await describeRowFile(file)).format),
    ...await inspectRecords(file, {
      tokenizer,
      columns,
      system: system || undefined,
      line: file === source?.file ? source.line : undefined,
      dropRefused: dropRefusedRows,
    }),
  })));
  const { record, messages } = inspected.find(({ file }) => file === source?.file) ?? inspected[0];
  const said = compat === "seed" ? [] : [UNLIKE_SEED];
  said.push(...describeShapes(report, [trainFile].flat().join(", ")));
  said.push(...describeChat(record, { messages, teach: args.teach, source }));
  said.push(...describePairs(args, { train, tokenizer }));
  said.push(...formatTokenTable(tokenTable(example, tokenizer), table));
  said.push(await describeTerminator(example, { model, config, tokenizer }));
  const isChat = record.kind !== "text";
  if (isChat && !rendersGenerationPrompt(tokenizer) && compat !== "seed") {
    said.push(NO_GENERATION_PROMPT);
  }
  const { unterminated, rows } = report;
  if (unterminated.length > 0) {
    // Lines of several files together would be nobody's.
    const [{ unit }, ...others] = inspected;
    const where = others.length === 0 ? ` (${describeLines(unterminated, unit)})` : "";
    said.push(
      `warning: ${unterminated.length} of ${rows} rows lose their terminator${where}, so the model may not ` +
        "learn to stop; raise --max-length",
    );
  }
  // Where its prompt was cut there is nothing to compare.
  const isWhole = example.supervised > 0 &&
    (args.truncation !== "left" || example.truncatedTokens === 0);
  if (isChat && isWhole && compat !== "seed") {
    const { enableThinking, tools } = record;
    const silent = emptyThink === "prompt" &&
      messages.every(({ reasoning_content = "" }) => reasoning_content === "");
    const how = {
      tokenizer,
      enableThinking: silent ? false : enableThinking,
      tools,
      teach: args.teach,
    };
    said.push(
      promptIsInference(example, messages, how)
        ? `prompt: its ${example.promptLength} tokens are those that inference makes`
        : "warning: inference makes another prompt of the first example than training did; check " +
          "the chat template",
    );
  }
  if (!isChat) {
    said.push("prompt: text without a chat template; ask for its completion by /v1/completions");
  }
  for (const { file, unit, controlTokens } of inspected) {
    if (controlTokens.length === 0) continue;
    const tokens = [...new Set(controlTokens.map(({ token }) => token))].join(", ");
    said.push(
      `warning: ${tokens} in the text of ${file}, ${
        describeLines([...new Set(controlTokens.map(({ line }) => line))], unit)
      }: read as control, not as text; remove them unless that is meant`,
    );
  }
  return said;
}

/** Whether the token that ends replies is taught, and is one that inference ends them at. */
async function describeTerminator(
  example: Example,
  { model, config, tokenizer }: {
    readonly model: string;
    readonly config: ModelConfig;
    readonly tokenizer: Tokenizer;
  },
): Promise<string> {
  const terminator = taughtTerminator(example, tokenizer);
  if (terminator === undefined) {
    return "terminator: the first example does not teach where a reply ends";
  }
  const { eosTokenIds } = await readGenerationConfig(model, { config, tokenizer });
  if (eosTokenIds.includes(tokenizer.tokenToId(terminator)!)) {
    return `terminator: ${terminator} is taught`;
  }
  const own = eosTokenIds.map((id) => tokenizer.idToToken(id) ?? id).join(", ");
  return `terminator: ${terminator} is taught; the base model ends at ${own}, so checkpoints end replies at ` +
    "both";
}

/** Characters of a reply that are shown. */
const REPLY_WIDTH = 72;

/** The reply that the first row's is preferred to, and what both are learned by; nothing of single replies. */
function describePairs(
  args: Pick<TrainingArguments, "loss" | "beta">,
  { train, tokenizer }: {
    readonly train: Pick<ExampleList, "at">;
    readonly tokenizer: Tokenizer;
  },
): string[] {
  const { loss, beta = DEFAULT_BETA } = args;
  const pairs = pairObjectiveOf(args);
  if (!pairs) return [];
  const rejected = train.at(1);
  const text = tokenizer.decode(rejected.inputIds.subarray(rejected.promptLength));
  return [
    `  rejected   ${oneLine(text, REPLY_WIDTH)}  (what it is preferred to)`,
    `loss: ${loss} with beta ${beta}` +
    (pairs.reference ? ", compared with the model as training starts from it" : ""),
  ];
}
