import assert from "node:assert/strict";
import { resumeCommand } from "./resume_command.ts";

Deno.test("resumeCommand() keeps flags, but for those of how the run began and their values", () => {
  const command = (...flags: string[]) =>
    resumeCommand("deno task train", flags, "output/a/checkpoint-4");
  const end = "--resume-from-checkpoint output/a/checkpoint-4";
  assert.equal(command(), `deno task train ${end}`);
  for (
    const beginning of [
      ["--overwrite-output-dir"],
      ["--overwrite_output_dir", "true"],
      ["--overwrite-output-dir=yes"],
      ["--resume-from-checkpoint"],
      ["--resume_from_checkpoint", "output/b/checkpoint-2"],
      ["--resume-from-checkpoint=output/b/checkpoint-2"],
    ]
  ) {
    assert.equal(
      command("--system", "a b", ...beginning, "--output-dir", "output/a"),
      `deno task train --system 'a b' --output-dir output/a ${end}`,
    );
  }
});
