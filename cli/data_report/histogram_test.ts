import assert from "node:assert/strict";
import { CHART_COLORS } from "../../train/track/chart_colors.ts";
import { renderHistogram } from "./histogram.ts";

/** What is drawn, without blanks between attributes. */
function drawn(values: readonly number[], mark?: number): string[] {
  const { text } = renderHistogram({ title: "Tokens", values, mark });
  return Array.from(
    text.matchAll(/<(?:svg|rect|line|text)\b[^>]*>(?:\s*<title>.*?<\/title>|[^<\s]+)?/g),
    ([each]) => each.replace(/\s+/g, " "),
  );
}

/** The titles of the bars. */
function bars(values: readonly number[]): string[] {
  return drawn(values).flatMap((each) => /<title>(.*)<\/title>/.exec(each)?.[1] ?? []);
}

const { background, title, text, axis, train, evaluation } = CHART_COLORS;

Deno.test("renderHistogram() draws a bar a value, its axis and a mark", () => {
  const font = 'font-family="system-ui, sans-serif"';
  // Four bars on 284 px; two rows are 134 px high.
  const bar = (x: string, y: string, height: string, name: string): string =>
    `<rect x="${x}" y="${y}" width="70.0" height="${height}" fill="${train.light}"> <title>${name}</title>`;
  assert.deepEqual(drawn([0, 3, 0, 1], 2), [
    '<svg role="img" aria-label="Tokens: 4 rows, from 0 to 3" viewBox="0 0 340 200" width="340" height="200">',
    `<rect width="340" height="200" fill="${background.light}">`,
    `<text x="12" y="22" font-size="14" font-weight="600" ${font} fill="${title.light}">Tokens`,
    bar("44.0", "40.0", "134.0", "0: 2"),
    bar("115.0", "107.0", "67.0", "1: 1"),
    bar("186.0", "174.0", "0.0", "2: 0"),
    bar("257.0", "107.0", "67.0", "3: 1"),
    `<line x1="186.0" x2="186.0" y1="40" y2="174" stroke="${evaluation.light}" stroke-width="2">`,
    `<line x1="44" x2="328" y1="174" y2="174" stroke="${axis.light}">`,
    `<text x="44" y="192" text-anchor="start" font-size="12" ${font} fill="${text.light}">0`,
    `<text x="328" y="192" text-anchor="end" font-size="12" ${font} fill="${text.light}">4`,
    `<text x="38" y="44" text-anchor="end" font-size="12" ${font} fill="${text.light}">2`,
  ]);
});

Deno.test("renderHistogram() marks what lies within its bars", () => {
  const lines = (mark?: number): number =>
    drawn([0, 3], mark).filter((each) => each.startsWith("<line")).length;
  assert.deepEqual([undefined, 0, 3.9, 4, 5].map(lines), [1, 2, 2, 1, 1]);
});

Deno.test("renderHistogram() takes the narrowest of 1, 2, 5, 10 … with which 30 bars hold all", () => {
  const first = (most: number) => [bars([most]).length, bars([most])[0]];
  assert.deepEqual([29, 30, 59, 60, 149, 150, 299, 300, 1499, 1500].map(first), [
    [30, "0: 0"],
    [16, "0 to 1: 0"],
    [30, "0 to 1: 0"],
    [13, "0 to 4: 0"],
    [30, "0 to 4: 0"],
    [16, "0 to 9: 0"],
    [30, "0 to 9: 0"],
    [16, "0 to 19: 0"],
    [30, "0 to 49: 0"],
    [16, "0 to 99: 0"],
  ]);
  assert.deepEqual(bars([9, 10, 300, 19, 20, 39]).slice(0, 3), [
    "0 to 19: 3",
    "20 to 39: 2",
    "40 to 59: 0",
  ]);
  // 16 bars of 2 end at 32.
  assert.match(drawn([30]).at(-2)!, /x="328".*>32$/);
});

Deno.test("renderHistogram() lets the highest bar have its whole height", () => {
  assert.match(drawn([0, 1])[3], / y="40\.0" width="141\.0" height="134\.0"/);
  assert.match(drawn([0, 1]).at(-1)!, />1$/);
});

Deno.test("renderHistogram() draws one empty bar of no rows", () => {
  assert.deepEqual(bars([]), ["0: 0"]);
  assert.match(drawn([])[3], /y="174\.0" width="283\.0" height="0\.0"/);
  assert.match(drawn([])[0], /"Tokens: 0 rows, from 0 to 0"/);
});
