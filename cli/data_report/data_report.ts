/**
 * The report of `deno task data`.
 *
 * In: facts of a dataset. Out: lines for a terminal, and one HTML page that needs nothing else.
 */

import { contentHash } from "../../train/track/content_hash.ts";
import { formatCount } from "../../train/track/format_units.ts";
import { html, Markup } from "../../train/track/html.ts";
import type { HtmlValue } from "../../train/track/html.ts";
import { REPORT_STYLE } from "../../train/track/report_style.ts";
import { quantile } from "./data_facts.ts";
import type { DataFacts, Lengths } from "./data_facts.ts";
import { renderHistogram } from "./histogram.ts";

/** Where the data came from and how it was split, in words. */
export interface DataReportSource {
  readonly name: string;
  readonly columns: readonly string[];
  readonly seed: number;
  readonly trainRatio: number;
}

/** Most problems and duplicates that are listed; the rest is counted. */
const SHOWN_IN_TERMINAL = 5;
const SHOWN_ON_PAGE = 200;

const QUANTILES: readonly (readonly [string, number])[] = [
  ["min", 0],
  ["median", 0.5],
  ["90 %", 0.9],
  ["99 %", 0.99],
  ["max", 1],
];

/** The facts as lines of text. */
export function formatDataFacts(facts: DataFacts): string[] {
  const header = ["", ...QUANTILES.map(([name]) => name), "mean"];
  const rows = facts.lengths.filter(({ values }) => values.length > 0).map((one) => [
    `${one.name}, ${one.unit}`,
    ...figures(one),
  ]);
  const table = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...table.map((row) => row[column].length)));
  const lines = rows.length === 0
    ? []
    : table.map((row) =>
      row.map((cell, column) =>
        column === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[column])
      ).join("  ").trimEnd()
    );
  return [...lines, ...remarks(facts, SHOWN_IN_TERMINAL)];
}

function figures({ values }: Lengths): string[] {
  const sorted = values.toSorted((a, b) => a - b);
  const mean = sorted.reduce((sum, value) => sum + value, 0) / sorted.length;
  return [...QUANTILES.map(([, part]) => quantile(sorted, part)), mean].map(formatCount);
}

function remarks(facts: DataFacts, shown: number): string[] {
  const { maxLength, cut, unlabelled, withoutThinking, problems, duplicates, repeated, unread } =
    facts;
  const lines = [];
  if (maxLength !== undefined) {
    lines.push(`${rowsThat(cut, "is", "are")} longer than ${maxLength} tokens and would be cut`);
    if (unlabelled > 0) {
      lines.push(
        `${rowsThat(unlabelled, "is", "are")} cut before the answer: training refuses them`,
      );
    }
  } else {
    lines.push("token lengths are not known: give --model DIR with a tokenizer");
  }
  lines.push(`${rowsThat(withoutThinking, "has", "have")} no thinking`);
  lines.push(`${rowsThat(problems.length, "is", "are")} empty or malformed`);
  lines.push(...list(problems, shown));
  if (unread.length > 0) {
    lines.push("training does not read:");
    lines.push(
      ...list(
        unread.map(({ field, rows, remedy }) =>
          `${remedy ?? field} (${rowsThat(rows, "has", "have")} it)`
        ),
        shown,
      ),
    );
  }
  lines.push(`${rowsThat(duplicates.length, "stands", "stand")} in both parts`);
  lines.push(...list(duplicates.map(describeDuplicate), shown));
  lines.push(`${rowsThat(repeated, "repeats", "repeat")} an earlier one`);
  return lines;
}

function describeDuplicate({ train, val, same }: DataFacts["duplicates"][number]): string {
  return `the ${same} of line ${val} (validation) is that of line ${train} (training)`;
}

function rowsThat(count: number, one: string, many: string): string {
  return `${formatCount(count)} ${count === 1 ? `row ${one}` : `rows ${many}`}`;
}

function list(items: readonly string[], shown: number): string[] {
  const rest = items.length - shown;
  const lines = items.slice(0, shown).map((item) => `  ${item}`);
  return rest > 0 ? [...lines, `  and ${rest} more`] : lines;
}

/** The facts as a whole HTML document. */
export async function renderDataReport(
  facts: DataFacts,
  source: DataReportSource,
): Promise<string> {
  const { rows, lengths, maxLength, cut, problems, duplicates } = facts;
  const policy = [
    "default-src 'none'",
    `style-src ${await contentHash(REPORT_STYLE)}`,
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
  const drawn = lengths.filter(({ values }) => values.length > 0);
  const tiles: [string, string | undefined][] = [
    ["rows", formatCount(rows.train + rows.val)],
    ["training", formatCount(rows.train)],
    ["validation", formatCount(rows.val)],
    ["cut rows", maxLength === undefined ? undefined : formatCount(cut)],
    ["malformed rows", formatCount(problems.length)],
    ["in both parts", formatCount(duplicates.length)],
  ];
  const page = html`
    <!DOCTYPE html>
    <html lang="en">
      <head>
        <meta charset="utf-8">
        <meta http-equiv="Content-Security-Policy" content="${policy}">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="color-scheme" content="light dark">
        <meta name="referrer" content="no-referrer">
        <title>${source.name}</title>
        <style>${new Markup(REPORT_STYLE)}</style>
      </head>
      <body>
        <header>
          <h1 dir="auto">${source.name}</h1>
          <ul class="tiles">${tiles.filter(([, value]) => value !== undefined)
            .map(([name, value]) => html`<li><b>${value}</b> <span>${name}</span></li>`)}</ul>
        </header>
        <main>
          <section>
    <h2>Lengths</h2>
    ${lengthTable(drawn)}
          </section>
          <section>
            <h2>Distributions</h2>
            <div class="charts">${drawn.map((one) =>
              html`<figure class="chart">${
                renderHistogram({
                  title: `${one.name}, ${one.unit}`,
                  values: one.values,
                  mark: one.name === "whole example" ? maxLength : undefined,
                })
              }</figure>`
            )}</div>
          </section>
          <section>
            <h2>Remarks</h2>
            <ul>${remarks(facts, SHOWN_ON_PAGE).map((line) =>
              html`<li dir="auto">${line.trim()}</li>`
            )}</ul>
          </section>
          <section>
            <h2>Split</h2>
            <ul>
              <li>Columns: ${source.columns.join(", ")}</li>
              <li>Seed ${source.seed}, training part ${source
                .trainRatio}: the order is CPython's</li>
            </ul>
          </section>
        </main>
        <footer>Written by ortune</footer>
      </body>
    </html>
  `;
  return `${page.text.trim()}\n`;
}

function lengthTable(lengths: readonly Lengths[]): HtmlValue {
  return lengths.length > 0 && html`
    <div class="scroll">
      <table class="figures">
        <thead>
          <tr>${["Field", ...QUANTILES.map(([name]) => name), "mean"]
            .map((name) => html`<th scope="col">${name}</th>`)}</tr>
        </thead>
        <tbody>${lengths.map((one) =>
          html`<tr><td>${one.name}, ${one.unit}</td>${
            figures(one).map((figure) => html`<td>${figure}</td>`)
          }</tr>`
        )}</tbody>
      </table>
    </div>
  `;
}
