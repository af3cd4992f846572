import assert from "node:assert/strict";
import { findTextLoss } from "./text_loss.ts";

const ids = Int32Array.of(0);

/** What is told of a tokenizer that decodes to a text, and knows no bytes. */
function lossOf(text: string, decoded: string, dropsFirstBlank = false): string | undefined {
  const tokenBytes = () => assert.fail("no bytes");
  return findTextLoss(text, ids, { decode: () => decoded, tokenBytes, dropsFirstBlank });
}

Deno.test("a decoded text may differ by the tokenizer's Unicode form, and by nothing else", () => {
  assert.equal(lossOf("one", "one"), undefined);
  assert.equal(lossOf("cafe\u0301", "caf\u00e9"), undefined);
  assert.equal(lossOf("\ufb01n", "fin"), undefined);
  assert.equal(lossOf("", ""), undefined);
  assert.equal(lossOf("Paris", "paris"), 'at character 0 "Paris" becomes "paris"');
  assert.equal(lossOf("end", ""), 'at character 0 "end" becomes ""');
  // The longer text may be the one or the other; eight characters before the place are shown, sixteen from it.
  assert.equal(
    lossOf("0123456789a", "0123456789"),
    'at character 10 "23456789a" becomes "23456789"',
  );
  assert.equal(
    lossOf("0123456789", `0123456789${"x".repeat(20)}`),
    `at character 10 "23456789" becomes "23456789${"x".repeat(16)}"`,
  );
});

Deno.test("only a tokenizer that writes a blank before the first word may add or lose one there", () => {
  const cases = [[" a", "a"], ["a", " a"], ["  a", " a"], [" cafe\u0301", "caf\u00e9"]];
  for (const [text, decoded] of cases) {
    assert.equal(lossOf(text, decoded, true), undefined, text);
    assert.match(lossOf(text, decoded)!, /^at character [01] "/, text);
  }
  const lost = [["A", "a"], [" A", "a"], ["  a", "a"], ["a", "  a"], ["a b", "ab"], ["a ", "a"]];
  for (const [text, decoded] of lost) {
    assert.match(lossOf(text, decoded, true)!, / becomes "/, text);
  }
});

Deno.test("tokens whose bytes are the text's are not decoded, and asked for their bytes once", () => {
  const encoder = new TextEncoder();
  const texts = ["a", "ж", "漢", "🎉", ""];
  const asked: number[] = [];
  const tokenizer = {
    decode: (given: ArrayLike<number>) => `decoded ${given.length}`,
    tokenBytes(id: number): Uint8Array<ArrayBuffer> {
      asked.push(id);
      return encoder.encode(texts[id]);
    },
    dropsFirstBlank: false,
  };
  const loss = (text: string, ...given: number[]): string | undefined =>
    findTextLoss(text, Int32Array.from(given), tokenizer);
  assert.equal(loss("aж漢🎉a", 0, 1, 4, 2, 3, 0), undefined);
  // More bytes than there was room for.
  const many = Array<number>(50_000).fill(2);
  assert.equal(loss("漢".repeat(many.length), ...many), undefined);
  assert.equal(loss(""), undefined);
  const differ: readonly (readonly [string, ...number[]])[] = [
    ["a", 1],
    ["aa", 0],
    ["a", 0, 0],
    ["", 0],
    ["b", 0],
    ["漢", 0, 1],
  ];
  for (const [text, ...given] of differ) {
    assert.match(loss(text, ...given)!, /becomes "decoded/, text);
  }
  assert.deepEqual(asked, [0, 1, 4, 2, 3]);
});
