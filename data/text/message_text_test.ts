import assert from "node:assert/strict";
import { parsePythonJson } from "../../internal/json/python_json.ts";
import type { Message } from "./message.ts";
import { messageText } from "./message_text.ts";

Deno.test("messageText() is the content, and each call below it", () => {
  const calling = (content: string, ...calls: [string, unknown][]): Message => ({
    role: "assistant",
    content,
    tool_calls: calls.map(([name, made]) => ({
      type: "function",
      function: { name, arguments: made },
    })),
  });
  assert.equal(messageText({ role: "user", content: "Hi" }), "Hi");
  assert.equal(messageText({ role: "user", content: "" }), "");
  assert.equal(
    messageText(calling("Hi", ["f", parsePythonJson('{"b": 1.0, "a": "é"}')], ["g", { x: 1 }])),
    'Hi\nf({"b": 1.0, "a": "é"})\ng({"x":1})',
  );
  assert.equal(messageText(calling("", ["f", new Map()])), "f({})");
});
