/**
 * The page of a comparison of exports.
 *
 * In: the comparison. Out: one HTML document that needs nothing else and asks nobody for anything: its policy
 * allows its own style and script alone. All texts of models and files are escaped.
 */

import {
  type Bilingual,
  inBoth,
  LANGUAGE_SCRIPT,
  translateChart,
} from "../../train/track/bilingual.ts";
import type { ChartColorName } from "../../train/track/chart_colors.ts";
import { byteUnit, formatBytes, formatCount, formatLoss } from "../../train/track/format_units.ts";
import { html, type HtmlValue, type Markup } from "../../train/track/html.ts";
import { renderLineChart } from "../../train/track/line_chart.ts";
import { renderPage } from "../../train/track/page.ts";
import { markDifferences } from "../eval_report/mark_differences.ts";
import { REPLIES_STYLE } from "../eval_report/replies_style.ts";
import type { ComparedExport, ComparedExports } from "./compared_exports.ts";
import {
  formatChange,
  formatLogits,
  formatShare,
  greedyShare,
  llamaWords,
} from "./exports_table.ts";
import { exportsText as text } from "./exports_words.ts";

/** Each format's color in the chart. */
const COLORS: Readonly<Record<ComparedExport["format"], ChartColorName>> = {
  onnx: "train",
  gguf: "evaluation",
  hf: "speed",
};
const STYLE: string = `${REPLIES_STYLE}
main > .chart { margin-top: 16px; }
.figures td small { display: block; line-height: 1.3; }
.figures .missing { text-align: start; color: var(--soft); }
`;
/** Columns of figures behind the name. */
const FIGURES = 8;

/** Renders the page. */
export async function renderExports(result: ComparedExports): Promise<string> {
  const { checkpoint, parameters, perplexity, textTokens = 0, questions, exports } = result;
  const title = text((words) => words.title(checkpoint));
  const chart = await costChart(result);
  const smallest = exports.at(-1)!;
  return renderPage({
    title: title.en,
    heading: title,
    style: STYLE,
    script: LANGUAGE_SCRIPT,
    tiles: [
      [text((words) => words.exports), formatCount(exports.length)],
      [text((words) => words.parameters), formatCount(parameters)],
      [
        text((words) => words.checkpointPerplexity),
        perplexity === undefined ? undefined : formatLoss(perplexity),
      ],
      [text((words) => `${words.smallest}: ${smallest.name}`), formatBytes(smallest.bytes)],
    ],
    main: html`
      ${chart}
      <h2>${inBoth(text((words) => words.figures))}</h2>
      <div class="scroll" tabindex="0">${figureTable(result)}</div>
      ${questions &&
        html`<p class="note">${
          inBoth(text((words) =>
            words.legend(textTokens, questions.prompts.length, questions.greedyTokens)
          ))
        }</p>`}
      ${exports.some(({ llama }) => llama) &&
        html`<p class="note">${inBoth(text((words) => words.legendLlama))}</p>`}
      ${exports.some(({ compared }) => compared) && replySection(result)}
    `,
    footer: text((words) => words.writtenBy),
  });
}

/** Size against what it costs, a point an export; nothing where nothing was compared. */
async function costChart({ exports, bytes }: ComparedExports): Promise<HtmlValue> {
  const compared = exports.flatMap(({ compared, ...each }) =>
    compared ? [{ ...each, ...compared }] : []
  );
  if (compared.length === 0) return undefined;
  const { name, size } = byteUnit(Math.max(bytes, ...compared.map(({ bytes }) => bytes)));
  const [title, axis, unit] = [
    text((words) => words.chart),
    text((words) => words.chartSize(name)),
    text((words) => words.chartChange),
  ];
  const formats = [...new Set(compared.map(({ format }) => format))];
  const svg = await renderLineChart({
    title: title.en,
    axis: axis.en,
    unit: unit.en,
    series: formats.map((format) => {
      const own = compared.filter((each) => each.format === format);
      return {
        name: own[0].name.split(" ")[0],
        color: COLORS[format],
        scattered: true,
        points: own.map(({ name, bytes, change }) => ({
          step: bytes / size,
          value: 100 * change,
          label: name.split(" ").slice(1).join(" "),
        })),
      };
    }),
    format: (value) => `${Number(value.toPrecision(3))} %`,
    fromZero: true,
    width: 1000,
    height: 340,
    id: "cost",
  });
  return html`<figure class="chart wide">${translateChart(svg, [title, axis, unit])}</figure>`;
}

function figureTable({ bytes, bitsPerWeight, perplexity, exports }: ComparedExports): Markup {
  const names: readonly Bilingual[] = [
    text((words) => words.model),
    text((words) => words.size),
    text((words) => words.bits),
    text((words) => words.perplexity),
    text((words) => words.change),
    text((words) => words.logits),
    text((words) => words.likeliest),
    text((words) => words.greedy),
    text((words) => words.llama),
  ];
  return html`
    <table class="figures">
      <thead>
        <tr>${names.map((name) => html`<th scope="col">${inBoth(name)}</th>`)}</tr>
      </thead>
      <tbody>
        <tr>
          <td>${inBoth(text((words) => words.checkpoint))}</td>
          <td>${formatBytes(bytes)}</td>
          <td>${bitsPerWeight.toFixed(2)}</td>
          <td>${perplexity !== undefined && formatLoss(perplexity)}</td>
          <td colspan="${FIGURES - 3}"></td>
        </tr>
        ${exports.map(figureRow)}
      </tbody>
    </table>
  `;
}

function figureRow(each: ComparedExport): Markup {
  const { name, folder, bytes, bitsPerWeight, compared } = each;
  return html`
    <tr>
      <td>${name}${folder !== "" && html`
        <small dir="auto">${folder}</small>
      `}</td>
      <td>${formatBytes(bytes)}</td>
      <td>${bitsPerWeight.toFixed(2)}</td>
      ${compared
        ? html`
          <td>${formatLoss(compared.parity.perplexity.export)}</td>
          <td>${formatChange(compared.change)}</td>
          <td>${formatLogits(compared.parity.maxAbsolute)}
            <small>${formatLogits(compared.parity.meanAbsolute)}</small></td>
          <td>${share(compared.parity.positions.same, compared.parity.positions.all)}</td>
          <td>${share(...greedyShare({ compared }))}</td>
          <td>${inBoth(text((words) => llamaWords(words, each)))}</td>
        `
        : html`
          <td class="missing" colspan="${FIGURES - 2}">${inBoth(
            text((words) => words.notCompared(each)),
          )}</td>
        `}
    </tr>
  `;
}

/** A share, and what it is of. */
function share(same: number, all: number): Markup {
  return html`${formatShare(same, all)} <small>${same}/${all}</small>`;
}

function replySection({ questions, exports }: ComparedExports): Markup {
  return html`
    <h2>${inBoth(text((words) => words.replies))}</h2>
    <p class="note">${inBoth(text((words) => words.repliesLegend))}</p>
    ${questions!.prompts.map((prompt, i) => {
      const said = exports.flatMap(({ name, compared }) =>
        compared ? [{ name, text: compared.replies[i], same: compared.parity.greedy.same[i] }] : []
      );
      const alike = said.filter((each) => each.text === prompt.reply);
      return html`
        <article>
          <h4>${inBoth(text((words) => words.prompt))}</h4>
          <p class="text" dir="auto" lang="">${prompt.text}</p>
          <div class="replies">
            <div>
              <h4>${inBoth(text((words) => words.saidByCheckpoint))}</h4>
              <p class="text answer" dir="auto" lang="">${prompt.reply}</p>
              ${alike.length > 0 &&
                html`
                  <p class="note">${inBoth(text((words) => words.same))}: ${alike.map(({ name }) =>
                    name
                  ).join(" · ")}</p>
                `}
            </div>
            ${said.filter((each) => !alike.includes(each)).map((each) =>
              html`
                <div>
                  <h4>${each.name}</h4>
                  <p class="text answer" dir="auto" lang="">${markDifferences(
                    each.text,
                    prompt.reply,
                  )}</p>
                  <p class="note">${inBoth(
                    text((words) => words.sameTokens(each.same, questions!.greedyTokens)),
                  )}</p>
                </div>
              `
            )}
          </div>
        </article>
      `;
    })}
  `;
}
