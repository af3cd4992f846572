import assert from "node:assert/strict";
import { Command } from "commander";
import { addSamplingFlags } from "./sampling_flags.ts";

function parse(...args: string[]): Record<string, unknown> {
  const command = addSamplingFlags(
    new Command().exitOverride().configureOutput({ writeErr: () => {} }),
  );
  return command.parse(args, { from: "user" }).opts();
}

Deno.test("addSamplingFlags() has no defaults, and takes the ends of what each may be", () => {
  assert.deepEqual(parse(), {});
  for (
    const [flag, name, good, bad] of [
      ["--temperature", "temperature", ["0.01", "3"], ["0", "-1", "x"]],
      ["--top-p", "topP", ["0.01", "1"], ["0", "1.01"]],
      ["--top-k", "topK", ["0", "40"], ["-1", "0.5"]],
      ["--min-p", "minP", ["0", "1"], ["-0.1", "1.1"]],
      ["--repetition-penalty", "repetitionPenalty", ["0.5", "2"], ["0", "-1"]],
    ] as const
  ) {
    for (const value of good) assert.deepEqual(parse(flag, value), { [name]: Number(value) });
    for (const value of bad) {
      assert.throws(() => parse(flag, value), /It must be/, `${flag} ${value}`);
    }
  }
});
