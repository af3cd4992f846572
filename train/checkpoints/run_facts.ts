/**
 * What makes two runs the same run.
 *
 * In: arguments and hashes. Out: training_args.json, and a refusal to resume where anything that
 * shapes the result differs.
 */

import { isRecord } from "../../internal/json/is_record.ts";

/** Facts that a resumed run may change: its length, and when it tells of itself. */
const CHANGEABLE: ReadonlySet<string> = new Set(["num_train_epochs", "max_steps", "logging_steps"]);

/** Facts by name, in the words of TrainingArguments where it has one. */
export type RunFacts = Readonly<Record<string, string | number | boolean | null>>;

/**
 * Reads training_args.json.
 *
 * @throws {Error} where it holds anything but names with plain values
 */
export function parseRunFacts(text: string, path: string): RunFacts {
  let facts: unknown;
  try {
    facts = JSON.parse(text);
  } catch {
    // As a value that is none.
  }
  const plain = (value: unknown): boolean =>
    value === null || ["string", "number", "boolean"].includes(typeof value);
  if (isRecord(facts) && Object.values(facts).every(plain)) return facts as RunFacts;
  throw new Error(
    `Cannot resume from ${path}: it is no list of names and plain values; give a checkpoint that ` +
      "ortune wrote, or start from its weights with --model",
  );
}

/**
 * Checks a checkpoint's facts against this run's, but for those that may change.
 *
 * @example
 * ```ts
 * import { assertSameRun } from "./run_facts.ts";
 * import assert from "node:assert/strict";
 *
 * assertSameRun({ seed: 42 }, { seed: 42 }, "output/checkpoint-8");
 * assert.throws(() => assertSameRun({ seed: 42 }, { seed: 7 }, "output/checkpoint-8"), /seed: 42/);
 * ```
 *
 * @throws {Error} naming every fact that differs, with both values
 */
export function assertSameRun(saved: RunFacts, current: RunFacts, directory: string): void {
  const names = new Set([...Object.keys(saved), ...Object.keys(current)]);
  const own = (facts: RunFacts, name: string) =>
    Object.hasOwn(facts, name) ? facts[name] : undefined;
  const differing = [...names].filter((name) =>
    !CHANGEABLE.has(name) && own(saved, name) !== own(current, name)
  );
  if (differing.length === 0) return;
  const show = (value: unknown) => JSON.stringify(value) ?? "not set";
  throw new Error(
    `Cannot resume from ${directory}: it is of another run\n` +
      differing.map((name) =>
        `  ${name}: ${show(own(saved, name))} there, ${show(own(current, name))} here`
      )
        .join("\n") +
      "\nGive the same arguments and data, or start a new run from its weights with --model",
  );
}
