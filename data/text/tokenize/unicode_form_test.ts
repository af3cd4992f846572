import assert from "node:assert/strict";
import { type UnicodeForm, unicodeForm } from "./unicode_form.ts";

const FORMS: readonly UnicodeForm[] = ["NFC", "NFD", "NFKC", "NFKD"];

Deno.test("unicodeForm() of hundreds of marks on a letter is that of JavaScript's normalize()", () => {
  const marks = ["\u0301", "\u0323", "\u0345", "\u0334", "\u0315", "\u0344", "\u05b4", "\u20dd"];
  let state = 3;
  for (let round = 0; round < 40; round++) {
    let text = "e";
    for (let count = 0; count < 130 + 10 * round; count++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      text += marks[state >>> 29];
    }
    for (const form of FORMS) assert.equal(unicodeForm(text, form), text.normalize(form));
  }
});

Deno.test("unicodeForm() of half a million marks takes no minutes", () => {
  const text = `e${"\u0301\u0323".repeat(250_000)}`;
  assert.equal(unicodeForm(text, "NFC").length, 500_000);
});

Deno.test("unicodeForm() leaves alone what the Rust library's Unicode does not know", () => {
  // U+11382 U+113C9 compose in Unicode 16, and U+A7F2 is a C in NFKC since Unicode 14.
  assert.equal(unicodeForm("\u{11382}\u{113c9}", "NFC"), "\u{11382}\u{113c9}");
  assert.equal(unicodeForm("e\u0301\ua7f2e\u0301", "NFKC"), "\u00e9\ua7f2\u00e9");
});
