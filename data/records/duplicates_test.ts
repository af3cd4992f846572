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

/** The values of a text's 64 bins: the plain form of what the finder rolls on, in whole numbers. */
function signatureOf(text: string): number[] {
  const low = (value: bigint): bigint => BigInt.asUintN(32, value);
  const bins = new Map<number, number>();
  for (let start = 0; start + 5 <= text.length; start++) {
    let hash = 0n;
    for (const code of text.slice(start, start + 5).split("").map((each) => each.charCodeAt(0))) {
      hash = low(hash * 0x01000193n + BigInt(code));
    }
    // MurmurHash3's fmix32.
    hash = low((hash ^ hash >> 16n) * 0x85ebca6bn);
    hash = low((hash ^ hash >> 13n) * 0xc2b2ae35n);
    hash ^= hash >> 16n;
    const bin = Number(hash % 64n);
    bins.set(bin, Math.min(bins.get(bin) ?? Infinity, Number(hash >> 16n)));
  }
  return Array.from({ length: 64 }, (_, bin) => {
    let distance = 0;
    while (!bins.has((bin + distance) % 64)) distance++;
    return (bins.get((bin + distance) % 64)! + distance * 0x9e37) % 2 ** 16;
  });
}

Deno.test("DuplicateFinder finds of the rows that share a band the first with most of 64 bins, from 55 on", () => {
  const random = new PythonRandom(11);
  const letters = "abcdefghijklmnopqrstuvwxyz 患者男性 ";
  const texts: string[] = [];
  for (let base = 0; base < 50; base++) {
    const length = 100 + random.randrange(250);
    const text = Array.from({ length }, () => letters[random.randrange(letters.length)]);
    for (let variant = 0; variant < 6; variant++) {
      const edited = [...text];
      // About as many edits as leave 85 % of all runs the same.
      for (let edits = random.randrange(Math.ceil(length / 30)); edits > 0; edits--) {
        edited[random.randrange(length)] = letters[random.randrange(letters.length)];
      }
      texts.push(edited.join("").replace(/ +/g, " ").trim());
    }
  }
  // One text between two others may be as near to the one as to the other.
  for (let triple = 0; triple < 60; triple++) {
    const first = Array.from({ length: 300 }, () => letters[random.randrange(26)]);
    const places = Array.from({ length: 8 }, () => random.randrange(300));
    const edit = (some: readonly number[]): string =>
      some.reduce((text, place) => text.with(place, "é"), first).join("");
    texts.push(edit([]), edit(places), edit(places.slice(0, 4)));
  }
  const finder = new DuplicateFinder();
  const kept: { readonly row: number; readonly signature: readonly number[] }[] = [];
  let [alike, unlike] = [0, 0];
  for (const [row, text] of texts.entries()) {
    const told = finder.add({ answer: text });
    assert.equal(finder.rows, row + 1);
    const same = texts.indexOf(text);
    if (same < row) {
      assert.deepEqual(told, { row, of: same, exact: true });
      continue;
    }
    const signature = signatureOf(text);
    const isSame = (other: readonly number[], from: number, to: number): boolean =>
      signature.slice(from, to).every((value, bin) => value === other[from + bin]);
    const candidates = Array.from(
      { length: 8 },
      (_, band) => kept.find((each) => isSame(each.signature, 5 * band, 5 * band + 5)),
    )
      .filter((each) => each !== undefined).sort((a, b) => a.row - b.row);
    const shared = candidates.map((each) =>
      each.signature.filter((value, bin) => value === signature[bin]).length
    );
    const most = Math.max(0, ...shared);
    const expected = text.length >= 100 && most >= 55
      ? { row, of: candidates[shared.indexOf(most)].row, exact: false }
      : undefined;
    assert.deepEqual(told, expected, `row ${row}: ${shared}`);
    if (expected !== undefined) alike++;
    else if (text.length >= 100) {
      kept.push({ row, signature });
      if (candidates.length > 0) unlike++;
    }
  }
  assert.ok(alike > 50 && unlike > 30, `${alike} ${unlike}`);
});

Deno.test("DuplicateFinder compares texts of 100 characters, and takes shorter ones for the same alone", () => {
  for (
    const [length, found] of [[99, undefined], [100, { row: 1, of: 0, exact: false }]] as const
  ) {
    const text = words(40).join(" ").slice(0, length - 1);
    const finder = new DuplicateFinder();
    assert.equal(finder.add({ answer: `${text}x` }), undefined);
    assert.deepEqual(finder.add({ answer: `${text}y` }), found);
    assert.deepEqual(finder.add({ answer: `${text}x` }), { row: 2, of: 0, exact: true });
    assert.equal(finder.rows, 3);
  }
});

Deno.test("DuplicateFinder reads all texts but system prompts, wherever they stand", () => {
  const same: readonly (readonly [unknown, unknown])[] = [
    [{ q: "a", n: null, u: undefined, f: 1, b: true }, { q: "a", n: 2 }],
    [{ q: "a", bytes: Uint8Array.of(1, 2) }, { q: "a" }],
    [{ q: ["a", { deep: ["b", null, 4] }], c: "c" }, { x: "a", y: { z: "b" }, w: ["c"] }],
    [{ q: "a", System: "s", system_prompt: "s", SYSTEM_MESSAGE: "s" }, { q: "a" }],
    [{ m: [{ role: "system", content: "s" }, { role: "user", content: "a" }] }, {
      m: [{ from: "system", value: "t" }, { role: "user", content: "a" }],
    }],
    [{ q: "  A\n\t b " }, { q: "a B" }],
    [{}, { q: 1 }],
  ];
  for (const [one, other] of same) {
    const finder = new DuplicateFinder();
    finder.add(one as Record<string, unknown>);
    assert.deepEqual(
      finder.add(other as Record<string, unknown>),
      { row: 1, of: 0, exact: true },
      JSON.stringify(one),
    );
  }
  const different: readonly (readonly [Record<string, unknown>, Record<string, unknown>])[] = [
    // Where one text ends counts, though not as another character than a blank.
    [{ q: "ab", a: "c" }, { q: "a", a: "bc" }],
    [{ q: "a", system_text: "s" }, { q: "a" }],
    [{ m: [{ role: "user", content: "a" }] }, { m: [{ role: "user", content: "b" }] }],
    [{ m: [{ role: "systems", content: "a" }] }, { m: [{ role: "system", content: "a" }] }],
    [{ q: "a", a: "b" }, { q: "b", a: "a" }],
    [{ q: "\ud800" }, { q: "\ud801" }],
  ];
  for (const [one, other] of different) {
    const finder = new DuplicateFinder();
    finder.add(one);
    assert.equal(finder.add(other), undefined, JSON.stringify(one));
  }
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
