import assert from "node:assert/strict";
import { Command } from "commander";
import { explainName } from "./unknown_name.ts";

const command = new Command()
  .option("--learning-rate <x>", "")
  .option("--max-steps <n>", "")
  .option("--bf16", "")
  .option("--no-shuffle", "");

const explained = (name: string) => explainName(name, command, (each) => `--${each}`);

Deno.test("explainName() knows the names of other trainers", () => {
  assert.equal(explained("lr"), "it is --learning-rate here");
  // Of a name that this command does not have.
  assert.equal(explained("pref-beta"), "it is --beta here, of deno task train:lora");
});

Deno.test("explainName() finds the nearest name within three edits and two fifths of it", () => {
  const CASES: readonly (readonly [name: string, meant: string | undefined])[] = [
    ["learning-rat", "learning-rate"],
    ["learnin-ratee", "learning-rate"],
    ["larning-rate", "learning-rate"],
    ["laerning-rate", "learning-rate"],
    ["learning-ra", "learning-rate"],
    ["learning-xyz", undefined],
    ["learning-", undefined],
    ["max-step", "max-steps"],
    ["mx-stes", "max-steps"],
    ["m-stes", undefined],
    // Two of five letters are two fifths; two of four are more.
    ["bf3", undefined],
    ["bfx6y", "bf16"],
    ["bfl16", "bf16"],
    ["bx1yz", undefined],
    ["bx16y", "bf16"],
    ["xf17", undefined],
    ["b16", "bf16"],
    ["bf", undefined],
    ["xx16", undefined],
    // What is said by leaving it out is no name to be meant.
    ["shufle", undefined],
    ["", undefined],
  ];
  for (const [name, meant] of CASES) {
    assert.equal(explained(name), meant && `did you mean --${meant}?`, name);
  }
});
