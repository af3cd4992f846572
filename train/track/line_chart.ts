/**
 * Line charts over the steps of a run, as SVG.
 *
 * In: series of points. Out: the text of one SVG element, without styles, scripts and references to
 * elsewhere; the same bytes for the same input.
 *
 * Drawn by echarts, imported when the first chart is: not by who never draws one. It is echarts'
 * own bundle that is imported, not `echarts/core`: the modules behind that read
 * `process.env.NODE_ENV`, for which Deno wants --allow-env, and a hundred small files load slower
 * than the one large.
 */

import type { EChartsOption, LineSeriesOption, ScatterSeriesOption } from "echarts";
import { CHART_COLORS } from "./chart_colors.ts";
import type { ChartColorName } from "./chart_colors.ts";
import { cleanText, escapeHtml } from "./html.ts";

/** A point of a curve, over steps or another axis; one that is not finite (or, on a log scale, not positive) leaves a gap. */
export interface ChartPoint {
  readonly step: number;
  readonly value: number;
  /** A text at the point, of a scattered series. @default none */
  readonly label?: string;
}

/** A curve. */
export interface ChartSeries {
  readonly name: string;
  readonly color: ChartColorName;
  readonly points: readonly ChartPoint[];
  /** Stroke width in pixels. @default 2 */
  readonly width?: number;
  /** A circle at each point. @default false */
  readonly markers?: boolean;
  /** Points without a line, each with its label. @default false */
  readonly scattered?: boolean;
}

/** What {@linkcode renderLineChart} draws. */
export interface LineChartOptions {
  readonly title: string;
  readonly series: readonly ChartSeries[];
  /** What the horizontal axis shows. @default "step" */
  readonly axis?: string;
  /** What the vertical axis shows. */
  readonly unit?: string;
  /** Writes a value of the vertical axis. */
  readonly format: (value: number) => string;
  readonly logScale?: boolean;
  /** Starts the vertical axis at 0. @default false */
  readonly fromZero?: boolean;
  readonly width?: number;
  readonly height?: number;
  /** Prefix of the ids within the SVG; charts on one page need different ones. @default "chart" */
  readonly id?: string;
}

/** Longest side, in pixels: a chart larger than that is a mistake, and as slow as it is large. */
const MAX_SIDE = 10_000;
const FONT = "system-ui, sans-serif";
/** A curve of so few points is read point by point. */
const FEW_POINTS = 12;

/** Draws a chart; throws a RangeError where a side is not between 100 and 10,000 pixels. */
export async function renderLineChart(options: LineChartOptions): Promise<string> {
  const { width = 900, height = 420, id = "chart" } = options;
  for (const [name, side] of [["width", width], ["height", height]] as const) {
    if (!(side >= 100 && side <= MAX_SIDE)) {
      throw new RangeError(
        `Cannot draw a chart: ${name} ${side} is not between 100 and ${MAX_SIDE} pixels`,
      );
    }
  }
  const echarts: typeof import("echarts") = await import("echarts/dist/echarts.esm.min.mjs");
  const chart = echarts.init(null, null, { renderer: "svg", ssr: true, width, height });
  try {
    chart.setOption(toEcharts({ ...options, width }));
    return normalize(chart.renderToSVGString(), id, cleanText(options.title));
  } finally {
    // A chart that is not disposed keeps a timer, and with it the process.
    chart.dispose();
  }
}

function toEcharts(
  { width, ...options }: LineChartOptions & { readonly width: number },
): EChartsOption {
  const { title, series, unit = "", format, logScale = false, fromZero = false } = options;
  const { axis: horizontal = "step" } = options;
  const names = series.map(({ name }) => cleanText(name));
  const text = CHART_COLORS.text.light;
  const top = series.length > 1 || unit !== "" ? 72 : 50;
  const layout = labelLayout(width, top);
  const axis = {
    nameTextStyle: { color: text, fontFamily: FONT, fontSize: 12 },
    axisLabel: { color: text, fontFamily: FONT, fontSize: 12 },
    axisLine: { show: true, lineStyle: { color: CHART_COLORS.axis.light } },
    axisTick: { show: true, lineStyle: { color: CHART_COLORS.axis.light } },
    splitLine: { lineStyle: { color: CHART_COLORS.grid.light } },
  };
  return {
    animation: false,
    backgroundColor: CHART_COLORS.background.light,
    title: {
      text: cleanText(title),
      left: 16,
      top: 12,
      textStyle: {
        color: CHART_COLORS.title.light,
        fontFamily: FONT,
        fontSize: 15,
        fontWeight: 600,
        width: width - 32,
        overflow: "truncate",
      },
    },
    legend: {
      show: series.length > 1,
      data: names,
      right: 24,
      top: 38,
      icon: "roundRect",
      itemWidth: 18,
      itemHeight: 4,
      // Wide, as echarts can but guess the widths of a reader's font.
      itemGap: 30,
      textStyle: { color: text, fontFamily: FONT, fontSize: 12 },
    },
    grid: {
      left: 16,
      right: 28,
      top,
      bottom: 8,
      outerBounds: { left: 16, bottom: 8 },
    },
    xAxis: {
      type: "value",
      name: horizontal,
      nameLocation: "middle",
      nameGap: 26,
      min: firstStep(series),
      // Beside scattered points there is room for their labels.
      max: series.some(({ scattered }) => scattered) ? undefined : "dataMax",
      ...horizontal === "step" ? { minInterval: 1 } : {},
      ...axis,
      splitLine: { show: false },
    },
    yAxis: {
      type: logScale ? "log" : "value",
      // Powers of 10 are too far apart for losses.
      logBase: 2,
      name: cleanText(unit),
      nameLocation: "end",
      scale: !fromZero,
      ...axis,
      nameTextStyle: { ...axis.nameTextStyle, align: "left" },
      axisLabel: { ...axis.axisLabel, formatter: format },
    },
    graphic: series.some(({ points }) => points.some(({ value }) => isDrawn(value, logScale)))
      ? undefined
      : {
        type: "text",
        left: "center",
        top: "middle",
        style: { text: "no figures", fill: text, fontFamily: FONT, fontSize: 14 },
      },
    series: series.map((one, index) =>
      one.scattered
        ? toScatter(one, { name: names[index], logScale, layout })
        : toSeries(one, names[index], logScale)
    ),
  };
}

function toSeries(series: ChartSeries, name: string, logScale: boolean): LineSeriesOption {
  const { points, markers = false, width = 2 } = series;
  const color = CHART_COLORS[series.color].light;
  const data = points.filter(({ step }) => Number.isFinite(step)).map(
    ({ step, value }): [number, number | null] => [step, isDrawn(value, logScale) ? value : null],
  );
  return {
    type: "line",
    name,
    data,
    silent: true,
    // A lone point has no line: without its circle it would not be seen.
    showSymbol: markers || data.length <= FEW_POINTS,
    symbol: "circle",
    symbolSize: 7,
    // More points than pixels are thinned to those that keep the shape.
    sampling: markers ? undefined : "lttb",
    lineStyle: { color, width, join: "round" },
    itemStyle: { color, borderColor: color },
  };
}

/** A part of a chart, in pixels from its top left. */
export interface Rect {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** How far a label is moved from above its point. */
export type LabelLayout = (
  label: { readonly rect: Rect; readonly labelRect: Rect },
) => { readonly dx: number; readonly dy: number };

/** Pixels between a point and its label: echarts' own. */
const LABEL_GAP = 5;

/** Leaves a label above its point, or puts it right, left or below, where it covers nothing laid out before. */
export function labelLayout(width: number, top: number): LabelLayout {
  const taken: Rect[] = [{ x: 0, y: 0, width, height: top }];
  return ({ rect, labelRect }) => {
    const across = (rect.width + labelRect.width) / 2 + LABEL_GAP;
    const beside = (rect.height + labelRect.height) / 2 + LABEL_GAP;
    const sides = [[0, 0], [across, beside], [-across, beside], [0, 2 * beside]];
    const places = sides.map(([dx, dy]) => ({ dx, dy }));
    const moved = ({ dx, dy }: typeof places[number]): Rect => ({
      ...{ width: labelRect.width, height: labelRect.height },
      ...{ x: labelRect.x + dx, y: labelRect.y + dy },
    });
    const free = places.find((place) => {
      const label = moved(place);
      return label.x >= 0 && label.x + label.width <= width &&
        taken.every((other) => !overlap(label, other));
    }) ?? places[0];
    taken.push(rect, moved(free));
    return free;
  };
}

function overlap(a: Rect, b: Rect): boolean {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height &&
    b.y < a.y + a.height;
}

function toScatter(
  { points, color }: ChartSeries,
  { name, logScale, layout }: {
    readonly name: string;
    readonly logScale: boolean;
    readonly layout: LabelLayout;
  },
): ScatterSeriesOption {
  const drawn = points.filter(({ step, value }) =>
    Number.isFinite(step) && isDrawn(value, logScale)
  );
  return {
    type: "scatter",
    name,
    data: drawn.map(({ step, value }) => [step, value]),
    silent: true,
    symbol: "circle",
    symbolSize: 9,
    itemStyle: { color: CHART_COLORS[color].light },
    label: {
      show: true,
      position: "top",
      distance: LABEL_GAP,
      formatter: ({ dataIndex }) => cleanText(drawn[dataIndex].label ?? ""),
      color: CHART_COLORS.text.light,
      fontFamily: FONT,
      fontSize: 12,
      textBorderWidth: 0,
    },
    labelLayout: layout,
  };
}

function isDrawn(value: number, logScale: boolean): boolean {
  return Number.isFinite(value) && (!logScale || value > 0);
}

/** Where the horizontal axis starts: at 0, unless that would leave more than half of it empty. */
function firstStep(series: readonly ChartSeries[]): number {
  let first = Infinity;
  let last = 0;
  for (const { points } of series) {
    for (const { step } of points) {
      first = Math.min(first, step);
      last = Math.max(last, step);
    }
  }
  return first > last / 2 && first < last ? first : 0;
}

/**
 * Makes the SVG independent of what was drawn before, and fit for a page that forbids inline
 * styles: zrender numbers its ids through the life of the process, writes fonts as style attributes
 * and hover effects as a style sheet. In text and in attributes zrender escapes `<` and `"`, so
 * nothing but its own tags matches.
 */
function normalize(svg: string, id: string, label: string): string {
  return svg
    .replace(/<style ?>[\s\S]*?<\/style>/g, "")
    .replace(/ (?:class|ecmeta_\w+|pointer-events)="[^"]*"/g, "")
    .replace(
      / style="([^"]*)"/g,
      (_, css: string) =>
        css.split(";").filter((rule) => rule !== "").map((rule) => {
          const colon = rule.indexOf(":");
          return ` ${rule.slice(0, colon)}="${rule.slice(colon + 1)}"`;
        }).join(""),
    )
    .replace(/(id="|url\(#)zr\d+-/g, `$1${id}-`)
    .replace(/\n\s*\n+/g, "\n")
    .replace("<svg ", `<svg role="img" aria-label="${escapeHtml(label)}" `)
    .trim();
}
