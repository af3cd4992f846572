import assert from "node:assert/strict";
import { shellCommand } from "./shell_command.ts";

Deno.test("shellCommand() quotes what a shell would take apart", () => {
  assert.equal(
    shellCommand("deno task train", ["--system", "it's", "--model", "models/a-b", "$x", ""]),
    "deno task train --system 'it'\\''s' --model models/a-b '$x' ''",
  );
});
