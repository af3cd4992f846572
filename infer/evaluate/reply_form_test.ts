import assert from "node:assert/strict";
import { formFaults } from "./reply_form.ts";

Deno.test("formFaults() finds none in thinking, an answer and an end", () => {
  assert.deepEqual(formFaults("<think>\nRest helps.\n</think>\n\nLie down.", "eos"), []);
});

Deno.test("formFaults() names each fault", () => {
  const faults: [string, string[]][] = [
    ["Lie down.", ["does not open with <think>", "closes the thinking 0 times"]],
    ["<think>\nRest helps.", ["closes the thinking 0 times"]],
    ["<think>\n</think>\n\nLie down.", ["has no thinking"]],
    ["<think>a</think>\n", ["has no answer"]],
    ["<think>a</think>b</think>c", ["closes the thinking 2 times"]],
    ["<think>a<think>b</think>c", ["opens the thinking twice"]],
  ];
  for (const [text, expected] of faults) assert.deepEqual(formFaults(text, "eos"), expected);
  assert.deepEqual(formFaults("<think>a</think>b", "length"), ["does not end by itself"]);
});
