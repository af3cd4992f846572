import assert from "node:assert/strict";
import { folderName } from "./folder_name.ts";

Deno.test("folderName() is a path's last part, and a checkpoint's its run's too", () => {
  for (
    const [path, name] of [
      ["models/Qwen/Qwen3-0.6B/", "Qwen3-0.6B"],
      ["./output/my-run/checkpoint-400", "my-run/checkpoint-400"],
      ["C:\\output\\lora\\checkpoint-8", "lora/checkpoint-8"],
      ["checkpoint-8", "checkpoint-8"],
      [".", "model"],
    ]
  ) assert.equal(folderName(path), name);
});
