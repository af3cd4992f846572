import assert from "node:assert/strict";
import { labelLayout, type LineChartOptions, type Rect, renderLineChart } from "./line_chart.ts";

/** The texts of a chart, each with its place, size and colour. */
function textsOf(svg: string): string[] {
  return [...svg.matchAll(/<text ([^>]*)>([^<]*)<\/text>/g)].map(([, attributes, text]) => {
    const of = (name: string): string =>
      new RegExp(` ${name}="(?:translate\\()?([^")]*)`).exec(attributes)![1];
    return `${text} @${of("transform")} ${of("text-anchor")} ${of("font-size")} ${of("fill")}`;
  });
}

/** The lines of one colour, each with its width. */
function linesOf(svg: string, color: string): string[] {
  const lines = svg.matchAll(
    new RegExp(`<path d="([^"]*)" fill="none" stroke="${color}"([^>]*)`, "g"),
  );
  return Array.from(
    lines,
    ([, path, more]) => `${path} ${/stroke-width="([^"]*)"/.exec(more)?.[1] ?? "1"}`,
  );
}

/** The circles of one colour, each with its radius and centre. */
function circlesOf(svg: string, color: string): string[] {
  const circles = svg.matchAll(
    new RegExp(`matrix\\(([\\d.]+),0,0,[\\d.]+,([\\d.]+),([\\d.]+)\\)" fill="${color}"`, "g"),
  );
  return Array.from(circles, ([, radius, x, y]) => `${radius} @${x} ${y}`);
}

/** What stands at the horizontal axis. */
function stepsOf(svg: string): string[] {
  return textsOf(svg).filter((text) => / middle 12px /.test(text)).map((text) =>
    text.split(" ")[0]
  );
}

/** What stands at the vertical axis. */
function ticksOf(svg: string): string[] {
  return textsOf(svg).filter((text) => / end 12px /.test(text)).map((text) => text.split(" ")[0]);
}

const plain: LineChartOptions = { title: "T", series: [], format: String };
const BLUE = "#1f6feb";
const ORANGE = "#d4480b";
const AXIS = "#8c959f";
const GRID = "#e4e8ec";

Deno.test("renderLineChart() places title, legend, axes and curves", async () => {
  const svg = await renderLineChart({
    ...{ title: "Title", unit: "loss", format: (value) => `~${value}`, width: 600, height: 300 },
    series: [
      {
        ...{ name: "a", color: "train" },
        points: [
          { step: 10, value: 2 },
          { step: 11, value: NaN },
          { step: 14, value: 8 },
          { step: 20, value: 4 },
        ],
      },
      { name: "b", color: "evaluation", width: 3, markers: true, points: [{ step: 12, value: 3 }] },
    ],
  });
  // From x 40.68 for step 0 to 572 for step 20, 28 from the right; from y 249 for 2 to 72 for 8.
  assert.deepEqual(textsOf(svg), [
    "loss @40.68 57 start 12px #57606a",
    "step @306.34 275 middle 12px #57606a",
    "~2 @32.68 249 end 12px #57606a",
    "~3 @32.68 219.5 end 12px #57606a",
    "~4 @32.68 190 end 12px #57606a",
    "~5 @32.68 160.5 end 12px #57606a",
    "~6 @32.68 131 end 12px #57606a",
    "~7 @32.68 101.5 end 12px #57606a",
    "~8 @32.68 72 end 12px #57606a",
    "0 @40.68 257 middle 12px #57606a",
    "5 @173.51 257 middle 12px #57606a",
    "10 @306.34 257 middle 12px #57606a",
    "15 @439.17 257 middle 12px #57606a",
    "20 @572 257 middle 12px #57606a",
    "a @481.56 47 start 12px #57606a",
    "b @541.28 47 start 12px #57606a",
    "Title @21 17 start 15px #1f2329",
  ]);
  assert.deepEqual(linesOf(svg, BLUE), ["M306.3 249M412.6 72L572 190 2"]);
  assert.deepEqual(linesOf(svg, ORANGE), ["M359.5 219.5 3"]);
  assert.deepEqual(circlesOf(svg, BLUE), [
    "3.5 @306.34 249",
    "3.5 @412.604 72",
    "3.5 @572 190",
  ]);
  assert.deepEqual(circlesOf(svg, ORANGE), ["3.5 @359.472 219.5"]);
  // A grid line for each tick of the vertical axis alone; both axes, and a mark at each tick.
  assert.deepEqual(
    linesOf(svg, GRID).map((line) => line.split(" ")[1]),
    ["249.5L572", "219.5L572", "190.5L572", "160.5L572", "131.5L572", "101.5L572", "72.5L572"],
  );
  assert.equal(linesOf(svg, AXIS).length, 2 + 7 + 5);
  // The legend's samples are 18 pixels wide and 4 high, 30 between them.
  const sample =
    "M1 0L17 0A1 1 0 0 1 18 1L18 3A1 1 0 0 1 17 4L1 4A1 1 0 0 1 0 3L0 1A1 1 0 0 1 1 0Z";
  assert.equal(svg.split(sample).length, 3);
  assert.match(svg, /^<svg role="img" aria-label="Title" width="600" height="300" /);
  assert.match(svg, /id="chart-c0"/);
  assert.match(svg, /<\/svg>$/);
  assert.match(svg, /font-weight="600"/);
});

Deno.test("renderLineChart() is 900 by 420 pixels where nothing is said, and leaves out what it has none of", async () => {
  const points = [{ step: 0, value: 1 }, { step: 4, value: 2 }];
  const one = await renderLineChart({ ...plain, series: [{ name: "a", color: "train", points }] });
  assert.match(one, / width="900" height="420" /);
  // Neither a legend nor a unit: the curve may begin higher.
  assert.deepEqual(ticksOf(one), ["1", "1.2", "1.4", "1.6", "1.8", "2"]);
  assert.deepEqual(stepsOf(one), ["step", "0", "1", "2", "3", "4"]);
  assert.ok(!one.includes(">a</text>"));
  assert.deepEqual(linesOf(one, BLUE), ["M43.8 369L872 50 2"]);
  const united = await renderLineChart({
    ...{ ...plain, unit: "u" },
    series: [{ name: "a", color: "train", points }],
  });
  assert.deepEqual(linesOf(united, BLUE), ["M43.8 369L872 72 2"]);
});

Deno.test("renderLineChart() takes sides of 100 to 10,000 pixels", async () => {
  for (const [width, height] of [[100, 10_000], [10_000, 100]]) {
    const svg = await renderLineChart({ ...plain, width, height });
    assert.ok(svg.includes(` width="${width}" height="${height}" `));
  }
  for (
    const [name, side] of [
      ...[["width", 99], ["width", 10_001], ["width", NaN], ["height", 99]],
      ["height", 10_001],
    ] as const
  ) {
    await assert.rejects(renderLineChart({ ...plain, [name]: side }), {
      name: "RangeError",
      message: `Cannot draw a chart: ${name} ${side} is not between 100 and 10000 pixels`,
    });
  }
});

Deno.test("renderLineChart() cuts a title that is wider than the chart less 32 pixels", async () => {
  // echarts takes an x for 7.5 pixels of 15, an l for 3.3, and keeps one pixel free.
  for (const [width, x, l] of [[600, 24, 117], [undefined, 112, 8]] as const) {
    const title = "x".repeat(x) + "l".repeat(l);
    assert.ok((await renderLineChart({ ...plain, title, width })).includes(`>${title}</text>`));
  }
  for (const [width, x, l] of [[600, 26, 113], [undefined, 66, 113]] as const) {
    const title = "x".repeat(x) + "l".repeat(l);
    const svg = await renderLineChart({ ...plain, title, width });
    assert.ok(!svg.includes(`>${title}</text>`), title);
    assert.match(svg, />x+l+\.\.\.<\/text>/);
  }
});

Deno.test("renderLineChart() marks each point of up to twelve, and of longer curves where asked to", async () => {
  const points = Array.from({ length: 13 }, (_, step) => ({ step, value: step }));
  const circles = async (length: number, markers?: boolean): Promise<number> => {
    const series = [{
      name: "a",
      color: "train",
      markers,
      points: points.slice(0, length),
    }] as const;
    return circlesOf(await renderLineChart({ ...plain, series }), BLUE).length;
  };
  assert.deepEqual([await circles(12), await circles(13), await circles(13, true)], [12, 0, 13]);
  // Points at no step are none.
  const more = [...points.slice(0, 12), { step: NaN, value: 1 }, { step: Infinity, value: 1 }];
  const svg = await renderLineChart({
    ...plain,
    series: [{ name: "a", color: "train", points: more }],
  });
  assert.equal(circlesOf(svg, BLUE).length, 12);
});

Deno.test("renderLineChart() thins curves of more points than pixels, but not those with markers", async () => {
  const points = Array.from({ length: 3000 }, (_, step) => ({ step, value: step % 7 }));
  for (const markers of [false, true]) {
    const series = [{ name: "a", color: "train", markers, points }] as const;
    const [line] = linesOf(await renderLineChart({ ...plain, series }), BLUE);
    assert.equal(line.split("L").length > 2000, markers);
  }
});

Deno.test("renderLineChart() starts the horizontal axis at 0 unless that leaves more than half empty", async () => {
  for (
    const [steps, axis, expected] of [
      [[10, 20], "step", "0"],
      [[11, 20], "step", "11"],
      [[20, 12, 15], "step", "12"],
      [[5], "step", "0"],
      [[0.3, 0.5], "epoch", "0.3"],
      [[0.2, 0.5], "epoch", "0"],
    ] as const
  ) {
    const points = steps.map((step) => ({ step, value: 1 }));
    const series = [{ name: "a", color: "train", points }] as const;
    assert.equal(stepsOf(await renderLineChart({ ...plain, axis, series }))[1], expected);
  }
});

Deno.test("renderLineChart() counts steps in whole numbers, and other axes in parts", async () => {
  const points = [{ step: 0, value: 1 }, { step: 2, value: 1 }];
  const series = [{ name: "a", color: "train", points }] as const;
  const steps = await renderLineChart({ ...plain, series });
  assert.deepEqual(stepsOf(steps), ["step", "0", "1", "2"]);
  const epochs = await renderLineChart({ ...plain, axis: "epoch", series });
  assert.deepEqual(stepsOf(epochs), ["epoch", "0", "0.5", "1", "1.5", "2"]);
});

Deno.test("renderLineChart() begins the vertical axis at 0 or near the lowest value, or doubles it", async () => {
  const points = [{ step: 0, value: 5 }, { step: 1, value: 6 }];
  const series = [{ name: "a", color: "train", points }] as const;
  const ticks = async (more: Partial<LineChartOptions>): Promise<string[]> =>
    ticksOf(await renderLineChart({ ...plain, series, ...more }));
  assert.deepEqual(await ticks({}), ["5", "5.2", "5.4", "5.6", "5.8", "6"]);
  assert.deepEqual(await ticks({ fromZero: true }), ["0", "1", "2", "3", "4", "5", "6"]);
  const doubled = [1, 8].map((value, step) => ({ step, value }));
  assert.deepEqual(
    await ticks({ logScale: true, series: [{ ...series[0], points: doubled }] }),
    ["1", "2", "4", "8"],
  );
});

Deno.test("renderLineChart() draws no value that is not finite, nor one that has no logarithm", async () => {
  const values = [4, 0, -1, NaN, 2, Infinity, -Infinity, 8];
  const points = values.map((value, step) => ({ step, value }));
  for (const scattered of [false, true]) {
    const series = [{ name: "a", color: "train", scattered, points }] as const;
    const count = async (more: Partial<LineChartOptions>): Promise<number> =>
      circlesOf(await renderLineChart({ ...plain, series, ...more }), BLUE).length;
    assert.equal(await count({}), 5);
    assert.equal(await count({ logScale: true }), 3);
  }
  const empty = async (value: number, logScale: boolean): Promise<boolean> => {
    const series = [
      { name: "a", color: "train", points: [] },
      { name: "b", color: "train", points: [{ step: 1, value: NaN }, { step: 2, value }] },
    ] as const;
    const texts = textsOf(await renderLineChart({ ...plain, logScale, series }));
    return texts.some((text) => /^no figures @.* 14px #57606a$/.test(text));
  };
  assert.deepEqual(
    await Promise.all([
      ...[empty(NaN, false), empty(0, false), empty(0, true), empty(1e-9, true), empty(-1, true)],
    ]),
    [true, false, true, false, true],
  );
});

Deno.test("renderLineChart() labels scattered points where there is room for the labels", async () => {
  const svg = await renderLineChart({
    ...{ title: "T", axis: "bytes", format: String, width: 600, height: 300, fromZero: true },
    series: [{
      ...{ name: "a", color: "train", scattered: true },
      points: [
        { step: 10, value: 2, label: "one" },
        { step: 20, value: NaN, label: "nowhere" },
        { step: NaN, value: 1, label: "never" },
        { step: 10.2, value: 2, label: "two\u0000" },
        { step: 10.1, value: 2.01, label: "three" },
        { step: 0, value: 0 },
      ],
    }],
  });
  assert.deepEqual(circlesOf(svg, BLUE), [
    "4.5 @483.9667 89.8",
    "4.5 @492.77 89.8",
    "4.5 @488.3683 89.004",
    "4.5 @43.8 249",
  ]);
  const labels = textsOf(svg).filter((text) => /^(?:one|two|three|nowhere|never)/.test(text));
  const x = (label: string): number => Number(/@([\d.]+)/.exec(label)![1]);
  assert.deepEqual(labels.map((label) => label.replace(/@[\d.]+ /, "")), [
    "one 80.3 middle 12px #57606a",
    "two\ufffd 95.8 middle 12px #57606a",
    "three 95.004 middle 12px #57606a",
  ]);
  assert.ok(x(labels[0]) === 483.9667 && x(labels[1]) > 505 && x(labels[2]) < 475);
  // There is room beside the last point, where a curve would end at the border.
  assert.ok(textsOf(svg).includes("12 @572 257 middle 12px #57606a"));
});

Deno.test("labelLayout() moves a label right, left or below where another point or label is", () => {
  /** A point of 8 by 8 pixels at a centre, and its label of 20 by 12 that is 5 above it. */
  const at = (x: number, y: number): { rect: Rect; labelRect: Rect } => ({
    rect: { x: x - 4, y: y - 4, width: 8, height: 8 },
    labelRect: { x: x - 10, y: y - 4 - 5 - 12, width: 20, height: 12 },
  });
  const moves = (places: readonly (readonly [number, number])[], width = 200): string[] => {
    const layout = labelLayout(width, 50);
    return places.map(([x, y]) => {
      const { dx, dy } = layout(at(x, y));
      return `${dx} ${dy}`;
    });
  };
  const [above, right, left, below] = ["0 0", "19 15", "-19 15", "0 30"];
  // Where nothing is taken, the label stays; at the same place, each goes on to the next side.
  assert.deepEqual(moves([[100, 100], [100, 100], [100, 100], [100, 100], [100, 100]]), [
    ...[above, right, left, below, above],
  ]);
  // The head of the chart is taken to its last pixel: a label that begins at it is free.
  assert.deepEqual(moves([[100, 71]]), [above]);
  assert.deepEqual(moves([[100, 70]]), [right]);
  // Both borders may be touched.
  assert.deepEqual(moves([[10, 100]]), [above]);
  assert.deepEqual(moves([[9, 100]]), [right]);
  assert.deepEqual(moves([[190, 100]]), [above]);
  assert.deepEqual(moves([[191, 100]]), [left]);
  // Right of a point that is 29 from the border there is room, right of one at 28 there is not.
  assert.deepEqual(moves([[171, 100], [171, 100]]), [above, right]);
  assert.deepEqual(moves([[172, 100], [172, 100]]), [above, left]);
  // Labels may touch each other on each side, and points.
  assert.deepEqual(moves([[100, 100], [120, 100]]), [above, above]);
  assert.deepEqual(moves([[100, 100], [119, 100]]), [above, right]);
  assert.deepEqual(moves([[120, 100], [100, 100]]), [above, above]);
  assert.deepEqual(moves([[119, 100], [100, 100]]), [above, left]);
  assert.deepEqual(moves([[100, 100], [100, 112]]), [above, right]);
  assert.deepEqual(moves([[100, 100], [100, 125]]), [above, above]);
  assert.deepEqual(moves([[100, 100], [100, 124]]), [above, right]);
  assert.deepEqual(moves([[100, 100], [104, 88]]), [above, above]);
  assert.deepEqual(moves([[100, 100], [104, 89]]), [above, right]);
});
