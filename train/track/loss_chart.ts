/**
 * The curves of training and evaluation loss, as SVG.
 *
 * In: the losses by step. Out: the text of one SVG element that stands alone in a file or in a
 * page.
 *
 * @module
 */

import { formatLoss } from "./format_units.ts";
import { renderLineChart } from "./line_chart.ts";
import type { ChartPoint, ChartSeries } from "./line_chart.ts";

/** A loss at a step; one that is not finite leaves a gap in its curve. */
export interface LossPoint {
  /** Updates made, or the place on another axis. */
  readonly step: number;
  /** Mean cross-entropy, in nats. */
  readonly loss: number;
}

/** What {@linkcode renderLossChart} draws; log and evaluate events serve as points. */
export interface LossChartOptions {
  /** Training losses by rising step. */
  readonly train: readonly LossPoint[];
  /** Evaluation losses by rising step, per token as training's. */
  readonly eval: readonly LossPoint[];
  /** Text above the chart. */
  readonly title: string;
  /** Pixels. @default 900 */
  readonly width?: number;
  /** Pixels. @default 420 */
  readonly height?: number;
  /** Spaces the losses by their logarithm. @default false */
  readonly logScale?: boolean;
  /** What the horizontal axis shows. @default "step" */
  readonly axis?: string;
  /** Prefix of the ids within the SVG: charts on one page need different ones. @default "loss" */
  readonly id?: string;
}

/** Below this many points a curve is drawn as it is: there is little to smooth. */
const SMOOTHED_POINTS = 40;

/**
 * Draws the curves of a run: training loss as a thin line with its moving mean, evaluation loss
 * with a circle at each evaluation. The same input gives the same bytes. Needs no permissions; the
 * first call loads echarts, which takes about 0.1 s.
 *
 * @throws {RangeError} if a side is not between 100 and 10,000 pixels.
 *
 * @example
 * ```ts
 * import { renderLossChart } from "@ortune/ortune/track";
 * import assert from "node:assert/strict";
 *
 * const svg = await renderLossChart({
 *   title: "Loss",
 *   train: [{ step: 1, loss: 2.5 }, { step: 2, loss: 2.1 }, { step: 3, loss: 1.9 }],
 *   eval: [{ step: 3, loss: 2 }],
 * });
 * assert.match(svg, /^<svg /);
 * ```
 */
export async function renderLossChart(options: LossChartOptions): Promise<string> {
  const { title, width, height, logScale = false, axis, id = "loss" } = options;
  const toPoint = ({ step, loss }: LossPoint): ChartPoint => ({ step, value: loss });
  return await renderLineChart({
    title,
    series: [
      ...withMovingMean("train", options.train.map(toPoint)),
      {
        name: "evaluation, per token",
        color: "evaluation",
        points: options.eval.map(toPoint),
        markers: true,
      },
    ],
    unit: logScale ? "loss (log scale)" : "loss",
    format: formatTick,
    logScale,
    axis,
    width,
    height,
    id,
  });
}

/** The raw curve, and over it its moving mean where there are points enough for one. */
function withMovingMean(name: string, points: readonly ChartPoint[]): ChartSeries[] {
  if (points.length < SMOOTHED_POINTS) return [{ name, color: "train", points }];
  return [
    { name: `${name} (raw)`, color: "trainRaw", points, width: 1 },
    { name: `${name} (moving mean)`, color: "train", points: movingMean(points) },
  ];
}

/**
 * The mean over a twentieth of the curve, centred on its step, so that it does not lag behind; at
 * the ends over half as many steps. Values that are not finite are passed over, and leave their
 * gap.
 */
export function movingMean(points: readonly ChartPoint[]): ChartPoint[] {
  const reach = Math.round(points.length / 40);
  const sums = [0];
  const counts = [0];
  for (const [index, { value }] of points.entries()) {
    const finite = Number.isFinite(value);
    sums.push(sums[index] + (finite ? value : 0));
    counts.push(counts[index] + (finite ? 1 : 0));
  }
  return points.map(({ step, value }, index) => {
    const near = Math.max(Math.ceil(reach / 2), Math.min(reach, index, points.length - 1 - index));
    const from = Math.max(0, index - near);
    const to = Math.min(points.length, index + near + 1);
    const mean = (sums[to] - sums[from]) / (counts[to] - counts[from]);
    return { step, value: Number.isFinite(value) ? mean : value };
  });
}

/** A value of the axis: without the zeros that a column of losses has for alignment. */
function formatTick(value: number): string {
  const text = formatLoss(value);
  return text.includes("e") ? text : String(Number(text));
}
