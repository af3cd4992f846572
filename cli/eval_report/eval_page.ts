/**
 * The page of `deno task eval`.
 *
 * In: an evaluation. Out: one HTML document that needs nothing else and asks nobody for anything: its policy
 * allows its own style and script alone. All texts of data and models are escaped.
 */

import { type Bilingual, inBoth, LANGUAGE_SCRIPT } from "../../train/track/bilingual.ts";
import { formatCount } from "../../train/track/format_units.ts";
import { html, type Markup } from "../../train/track/html.ts";
import { renderPage } from "../../train/track/page.ts";
import { describePlace } from "../../data/records/jsonl_error.ts";
import type { Comparison } from "../../infer/evaluate/bootstrap.ts";
import type { MetricSummary } from "../../infer/evaluate/score_rows.ts";
import type { EvalResult, EvalRowResult, ModelReply } from "./eval_result.ts";
import { formatDifference, formatInterval, formatScore } from "./eval_table.ts";
import { evalText as text } from "./eval_words.ts";
import { markDifferences } from "./mark_differences.ts";
import { REPLIES_STYLE } from "./replies_style.ts";

/** Rows on the page: a browser lays out as many at once. */
const SHOWN_ROWS = 2000;

const STYLE: string = `${REPLIES_STYLE}
.controls { position: sticky; top: 0; z-index: 1; display: flex; flex-wrap: wrap; gap: 8px 16px;
  padding: 12px 0; background: var(--page); color: var(--soft); font-size: 13px; }
.controls label { display: flex; gap: 6px; align-items: center; }
.controls .find { flex: 1 1 220px; }
.controls input, .controls select { padding: 6px 10px; font: inherit; color: var(--text);
  background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
.controls input { width: 100%; }
.controls label > span { white-space: nowrap; }
.scores { display: flex; flex-wrap: wrap; gap: 0 14px; font-variant-numeric: tabular-nums; }
.scores b { font-weight: 600; }
.win b { color: var(--good); }
.loss b, .note.loss { color: var(--bad); }
[hidden] { display: none; }
`;

/** Searches, filters and sorts the rows by the scores that each carries. */
const SCRIPT: string = `${LANGUAGE_SCRIPT}
const list = document.querySelector("#rows");
const rows = [...list.children].map((element, place) => ({
  element, place, scores: JSON.parse(element.dataset.scores), text: element.textContent.toLowerCase(),
}));
const control = (name) => document.querySelector("#" + name);
const none = control("none");
const better = JSON.parse(list.dataset.better);
const shows = {
  all: () => true,
  wins: ({ scores }, metric) => gain(scores, metric) > 0,
  losses: ({ scores }, metric) => gain(scores, metric) < 0,
  wrong: ({ scores }) => ["choice_accuracy", "exact_match"].some((name) => scores.at(-1)[name] === 0),
};
function gain(scores, metric) {
  const sign = { higher: 1, lower: -1 }[better[metric]] ?? 0;
  return sign * (scores.at(-1)[metric] - scores[0][metric]);
}
function update() {
  const wanted = control("search").value.toLowerCase();
  const metric = control("sort").value || Object.keys(better)[0];
  const order = control("order").value === "descending" ? -1 : 1;
  let shown = 0;
  for (const row of rows) {
    row.element.hidden = !(row.text.includes(wanted) && shows[control("show").value](row, metric));
    if (!row.element.hidden) shown++;
  }
  none.hidden = shown > 0;
  const value = ({ scores }) => scores.at(-1)[metric] ?? Infinity * order;
  const sorted = control("sort").value === ""
    ? rows
    : rows.toSorted((a, b) => order * (value(a) - value(b)) || a.place - b.place);
  list.append(...sorted.map(({ element }) => element));
}
for (const name of ["search", "sort", "order", "show"]) control(name).addEventListener("input", update);
`;

/** Renders the page. */
export function renderEval(result: EvalResult): Promise<string> {
  const { data, models, rows, summaries, resamples } = result;
  const title = `${models.map(({ name }) => name).join(" · ")}: ${data}`;
  const better = Object.fromEntries(
    summaries.map(({ name, metric }) => [name, metric.better ?? ""]),
  );
  const several = models.length > 1;
  return renderPage({
    title,
    style: STYLE,
    script: SCRIPT,
    tiles: [
      [text((words) => words.rows), formatCount(rows.length)],
      [text((words) => words.models), formatCount(models.length)],
    ],
    main: html`
      <h2>${inBoth(text((words) => words.measures))}</h2>
      <div class="scroll">${measureTable(result)}</div>
      <p class="note">${inBoth(text((words) => words.interval(resamples)))}</p>
      <h2>${inBoth(text((words) => words.rowsTitle))}</h2>
      <p class="note">${inBoth(text((words) => words.legend))}</p>
      ${rows.length > SHOWN_ROWS &&
        html`<p class="note">${inBoth(text((words) => words.left(SHOWN_ROWS)))}</p>`}
      <div class="controls">
        <label class="find">${inBoth(text((words) => words.search))}
          <input id="search" type="search" autocomplete="off"></label>
        <label>${inBoth(text((words) => words.show))} <select id="show">
          ${option("all", text((words) => words.all))}
          ${several && option("wins", text((words) => words.wins))}
          ${several && option("losses", text((words) => words.losses))}
          ${option("wrong", text((words) => words.wrong))}
        </select></label>
        <label>${inBoth(text((words) => words.sort))} <select id="sort">
          ${option("", text((words) => words.place))}
          ${summaries.map(({ name, metric }) => option(name, metric.title))}
        </select></label>
        <select id="order" aria-label="Order" data-zh-label="次序">
          ${option("ascending", text((words) => words.ascending))}
          ${option("descending", text((words) => words.descending))}
        </select>
      </div>
      <p id="none" hidden>${inBoth(text((words) => words.none))}</p>
      <div id="rows" data-better="${JSON.stringify(better)}">${rows.slice(0, SHOWN_ROWS).map((
        row,
      ) => rowMarkup(row, result))}</div>
    `,
    footer: text((words) => words.writtenBy),
  });
}

function option(value: string, { en, zh }: Bilingual): Markup {
  return html`<option value="${value}" data-zh="${zh}">${en}</option>`;
}

function measureTable({ models, summaries }: EvalResult): Markup {
  const [base, ...others] = models.map(({ name }) => name);
  return html`
    <table class="figures">
      <thead>
        <tr>
        <th>${inBoth(text((words) => words.measure))}</th>
        <th>${base}</th>
        ${others.map((name) =>
          html`
            <th>${name}</th>
            <th>${inBoth(text((words) => words.difference(base)))}</th>
            <th>${inBoth(text((words) => words.outcome))}</th>
          `
        )}
      </tr>
      </thead>
      <tbody>${summaries.map(measureRow)}</tbody>
    </table>
  `;
}

function measureRow({ metric, models, comparisons }: MetricSummary): Markup {
  const values = models.map((value) =>
    value && html`${formatScore(value.value)} <small>${formatInterval(value)}</small>`
  );
  return html`
    <tr>
      <td>${inBoth(metric.title)} <small>${inBoth(
        text(({ better }) => better[metric.better ?? "none"]),
      )}</small></td>
      <td>${values[0]}</td>
      ${comparisons.map((comparison, i) =>
        html`
          <td>${values[i + 1]}</td>
          <td>${comparison && differenceMarkup(comparison)}</td>
          <td>${comparison && `${comparison.wins} / ${comparison.losses} / ${comparison.ties}`}</td>
        `
      )}
    </tr>
  `;
}

function differenceMarkup(comparison: Comparison): Markup {
  const { value, low, high } = comparison;
  const shown = html`${formatDifference(value)} <small>${formatInterval(comparison)}</small>`;
  return low > 0 || high < 0 ? html`<strong>${shown}</strong>` : shown;
}

function rowMarkup(row: EvalRowResult, { models, summaries }: EvalResult): Markup {
  const { where, question, reference } = row;
  const scores = JSON.stringify(row.models.map((model) => model.scores));
  return html`
    <article data-scores="${scores}">
      <h3>${describePlace(where)}</h3>
      <p class="text" dir="auto" lang="">${question}</p>
      <div class="replies">
        <div>
          <h4>${inBoth(text((words) => words.reference))}</h4>
          ${thinking(reference.think)}
          <p class="text answer" dir="auto" lang="">${reference.answer}</p>
        </div>
        ${row.models.map((model, i) =>
          replyMarkup(model, {
            name: models[i].name,
            reference: reference.answer,
            base: i === 0 ? undefined : row.models[0],
            summaries,
          })
        )}
      </div>
    </article>
  `;
}

function replyMarkup(
  { reply, scores, judged }: ModelReply,
  { name, reference, base, summaries }: {
    readonly name: string;
    readonly reference: string;
    /** What the first model made of the row; none for itself. */
    readonly base: ModelReply | undefined;
    readonly summaries: readonly MetricSummary[];
  },
): Markup {
  const figures = summaries.filter((each) => each.name in scores).map(({ name, metric }) => {
    const sign = metric.better === "higher" ? 1 : metric.better === "lower" ? -1 : 0;
    const gain = base === undefined ? 0 : sign * (scores[name] - base.scores[name]);
    const outcome = gain > 0 ? "win" : gain < 0 ? "loss" : "";
    return html`
      <span class="${outcome}">${inBoth(metric.title)} <b>${formatScore(scores[name])}</b></span>
    `;
  });
  return html`
    <div>
      <h4>${name}</h4>
      ${thinking(reply.think)}
      <p class="text answer" dir="auto" lang="">${markDifferences(reply.answer, reference)}</p>
      ${reply.finishReason === "length" &&
        html`<p class="note loss">${inBoth(text((words) => words.cut))}</p>`}
      ${judged !== undefined &&
        html`
          <details>
            <summary>${inBoth(text((words) => words.judged))}</summary>
            <p class="text" dir="auto" lang="">${judged}</p>
          </details>
        `}
      <p class="note scores">${figures}</p>
    </div>
  `;
}

function thinking(think: string): Markup | false {
  return think !== "" &&
    html`
      <details>
        <summary>${inBoth(text((words) => words.thinking))}</summary>
        <p class="text" dir="auto" lang="">${think}</p>
      </details>
    `;
}
