import assert from "node:assert/strict";
import { CHART_COLORS } from "./chart_colors.ts";
import { type ChartPoint, renderLineChart } from "./line_chart.ts";
import { movingMean, renderLossChart } from "./loss_chart.ts";

const train = Array.from({ length: 200 }, (_, index) => ({
  step: index + 1,
  loss: 3 * Math.exp(-index / 50) + 0.2 * Math.sin(index * 7) + 1,
}));
const evaluations = [{ step: 100, loss: 1.6 }, { step: 200, loss: 1.2 }];

// First in the file, so that echarts is loaded here, with all permissions taken away.
Deno.test({
  name: "renderLossChart() needs no permissions",
  permissions: "none",
  async fn() {
    assert.match(await renderLossChart({ title: "Loss", train, eval: evaluations }), /^<svg /);
  },
});

Deno.test("renderLossChart() gives the same bytes for the same input", async () => {
  const options = { title: "Loss", train, eval: evaluations };
  const first = await renderLossChart(options);
  await renderLossChart({ title: "another", train: [], eval: [] });
  assert.equal(await renderLossChart(options), first);
});

Deno.test("renderLossChart() draws raw and mean training loss, and marks evaluations", async () => {
  const svg = await renderLossChart({ title: "Loss", train, eval: evaluations });
  const lines = (color: string): number =>
    svg.match(new RegExp(`<path d="M[^"]*L[^"]*"[^>]*fill="none"[^>]*stroke="${color}"`, "g"))
      ?.length ?? 0;
  assert.equal(lines(CHART_COLORS.trainRaw.light), 1);
  assert.equal(lines(CHART_COLORS.train.light), 1);
  assert.equal(lines(CHART_COLORS.evaluation.light), 1);
  const markers = svg.match(new RegExp(`matrix[^>]*fill="${CHART_COLORS.evaluation.light}"`, "g"));
  assert.equal(markers?.length, evaluations.length);
  for (const name of ["train (raw)", "train (moving mean)", "evaluation, per token"]) {
    assert.ok(svg.includes(`>${name}</text>`), name);
  }
});

Deno.test("renderLossChart() does not smooth a short curve", async () => {
  const svg = await renderLossChart({ title: "Loss", train: train.slice(0, 39), eval: [] });
  assert.ok(svg.includes(">train</text>"));
  assert.ok(!svg.includes("moving mean"));
});

Deno.test("renderLossChart() leaves gaps at values it cannot draw", async () => {
  const holes = train.map((point) => point.step % 40 === 0 ? { ...point, loss: NaN } : point);
  for (const logScale of [false, true]) {
    const svg = await renderLossChart({
      title: "Loss",
      train: [...holes, { step: 201, loss: Infinity }, { step: 202, loss: -1 }],
      eval: [],
      logScale,
    });
    assert.doesNotMatch(svg, /NaN|Infinity|undefined/);
    const raw = new RegExp(`d="([^"]*)"[^>]*stroke="${CHART_COLORS.trainRaw.light}"`).exec(svg);
    assert.ok((raw?.[1].match(/M/g)?.length ?? 0) >= 5, "a curve with gaps has several parts");
  }
});

Deno.test("renderLossChart() says so where there is nothing to draw", async () => {
  const nothing = { title: "Loss", eval: [] };
  assert.match(await renderLossChart({ ...nothing, train: [] }), />no figures</);
  const bad = [{ step: 1, loss: NaN }, { step: 2, loss: NaN }];
  assert.match(await renderLossChart({ ...nothing, train: bad, logScale: true }), />no figures</);
  assert.doesNotMatch(await renderLossChart({ ...nothing, train }), /no figures/);
});

Deno.test("renderLossChart() writes an SVG without styles, scripts and outside references", async () => {
  const title = `<script>alert("1")</script> & '\u0000\ud800`;
  const svg = await renderLossChart({ title, train, eval: evaluations, id: "mine" });
  assert.doesNotMatch(svg, /<style|<script|style=|class=|href|zr\d/);
  assert.match(svg, /aria-label="&lt;script&gt;alert\(&quot;1&quot;\)/);
  // deno-lint-ignore no-control-regex -- NUL is what must not be there
  assert.doesNotMatch(svg, /\u0000|[\ud800-\udfff](?![\udc00-\udfff])/);
  assert.match(svg, /id="mine-c0"/);
  const references = [...svg.matchAll(/url\(#([^)]*)\)/g)].map(([, id]) => id);
  for (const id of references) assert.ok(svg.includes(`id="${id}"`), id);
  assert.deepEqual(
    [...svg.matchAll(/https?:[^"]*/g)].map(([address]) => address),
    ["http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"],
  );
});

Deno.test("renderLossChart() stays small for long runs", async () => {
  const long = Array.from({ length: 100_000 }, (_, i) => ({ step: i, loss: 2 + Math.sin(i) }));
  const svg = await renderLossChart({ title: "Loss", train: long, eval: [] });
  assert.ok(svg.length < 100_000, `${svg.length} characters`);
});

Deno.test("renderLineChart() refuses sides that make no chart", async () => {
  for (const width of [0, 99, NaN, Infinity, 1e6]) {
    await assert.rejects(
      renderLineChart({ title: "", series: [], format: String, width }),
      (error: Error) => error instanceof RangeError && error.message.includes("width"),
    );
  }
});

Deno.test("movingMean() takes a twentieth of the curve around each point, and half as much at the ends", () => {
  const squares = (length: number): ChartPoint[] =>
    Array.from({ length }, (_, index) => ({ step: 10 * index, value: index ** 2 }));
  const means = (length: number, indices: readonly number[]): ChartPoint[] => {
    const smoothed = movingMean(squares(length));
    assert.equal(smoothed.length, length);
    return indices.map((index) => smoothed[index]);
  };
  // Three on each side, two at the ends. The mean of i² over i ± 3 is i² + 4, over i ± 2 it is i² + 2.
  assert.deepEqual(means(120, [0, 1, 2, 3, 10, 116, 117, 118, 119]), [
    { step: 0, value: 5 / 3 },
    { step: 10, value: 14 / 4 },
    { step: 20, value: 6 },
    { step: 30, value: 13 },
    { step: 100, value: 104 },
    { step: 1160, value: 116 ** 2 + 4 },
    { step: 1170, value: 117 ** 2 + 2 },
    { step: 1180, value: 55230 / 4 },
    { step: 1190, value: 41774 / 3 },
  ]);
  // A fortieth is rounded: one on each side of 59 points, two of 60.
  assert.deepEqual(means(59, [0, 30]), [{ step: 0, value: 0.5 }, {
    step: 300,
    value: 900 + 2 / 3,
  }]);
  assert.deepEqual(means(60, [0, 30]), [{ step: 0, value: 0.5 }, { step: 300, value: 902 }]);
});

Deno.test("movingMean() passes over values that are not finite, and leaves them", () => {
  const values = Array.from({ length: 80 }, (_, index) => index === 20 ? NaN : index ** 2);
  values[50] = Infinity;
  const smoothed = movingMean(values.map((value, step) => ({ step, value })));
  assert.deepEqual([17, 18, 20, 21, 49, 50].map((index) => smoothed[index].value), [
    291,
    (16 ** 2 + 17 ** 2 + 18 ** 2 + 19 ** 2) / 4,
    NaN,
    (19 ** 2 + 21 ** 2 + 22 ** 2 + 23 ** 2) / 4,
    (47 ** 2 + 48 ** 2 + 49 ** 2 + 51 ** 2) / 4,
    Infinity,
  ]);
});

Deno.test("renderLossChart() writes its axes, and smooths from forty points on", async () => {
  const points = (
    length: number,
    loss: (step: number) => number,
  ): { step: number; loss: number }[] =>
    Array.from({ length }, (_, step) => ({ step, loss: loss(step) }));
  const textsOf = (svg: string): string[] =>
    Array.from(svg.matchAll(/>([^<>\n]+)<\/text>/g), ([, text]) => text);
  const few = { title: "Title", eval: [], train: points(2, (step) => 1 + step / 2) };
  assert.deepEqual(textsOf(await renderLossChart(few)), [
    ...["loss", "step", "1", "1.1", "1.2", "1.3", "1.4", "1.5", "0", "1"],
    ...["train", "evaluation, per token", "Title"],
  ]);
  const small = { ...few, train: points(2, (step) => (1 + step) * 1e-5), axis: "epoch" };
  assert.deepEqual(textsOf(await renderLossChart({ ...small, logScale: true })), [
    ...["loss (log scale)", "epoch", "7.63e-6", "1.53e-5", "3.05e-5"],
    ...["0", "0.2", "0.4", "0.6", "0.8", "1", "train", "evaluation, per token", "Title"],
  ]);
  const many = await renderLossChart({ ...few, train: points(40, (step) => 2 + Math.sin(step)) });
  const widths = Array.from(
    many.matchAll(/stroke="(#1f6feb|#b3cff9)"( stroke-width="[\d.]+")? stroke-linejoin/g),
    ([, color, width]) => `${color}${width ?? ""}`,
  );
  assert.deepEqual(widths, ["#b3cff9", '#1f6feb stroke-width="2"']);
  assert.match(many, /^<svg role="img" aria-label="Title" width="900" height="420" /);
  assert.match(many, /id="loss-c0"/);
});
