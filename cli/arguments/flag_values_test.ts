import assert from "node:assert/strict";
import { POSITIVE_OR_ZERO } from "../../internal/number_range.ts";
import {
  count,
  countOrZero,
  device,
  numberIn,
  positive,
  probability,
  repositoryId,
  seed,
  words,
} from "./flag_values.ts";

/** What each parser takes, and what it does not. */
const TABLE = [
  ["count", count, ["1", "400", "1e3", " 7 "], [
    "0",
    "-1",
    "1.5",
    "",
    " ",
    "x",
    "9007199254740992",
  ]],
  ["countOrZero", countOrZero, ["0", "12"], ["-1", "0.5", "NaN"]],
  ["seed", seed, ["0", "4294967295"], ["-1", "4294967296", "1.5"]],
  ["positive", positive, ["1e-4", "0.5", "3"], ["0", "-1", "Infinity", "1e400", "1,5", "5%"]],
  ["numberIn(POSITIVE_OR_ZERO)", numberIn(POSITIVE_OR_ZERO), ["0", "0.1"], ["-0.1", "NaN"]],
  ["probability", probability, ["1", "0.95", "1e-3"], ["0", "1.01", "-1"]],
] as const;

for (const [name, parse, good, bad] of TABLE) {
  Deno.test(`${name}() takes ${good.join(" and ")}, and refuses ${bad.length} others`, () => {
    for (const text of good) assert.equal(parse(text), Number(text));
    for (const text of bad) {
      assert.throws(() => parse(text), { code: "commander.invalidArgument" }, JSON.stringify(text));
    }
  });
}

Deno.test("device() takes the cpu and refuses, with the reason, what graphs cannot run on", () => {
  assert.equal(device("cpu"), "cpu");
  assert.throws(() => device("gpu"), {
    code: "commander.invalidArgument",
    message: 'Cannot use device "gpu": expected cpu, cuda, cuda:N or webgpu',
  });
});

Deno.test("words() takes a text as it is, and refuses one of blanks", () => {
  assert.equal(words(" a b "), " a b ");
  for (const text of ["", " ", "\n\t", "\u3000"]) {
    assert.throws(() => words(text), { code: "commander.invalidArgument" }, JSON.stringify(text));
  }
});

Deno.test("repositoryId() takes an owner and a name alone", () => {
  assert.equal(repositoryId("Qwen/Qwen3-0.6B"), "Qwen/Qwen3-0.6B");
  for (const text of ["", "Qwen3", "a/b/c", "../b"]) {
    assert.throws(() => repositoryId(text), { code: "commander.invalidArgument" }, text);
  }
});
