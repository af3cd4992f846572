import assert from "node:assert/strict";
import { Command, Option } from "commander";
import { port } from "./port.ts";
import { isToggle, toggle } from "./toggle.ts";

Deno.test("toggle() takes what HfArgumentParser takes for true and false", () => {
  const parse = (...args: string[]): unknown =>
    new Command().exitOverride().configureOutput({ writeErr: () => {} })
      .addOption(toggle("--it", "")).parse(args, { from: "user" }).opts().it;
  assert.deepEqual([parse(), parse("--it")], [undefined, true]);
  for (const word of ["true", "yes", "t", "y", "1", "TRUE"]) {
    assert.equal(parse("--it", word), true);
  }
  for (const word of ["false", "no", "f", "n", "0", "No"]) assert.equal(parse("--it", word), false);
  for (const word of ["2", "on", "", "tru"]) {
    assert.throws(
      () => parse("--it", word),
      /It must be true or false, or be left out for true\./,
      word,
    );
  }
  assert.deepEqual([toggle("--it", ""), new Option("--it [bool]")].map(isToggle), [true, false]);
});

Deno.test("port() takes whole numbers up to 65535", () => {
  assert.deepEqual(["0", "80", "65535"].map(port), [0, 80, 65535]);
  for (const text of ["65536", "123456", "-1", "1.5", "", " 1", "0x10", "1e3"]) {
    assert.throws(
      () => port(text),
      { message: "It must be a whole number from 0 to 65535." },
      text,
    );
  }
});
