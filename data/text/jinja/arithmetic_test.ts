import assert from "node:assert/strict";
import { renderChat } from "../chat_template.ts";

Deno.test("a whole zero has no sign, as in Python", () => {
  const zeros = ["0 * -1", "-0", "0 // -5", "-5 % 5", "0 - 0"];
  const template = zeros.map((each) => `{{ (${each}) | float }}`).join(" ");
  const rendered = renderChat(template, [{ role: "user", content: "?" }], {
    addGenerationPrompt: false,
  });
  assert.equal(rendered, "0.0 0.0 0.0 0.0 0.0");
});
