/**
 * Histograms as SVG.
 *
 * In: numbers. Out: markup of one SVG element without styles and scripts, in the charts' colours; the
 * same for the same input.
 */

import { CHART_COLORS } from "../../train/track/chart_colors.ts";
import { formatCount } from "../../train/track/format_units.ts";
import { html } from "../../train/track/html.ts";
import type { Markup } from "../../train/track/html.ts";

/** What {@linkcode renderHistogram} draws. */
export interface HistogramOptions {
  readonly title: string;
  /** Not negative. */
  readonly values: readonly number[];
  /** A value to mark with a line, where it lies within. */
  readonly mark?: number;
}

const [width, height, left, right, top, bottom] = [340, 200, 44, 12, 40, 26];
const MAX_BINS = 30;

/** Draws how often values of each size occur. */
export function renderHistogram({ title, values, mark }: HistogramOptions): Markup {
  const most = values.reduce((a, b) => Math.max(a, b), 0);
  const step = niceStep((most + 1) / MAX_BINS);
  const bins = new Array<number>(Math.floor(most / step) + 1).fill(0);
  for (const value of values) bins[Math.floor(value / step)]++;
  const highest = bins.reduce((a, b) => Math.max(a, b), 1);
  const end = bins.length * step;
  const x = (value: number): number => left + value / end * (width - left - right);
  const y = (count: number): number => height - bottom - count / highest * (height - top - bottom);
  const { background, title: dark, text, axis, train, evaluation } = CHART_COLORS;
  const label = `${title}: ${values.length} rows, from 0 to ${most}`;
  return html`
    <svg role="img" aria-label="${label}" viewBox="0 0 ${width} ${height}" width="${width}"
      height="${height}">
      <rect width="${width}" height="${height}" fill="${background.light}"></rect>
      <text x="12" y="22" font-size="14" font-weight="600" font-family="system-ui, sans-serif" fill="${dark
        .light}">${title}</text>
      ${bins.map((count, index) =>
        html`
          <rect x="${x(index * step).toFixed(1)}" y="${y(count).toFixed(1)}" width="${(x(step) -
            x(0) - 1).toFixed(1)}" height="${(y(0) - y(count)).toFixed(1)}" fill="${train.light}">
            <title>${step === 1
              ? index
              : `${index * step} to ${(index + 1) * step - 1}`}: ${count}</title>
          </rect>
        `
      )}
      ${mark !== undefined && mark < end &&
        html`
          <line x1="${x(mark).toFixed(1)}" x2="${x(mark).toFixed(1)}" y1="${top}" y2="${y(
            0,
          )}" stroke="${evaluation.light}"
            stroke-width="2"></line>
        `}
      <line x1="${left}" x2="${width - right}" y1="${y(0)}" y2="${y(0)}" stroke="${axis
        .light}"></line>
      ${([[left, "start", 0], [width - right, "end", end]] as const).map(([at, anchor, value]) =>
        html`
          <text x="${at}" y="${height - 8}" text-anchor="${anchor}" font-size="12"
            font-family="system-ui, sans-serif" fill="${text.light}">${formatCount(value)}</text>
        `
      )}
      <text x="${left - 6}" y="${y(highest) +
        4}" text-anchor="end" font-size="12" font-family="system-ui, sans-serif" fill="${text
        .light}">${formatCount(highest)}</text>
    </svg>
  `;
}

/** The next of 1, 2, 5, 10, 20, 50 … */
function niceStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, least)));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= least)!;
}
