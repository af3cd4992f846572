/**
 * The report of `deno task data`.
 *
 * In: facts of a dataset. Out: lines for a terminal, and one HTML page that needs nothing else.
 */

import {
  type Bilingual,
  inBoth,
  LANGUAGE_SCRIPT,
  translateChart,
} from "../../train/track/bilingual.ts";
import { formatCount } from "../../train/track/format_units.ts";
import { html, type Markup } from "../../train/track/html.ts";
import type { HtmlValue } from "../../train/track/html.ts";
import { renderPage } from "../../train/track/page.ts";
import { formatTable } from "../terminal/format_table.ts";
import { REPORT_STYLE } from "../../train/track/report_style.ts";
import { quantile } from "./data_facts.ts";
import type { DataFacts, Lengths, SampleRow } from "./data_facts.ts";
import {
  DATA_REPORT_WORDS,
  dataReportText as text,
  type DataReportWords,
  type HowSplit,
} from "./data_report_words.ts";
import { renderHistogram } from "./histogram.ts";

/** Where the data came from and how it was split. */
export interface DataReportSource {
  readonly name: string;
  readonly columns: readonly string[];
  readonly split: HowSplit;
}

/** Most problems and duplicates that are listed; the rest is counted. */
const SHOWN_IN_TERMINAL = 5;
const SHOWN_ON_PAGE = 200;
/** Characters of a message that a sample row shows. */
const SHOWN_CHARACTERS = 2000;

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
  const lines = rows.length === 0 ? [] : formatTable(table, { left: 1 });
  return [...lines, ...remarks(facts, SHOWN_IN_TERMINAL, DATA_REPORT_WORDS.en)];
}

function figures({ values }: Lengths): string[] {
  const sorted = values.toSorted((a, b) => a - b);
  const mean = sorted.reduce((sum, value) => sum + value, 0) / sorted.length;
  return [...QUANTILES.map(([, part]) => quantile(sorted, part)), mean].map(formatCount);
}

function remarks(facts: DataFacts, shown: number, words: DataReportWords): string[] {
  const { maxLength, cut, unlabelled, withoutThinking, problems, duplicates, repeated, unread } =
    facts;
  const { truncation, shapes, replies, unlearnedReplies, teach } = facts;
  const lines = shapes.map(words.shape);
  if (maxLength !== undefined) {
    lines.push(words.cut(cut, { maxLength, truncation }));
    if (unlabelled > 0 && truncation === "right") lines.push(words.unlabelled(unlabelled));
  } else {
    lines.push(words.noTokenizer);
  }
  const list = (items: readonly string[]): void => {
    lines.push(...items.slice(0, shown).map((item) => `  ${item}`));
    if (items.length > shown) lines.push(`  ${words.more(items.length - shown)}`);
  };
  if (unlearnedReplies > 0 || teach !== "all") {
    lines.push(words.replies(replies, unlearnedReplies, teach));
  }
  lines.push(words.withoutThinking(withoutThinking));
  lines.push(words.malformed(problems.length));
  list(problems);
  if (unread.length > 0) {
    lines.push(words.unread);
    list(unread.map(({ field, rows, remedy }) => words.unreadField(remedy ?? field, rows)));
  }
  lines.push(words.duplicates(duplicates.length));
  list(duplicates.map(words.duplicate));
  lines.push(words.repeated(repeated));
  return lines;
}

/** The facts as a whole HTML document. */
export function renderDataReport(
  facts: DataFacts,
  source: DataReportSource,
): Promise<string> {
  const { rows, lengths, maxLength, cut, problems, duplicates, samples } = facts;
  const drawn = lengths.filter(({ values }) => values.length > 0);
  const tiles: [Bilingual, string | undefined][] = [
    [text(({ rows }) => rows), formatCount(rows.train + rows.val)],
    [text(({ training }) => training), formatCount(rows.train)],
    [text(({ validation }) => validation), formatCount(rows.val)],
    [text(({ cutRows }) => cutRows), maxLength === undefined ? undefined : formatCount(cut)],
    [text(({ malformedRows }) => malformedRows), formatCount(problems.length)],
    [text(({ inBoth }) => inBoth), formatCount(duplicates.length)],
  ];
  const [english, chinese] = [DATA_REPORT_WORDS.en, DATA_REPORT_WORDS.zh]
    .map((words) => remarks(facts, SHOWN_ON_PAGE, words));
  const title = source.name;
  return renderPage({
    title,
    style: REPORT_STYLE,
    script: LANGUAGE_SCRIPT,
    tiles,
    main: html`
      <section>
        <h2>${inBoth(text(({ lengths }) => lengths))}</h2>
        ${lengthTable(drawn)}
      </section>
      <section>
        <h2>${inBoth(text(({ distributions }) => distributions))}</h2>
        <div class="charts">${drawn.map((one) => {
          const title = text((words) => words.length(one));
          const mark = one.name === "whole example" ? maxLength : undefined;
          const svg = renderHistogram({ title: title.en, values: one.values, mark });
          return html`<figure class="chart">${translateChart(svg.text, [title])}</figure>`;
        })}</div>
      </section>
      ${samples.length > 0 &&
        html`
          <section>
            <h2>${inBoth(text(({ samples }) => samples))}</h2>
            ${samples.map(sampleRow)}
          </section>
        `}
      <section>
        <h2>${inBoth(text(({ remarks }) => remarks))}</h2>
        <ul>${english.map((line, index) =>
          html`<li dir="auto">${inBoth({ en: line.trim(), zh: chinese[index].trim() })}</li>`
        )}</ul>
      </section>
      <section>
        <h2>${inBoth(text(({ split }) => split))}</h2>
        <ul>
          <li>${inBoth(text((words) => words.columns(source.columns)))}</li>
          <li>${inBoth(text((words) => words.howSplit(source.split)))}</li>
        </ul>
      </section>
    `,
    footer: text(({ writtenBy }) => writtenBy),
  });
}

/** A row as training reads it: its messages, long ones cut. */
function sampleRow({ part, where, texts }: SampleRow): Markup {
  const shown = (value: string): HtmlValue => {
    const characters = Array.from(value.slice(0, 2 * SHOWN_CHARACTERS));
    const cut = characters.length > SHOWN_CHARACTERS;
    return cut ? `${characters.slice(0, SHOWN_CHARACTERS).join("")} …` : value;
  };
  return html`
    <article>
    <h3>${inBoth(text((words) => words.sample(part, where)))}</h3>
    ${texts.map(({ role, text: content, think = "" }) =>
      html`
        <h4>${inBoth(text((words) => words.role(role)))}</h4>
        ${think !== "" &&
          html`
            <details>
              <summary>${inBoth(
                text((words) => words.thinking(formatCount(Array.from(think).length))),
              )}</summary>
              <div class="text" dir="auto" lang="">${shown(think)}</div>
            </details>
          `}
        <div class="text${["assistant", "completion"].includes(role) &&
          " answer"}" dir="auto" lang="">${shown(
            content,
          )}</div>
      `
    )}
    </article>
  `;
}

function lengthTable(lengths: readonly Lengths[]): HtmlValue {
  return lengths.length > 0 && html`
    <div class="scroll" tabindex="0">
      <table class="figures">
        <thead>
          <tr><th scope="col">${inBoth(text(({ field }) => field))}</th>${QUANTILES.map(([name]) =>
            html`<th scope="col">${inBoth(text((words) => words.quantile(name)))}</th>`
          )}<th scope="col">${inBoth(text(({ mean }) => mean))}</th></tr>
        </thead>
        <tbody>${lengths.map((one) =>
          html`<tr><td>${inBoth(text((words) => words.length(one)))}</td>${
            figures(one).map((figure) => html`<td>${figure}</td>`)
          }</tr>`
        )}</tbody>
      </table>
    </div>
  `;
}
