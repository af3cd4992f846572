/**
 * The examples of a run, checked before anything slow starts. In: training flags and a tokenizer.
 * Out: training and evaluation examples, and what was cut, in words.
 */

import type { Example } from "../data/example.ts";
import { readExamples, type ReadExamplesReport } from "../data/read_examples.ts";
import type { TrainingRecord } from "../data/record.ts";
import { toSeedExample } from "../data/seed_example.ts";
import type { Tokenizer } from "../data/tokenizer.ts";
import type { TrainingArguments } from "./training_arguments.ts";

/** Examples and remarks on them. */
export interface TrainingData {
  readonly train: readonly Example[];
  readonly validation: readonly Example[];
  readonly report: ReadExamplesReport;
  /** What a user should know of the data, a line each. */
  readonly notes: readonly string[];
}

/** Reads both files. */
export async function readTrainingData(
  args: Pick<
    TrainingArguments,
    "trainFile" | "validationFile" | "maxLength" | "system" | "dropUnlabelled" | "compat"
  >,
  tokenizer: Tokenizer,
): Promise<TrainingData> {
  const notes: string[] = args.compat === "seed"
    ? [
      "--compat seed: replies end with the padding token instead of the template's end of turn, " +
      "thinking has the seed's spacing, and updates are counted rounding down, as its transformers did",
    ]
    : [];
  const read = async (path: string) => {
    const { maxLength, system } = args;
    const options = { tokenizer, maxLength, system: system || undefined };
    const encode = args.compat === "seed"
      ? (record: TrainingRecord) => [toSeedExample(record, { tokenizer, maxLength, system })]
      : undefined;
    const { examples, report } = await readExamples(path, { ...options, encode });
    const { unlabelled } = report;
    if (unlabelled.length > 0) {
      const state = `${lines(unlabelled)} ${
        unlabelled.length === 1 ? "has" : "have"
      } no answer left within --max-length ${maxLength}`;
      if (!args.dropUnlabelled) {
        throw new Error(
          `Cannot train on ${path}: ${state}; raise it, shorten or remove the rows, or leave them ` +
            "out with --drop-unlabelled",
        );
      }
      if (examples.length === 0) {
        throw new Error(
          `Cannot train on ${path}: --drop-unlabelled leaves no row, ${state}; raise it`,
        );
      }
      notes.push(`${path}: ${unlabelled.length} of ${report.rows} rows are left out, ${state}`);
    }
    if (report.truncated.length > 0) {
      notes.push(
        `${path}: ${report.truncated.length} of ${report.rows} rows are cut to --max-length ` +
          `${maxLength} and lose their end: ${lines(report.truncated)}`,
      );
    }
    return { examples, report };
  };
  const { examples: train, report } = await read(args.trainFile);
  const validation = args.validationFile ? (await read(args.validationFile)).examples : [];
  return { train, validation, report, notes };
}

const SHOWN = 10;

/** Line numbers in words, ten at most. */
export function lines(numbers: readonly number[]): string {
  const rest = numbers.length - SHOWN;
  return `line${numbers.length === 1 ? "" : "s"} ${numbers.slice(0, SHOWN).join(", ")}` +
    (rest > 0 ? ` and ${rest} more` : "");
}
