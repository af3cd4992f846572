/**
 * What makes two runs the same run.
 *
 * In: arguments and hashes. Out: training_args.json, and a refusal to resume where anything that
 * shapes the result differs.
 */

/** Facts by name, in the words of TrainingArguments where it has one. */
export type RunFacts = Readonly<Record<string, string | number | boolean | null>>;

/**
 * Checks a checkpoint's facts against this run's.
 *
 * @example
 * ```ts
 * import { assertSameRun } from "@ortune/ortune";
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
  const differing = [...names].filter((name) => saved[name] !== current[name]);
  if (differing.length === 0) return;
  const show = (value: unknown) => JSON.stringify(value) ?? "not set";
  throw new Error(
    `Cannot resume from ${directory}: it is of another run\n` +
      differing.map((name) => `  ${name}: ${show(saved[name])} there, ${show(current[name])} here`)
        .join("\n") +
      "\nGive the same arguments and data, or start a new run from its weights with --model",
  );
}
