import assert from "node:assert/strict";
import { PythonRandom } from "../../ort/tensor/python_random.ts";
import { DuplicateFinder } from "./duplicates.ts";

const random = new PythonRandom(5);
const WORDS = Array.from(
  { length: 3000 },
  () =>
    Array.from({ length: 3 + random.randrange(7) }, () => "abcdefghijklmnop"[random.randrange(16)])
      .join(""),
);
const HAN =
  "患者男性五十二岁反复咳嗽咳痰伴发热三天查体双肺可闻及湿啰音建议完善血常规胸部影像学检查";

function words(count: number): string[] {
  return Array.from({ length: count }, () => WORDS[random.randrange(WORDS.length)]);
}

/** Jaccard's index of runs of five characters. */
function similarity(a: string, b: string): number {
  const runs = (text: string): Set<string> =>
    new Set(Array.from({ length: text.length - 4 }, (_, i) => text.slice(i, i + 5)));
  const [one, other] = [runs(a), runs(b)];
  const shared = one.intersection(other).size;
  return shared / (one.size + other.size - shared);
}

Deno.test("DuplicateFinder tells rows with the same texts, whatever else they hold", () => {
  const finder = new DuplicateFinder();
  const rows: readonly (readonly [Record<string, unknown>, number | undefined])[] = [
    [{ question: "1+1?", answer: "2" }, undefined],
    [{ question: "1+2?", answer: "3" }, undefined],
    [{ id: 7, question: " 1+1? ", answer: "2" }, 0],
    [{ question: "1+1?", answer: "2", system: "Be kind" }, 0],
    [
      { messages: [{ role: "system", content: "Be kind" }, { role: "user", content: "1+2?" }] },
      undefined,
    ],
    [{ QUESTION: "1+2?\n", answer: "3" }, 1],
    [{ question: "1+1?", answer: "3" }, undefined],
  ];
  for (const [row, of] of rows) assert.equal(finder.add(row)?.of, of, JSON.stringify(row));
});

Deno.test("DuplicateFinder tells texts that are alike from those that are not, in any script", () => {
  const texts: readonly (readonly [string, () => string])[] = [
    ["words", () => words(120).join(" ")],
    ["Han", () => Array.from({ length: 400 }, () => HAN[random.randrange(HAN.length)]).join("")],
  ];
  let [found, alike, wrong, unlike] = [0, 0, 0, 0];
  for (const [, make] of texts) {
    for (let round = 0; round < 300; round++) {
      const text = make();
      const characters = [...text];
      // Some edits here, many there.
      for (let edits = random.randrange(40); edits > 0; edits--) {
        characters[random.randrange(characters.length)] = "x";
      }
      const edited = characters.join("");
      const shared = similarity(text, edited);
      const finder = new DuplicateFinder();
      finder.add({ answer: text });
      const told = finder.add({ answer: edited });
      if (shared >= 0.95) {
        alike++;
        if (told !== undefined) found++;
      } else if (shared <= 0.7) {
        unlike++;
        if (told !== undefined) wrong++;
      }
    }
  }
  // Measured: 57 of 57 and 0 of 253.
  assert.ok(alike > 50 && unlike > 150, `${alike} ${unlike}`);
  assert.ok(found >= 0.98 * alike, `${found} of ${alike} are found`);
  assert.ok(wrong <= 0.01 * unlike, `${wrong} of ${unlike} are wrong`);
});

Deno.test("DuplicateFinder finds the same in 3,000 rows of one phrase, and takes short rows apart", () => {
  const finder = new DuplicateFinder();
  let told = 0;
  for (let row = 0; row < 3000; row++) {
    const duplicate = finder.add({
      question: "What do you think of this?",
      answer: words(40).join(" "),
    });
    if (duplicate !== undefined) told++;
  }
  assert.equal(told, 0);
  const sums = new DuplicateFinder();
  for (let a = 0; a < 30; a++) {
    for (let b = 0; b < 30; b++) {
      assert.equal(
        sums.add({ question: `How much is ${a} plus ${b}?`, answer: `${a + b}` }),
        undefined,
      );
    }
  }
});
