/**
 * The style sheet of reports.
 *
 * In: nothing. Out: CSS for light and dark screens and for print.
 */

import { darkChartRules } from "./chart_colors.ts";

/** One text, allowed by its hash in the report's content security policy. */
export const REPORT_STYLE: string = `
:root {
  color-scheme: light dark;
  --page: #f6f8fa; --card: #ffffff; --text: #1f2329; --soft: #57606a; --line: #d8dee4;
  --accent: #1f6feb; --best: #e6f4ea; --code: #f0f3f6; --bad: #b42318;
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 32px 24px 48px; max-width: 1100px; background: var(--page);
  color: var(--text); font: 15px/1.6 system-ui, -apple-system, "Segoe UI", "PingFang SC",
    "Microsoft YaHei", "Noto Sans CJK SC", sans-serif;
}
h1 { margin: 0 0 16px; font-size: 28px; line-height: 1.25; overflow-wrap: anywhere; }
h2 { margin: 32px 0 12px; font-size: 19px; }
h3 { margin: 0 0 8px; font-size: 14px; color: var(--soft); font-weight: 600; }
h4 { margin: 12px 0 2px; font-size: 12px; color: var(--soft); font-weight: 600;
  letter-spacing: .04em; text-transform: uppercase; }
.tiles { display: flex; flex-wrap: wrap; gap: 12px; margin: 0; padding: 0; list-style: none; }
.tiles li { flex: 1 1 150px; padding: 12px 16px; background: var(--card);
  border: 1px solid var(--line); border-radius: 8px; }
.tiles b { display: block; font-size: 22px; font-weight: 600; line-height: 1.3;
  font-variant-numeric: tabular-nums; }
.tiles span { color: var(--soft); font-size: 13px; }
table { border-collapse: collapse; width: 100%; background: var(--card);
  border: 1px solid var(--line); font-variant-numeric: tabular-nums; }
th, td { padding: 6px 14px; border-top: 1px solid var(--line); text-align: start;
  vertical-align: top; overflow-wrap: anywhere; }
tr:first-child th, tr:first-child td { border-top: 0; }
.facts th { width: 200px; color: var(--soft); font-weight: 400; }
.figures thead th { color: var(--soft); font-size: 13px; font-weight: 600; }
.figures th, .figures td { text-align: end; white-space: nowrap; }
.figures tbody tr:first-child td { border-top: 1px solid var(--line); }
.best td { background: var(--best); }
.aborted, .tiles .aborted span { color: var(--bad); font-weight: 600; }
.tiles b span { font-size: inherit; color: inherit; }
.scroll { overflow-x: auto; }
code, pre { font: 13px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
pre { margin: 2px 0; padding: 8px 12px; background: var(--code); border-radius: 6px;
  white-space: pre-wrap; overflow-wrap: anywhere; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(440px, 100%), 1fr));
  gap: 16px; }
.chart { margin: 0; padding: 8px; background: var(--card); border: 1px solid var(--line);
  border-radius: 8px; overflow-x: auto; }
.wide { grid-column: 1 / -1; }
.chart svg { display: block; width: 100%; height: auto; }
.wide svg { min-width: 640px; }
fieldset { display: flex; flex-wrap: wrap; gap: 4px 16px; margin: 0; padding: 6px 16px; border: 0;
  color: var(--soft); font-size: 13px; }
legend { float: inline-start; padding: 0; margin-inline-end: 16px; }
.over { display: none; }
.chart:has([value="step"]:checked) .step, .chart:has([value="epoch"]:checked) .epoch,
.chart:has([value="share"]:checked) .share { display: block; }
@supports not selector(:has(*)) { .over.step { display: block; } }
figcaption { padding: 0 16px 6px; color: var(--soft); font-size: 13px; }
article { margin: 0 0 16px; padding: 16px 20px; background: var(--card);
  border: 1px solid var(--line); border-radius: 8px; }
.text { white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: isolate; }
.answer { padding-inline-start: 12px; border-inline-start: 3px solid var(--accent); }
details { margin: 12px 0; padding: 8px 12px; background: var(--code); border-radius: 6px; }
summary { color: var(--soft); font-size: 13px; cursor: pointer; }
details .text { margin-top: 8px; color: var(--soft); }
li { overflow-wrap: anywhere; }
footer { margin-top: 32px; color: var(--soft); font-size: 13px; }
@media (prefers-color-scheme: dark) {
:root {
  --page: #0d1117; --card: #161b22; --text: #e6edf3; --soft: #9da7b3; --line: #30363d;
  --accent: #6cb0ff; --best: #12301d; --code: #1f262e; --bad: #ff8f85;
}
${darkChartRules(".chart")}
}
@media print {
  body { max-width: none; padding: 0; }
  figure, article, tr { break-inside: avoid; }
}
`;
