/**
 * The colours of charts, and how a dark page changes them.
 *
 * In: nothing. Out: colours, and CSS rules. A chart carries its light colours as SVG presentation
 * attributes, so that it stands alone; a rule of a page's style sheet outweighs them.
 */

interface ChartColor {
  readonly light: string;
  readonly dark: string;
}

/** Each light colour is used for one thing: the dark one is found by it. */
export const CHART_COLORS = {
  background: { light: "#ffffff", dark: "#161b22" },
  title: { light: "#1f2329", dark: "#e6edf3" },
  text: { light: "#57606a", dark: "#9da7b3" },
  axis: { light: "#8c959f", dark: "#57606b" },
  grid: { light: "#e4e8ec", dark: "#2b323b" },
  train: { light: "#1f6feb", dark: "#6cb0ff" },
  trainRaw: { light: "#b3cff9", dark: "#31507a" },
  evaluation: { light: "#d4480b", dark: "#ffa36b" },
  learningRate: { light: "#6f42c1", dark: "#bd9cf5" },
  gradNorm: { light: "#0b7285", dark: "#62d0e0" },
  memory: { light: "#b3246e", dark: "#ff8fc4" },
  speed: { light: "#2b7a3d", dark: "#7fdd92" },
} as const satisfies Record<string, ChartColor>;

/** A colour by its use. */
export type ChartColorName = keyof typeof CHART_COLORS;

/** Style rules that give the charts below `selector` their dark colours. */
export function darkChartRules(selector: string): string {
  return Object.values(CHART_COLORS).flatMap(({ light, dark }) =>
    ["fill", "stroke"].map((name) => `${selector} [${name}="${light}"]{${name}:${dark}}`)
  ).join("\n");
}
