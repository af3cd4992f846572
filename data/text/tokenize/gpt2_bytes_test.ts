import assert from "node:assert/strict";
import { toByteChars } from "./byte_chars.ts";
import { BYTE_TO_CHAR, CHAR_TO_BYTE } from "./gpt2_bytes.ts";

Deno.test("the byte alphabet is GPT-2's", () => {
  // Printable Latin-1 bytes stand for themselves, the other 68 take U+0100 to U+0143.
  const code = (byte: number): number => BYTE_TO_CHAR[byte].codePointAt(0)!;
  const bytes = [0, 0x20, 0x21, 0x7e, 0x7f, 0xa0, 0xa1, 0xac, 0xad, 0xae, 0xff];
  assert.deepEqual(bytes.map(code), [
    ...[0x100, 0x120, 0x21, 0x7e, 0x121, 0x142, 0xa1, 0xac, 0x143, 0xae, 0xff],
  ]);
  assert.equal(BYTE_TO_CHAR.length, 256);
  assert.equal(new Set(BYTE_TO_CHAR).size, 256);
  assert.deepEqual(BYTE_TO_CHAR.map((char) => CHAR_TO_BYTE.get(char)), [...BYTE_TO_CHAR.keys()]);
  assert.equal(toByteChars("a~ é"), "a~\u0120\u00c3\u00a9");
  assert.equal(toByteChars(""), "");
});
