/**
 * The report of a run: one HTML file.
 *
 * In: the summary, figures and samples of a run. Out: the text of a page that needs nothing else: no
 * request, charts within. Its content security policy allows its one style sheet and the few lines that
 * put Chinese texts in the place of English ones, by hash, and nothing more, so that even markup that
 * got past the escaping would do nothing.
 *
 * @module
 */

import { metricNames } from "../../infer/evaluate/metrics.ts";
import { comparableLoss } from "./comparable_loss.ts";
import { type Bilingual, inBoth, LANGUAGE_SCRIPT, translateChart } from "./bilingual.ts";
import type { EndEvent, EvaluateEvent, LogEvent } from "../events.ts";
import {
  byteUnit,
  formatBytes,
  formatCount,
  formatDate,
  formatDuration,
  formatLearningRate,
  formatLoss,
  formatRate,
} from "./format_units.ts";
import { html, Markup } from "./html.ts";
import type { HtmlValue } from "./html.ts";
import { renderLineChart } from "./line_chart.ts";
import type { ChartPoint, LineChartOptions } from "./line_chart.ts";
import { renderLossChart } from "./loss_chart.ts";
import { type Page, renderPage } from "./page.ts";
import { REPORT_STYLE } from "./report_style.ts";
import {
  CHART_WORDS,
  figureAt,
  measureWords,
  REPORT_WORDS as words,
  sampleWords,
  STATUS_WORDS,
  thinkingWords,
} from "./report_words.ts";

/** What a run was; rows without a value are left out of the report. */
export interface ReportSummary {
  /** Name or folder of the model it started from. */
  readonly model?: string;
  /** Such as "full" or "lora, rank 8". */
  readonly method?: string;
  /** Where it ran, such as "CPU" or a GPU's name. */
  readonly device?: string;
  /** Parameters of the model. */
  readonly parameters?: number;
  /** Parameters that training changes. */
  readonly trainableParameters?: number;
  /** Rows trained on. */
  readonly trainRows?: number;
  /** Rows held back for evaluation, that is, for validation. */
  readonly evalRows?: number;
  /** Tokens of one pass over the training rows. */
  readonly tokens?: number;
  /** Passes over the training rows. */
  readonly epochs?: number;
  /** Updates made. */
  readonly steps?: number;
  /** How it ended. */
  readonly status?: EndEvent["reason"];
  /** When it was started, as ISO 8601. */
  readonly started?: string;
  /** Time of the whole run. */
  readonly seconds?: number;
  /** Real tokens trained on, a second. */
  readonly tokensPerSecond?: number;
  /** Most memory in use, in bytes. */
  readonly peakMemory?: number;
  /** Mean training loss of the whole run. */
  readonly trainLoss?: number;
  /** Folder of the weights that the run leaves. */
  readonly checkpoint?: string;
  /** The command that repeats the run. */
  readonly command?: string;
}

/** A question and what the model said to it. */
export interface ReportSample {
  /** What the user asks. */
  readonly question: string;
  /** What the model thought before it answered. */
  readonly think?: string;
  /** What the model said, without its thinking. */
  readonly answer: string;
  /** The answer that the data gives. */
  readonly reference?: string;
  /** After which update. */
  readonly step?: number;
}

/** What {@linkcode renderReport} shows. Any text in it may be hostile. */
export interface ReportData {
  /** Heading of the page. */
  readonly title: string;
  /** Language of the title and samples, as a BCP 47 tag. @default {""} unknown */
  readonly language?: string;
  /** What the run was. */
  readonly summary: ReportSummary;
  /** Log events of the run, or lines of its metrics log. */
  readonly logs: readonly Omit<LogEvent, "type">[];
  /** Evaluate events of the run, in order. */
  readonly evaluations: readonly Omit<EvaluateEvent, "type">[];
  /** What the trained model says. */
  readonly samples?: readonly ReportSample[];
  /** What a reader should know, such as rows that were truncated. */
  readonly notes?: readonly string[];
  /** Versions by name: of ortune, Deno, ONNX Runtime, the operating system. */
  readonly versions?: Readonly<Record<string, string>>;
}

type Evaluation = Omit<EvaluateEvent, "type">;

const WIDE = { width: 1000, height: 400 };
const NARROW = { width: 480, height: 240 };

/**
 * Makes the report of a run, for light and dark screens and for print. The same input gives the
 * same bytes. Needs no permissions.
 *
 * @returns a whole HTML document.
 *
 * @example
 * ```ts
 * import { renderReport } from "@ortune/ortune/track";
 * import assert from "node:assert/strict";
 *
 * const page = await renderReport({
 *   title: "Qwen3 on <medical> data",
 *   summary: { model: "Qwen/Qwen3-0.6B", steps: 2 },
 *   logs: [],
 *   evaluations: [],
 * });
 * assert.match(page, /Qwen3 on &lt;medical&gt; data/);
 * ```
 */
export async function renderReport(data: ReportData): Promise<string> {
  const { title, language = "", samples = [], notes = [], versions = {} } = data;
  const charts = await renderCharts(data);
  return renderPage({
    ...{ title, language, style: REPORT_STYLE, script: LANGUAGE_SCRIPT, tiles: tiles(data) },
    main: html`
      ${section(words.run, definitions(summaryRows(data)))}
      ${section(words.curves, charts.length > 0 && html`<div class="charts">${charts}</div>`)}
      ${section(words.evaluations, evaluationTable(data))}
      ${section(words.samples, samples.map((sample, index) => sampleCard(sample, index, language)))}
      ${section(
        words.notes,
        notes.length > 0 &&
          html`<ul lang="en">${notes.map((note) => html`<li dir="auto">${note}</li>`)}</ul>`,
      )}
      ${section(words.versions, definitions(versionRows(versions)))}
    `,
    footer: words.writtenBy,
  });
}

/** A section with its heading; nothing where there is nothing to show. */
function section(heading: Bilingual, content: HtmlValue): HtmlValue {
  if (content === false || content === undefined) return undefined;
  if (Array.isArray(content) && content.length === 0) return undefined;
  return html`
    <section>
    <h2>${inBoth(heading)}</h2>
    ${content}
    </section>
  `;
}

/** The few figures that a reader looks for first. */
function tiles({ summary, logs, evaluations }: ReportData): Page["tiles"] {
  const log = logs.at(-1);
  const evaluation = evaluations.at(-1);
  return [
    [words.status, statusOf(summary)],
    [words.lastLoss, log && formatLoss(log.loss)],
    [words.lastEvalLoss, evaluation && formatLoss(evaluation.evalLoss)],
    [words.perplexity, evaluation && formatLoss(Math.exp(evaluation.evalTokenLoss))],
    [words.time, summary.seconds === undefined ? undefined : formatDuration(summary.seconds)],
    [
      words.speed,
      summary.tokensPerSecond === undefined ? undefined : formatRate(summary.tokensPerSecond),
    ],
  ];
}

/** How the run ended; an aborted one is marked. */
function statusOf({ status }: ReportSummary): Markup | undefined {
  return status && html`<span class="${status}">${inBoth(STATUS_WORDS[status])}</span>`;
}

function summaryRows({ summary: run, logs, evaluations }: ReportData): [HtmlValue, HtmlValue][] {
  const log = logs.at(-1);
  const evaluation = evaluations.at(-1);
  const best = bestOf(evaluations);
  const rows: [Bilingual, HtmlValue][] = [
    [words.status, statusOf(run)],
    [words.started, run.started && formatDate(run.started)],
    [words.time, show(run.seconds, formatDuration)],
    [words.model, run.model],
    [words.method, run.method === "full" ? inBoth(words.full) : run.method],
    [words.device, run.device],
    [words.parameters, show(run.parameters, formatCount)],
    [words.trainable, trainable(run)],
    [words.trainingRows, show(run.trainRows, formatCount)],
    [words.validationRows, show(run.evalRows, formatCount)],
    [words.trainingTokens, show(run.tokens, formatCount)],
    [words.epochs, run.epochs],
    [words.steps, show(run.steps, formatCount)],
    [words.speed, show(run.tokensPerSecond, formatRate)],
    [words.peakMemory, show(run.peakMemory, formatBytes)],
    [words.loggedMemory, show(mostMemory(logs), formatBytes)],
    [words.meanLoss, show(run.trainLoss, formatLoss)],
    [words.lastLoss, show(log?.loss, formatLoss)],
    [words.lastEvalLoss, show(evaluation?.evalLoss, formatLoss)],
    [words.bestEvalLoss, best && inBoth(figureAt(formatLoss(best.evalLoss), best.step))],
    [words.lastPerToken, show(evaluation?.evalTokenLoss, formatLoss)],
    [words.perplexity, evaluation && formatLoss(Math.exp(evaluation.evalTokenLoss))],
    [words.checkpoint, run.checkpoint && html`<code>${run.checkpoint}</code>`],
    [words.command, run.command && html`<pre><code>${run.command}</code></pre>`],
  ];
  return rows.filter(([, value]) => value !== undefined && value !== "")
    .map(([name, value]) => [inBoth(name), value]);
}

/** The most that the process had at a log line: a peak between two is not seen. */
function mostMemory(logs: ReportData["logs"]): number | undefined {
  return logs.reduce<number | undefined>(
    (most, { memoryBytes }) => memoryBytes === undefined ? most : Math.max(most ?? 0, memoryBytes),
    undefined,
  );
}

/** The evaluation of the lowest loss, the earliest of equals. */
function bestOf(evaluations: readonly Evaluation[]): Evaluation | undefined {
  return evaluations.reduce<Evaluation | undefined>(
    (best, one) => one.evalLoss < (best?.evalLoss ?? Infinity) ? one : best,
    undefined,
  );
}

function show(
  value: number | undefined,
  format: (value: number) => string,
): string | undefined {
  return value === undefined ? undefined : format(value);
}

function trainable({ parameters, trainableParameters }: ReportSummary): string | undefined {
  if (trainableParameters === undefined) return undefined;
  const count = formatCount(trainableParameters);
  if (parameters === undefined || !(parameters > 0)) return count;
  return `${count} (${(trainableParameters / parameters * 100).toPrecision(3)} %)`;
}

function versionRows(versions: NonNullable<ReportData["versions"]>): [HtmlValue, string][] {
  return Object.entries(versions).map((
    [name, version],
  ) => [name === "system" ? inBoth(words.system) : name, version]);
}

function definitions(rows: readonly (readonly [HtmlValue, HtmlValue])[]): HtmlValue {
  return rows.length > 0 && html`
    <table class="facts">
      <tbody>
    ${rows.map(([name, value]) =>
      html`
        <tr>
          <th scope="row">${name}</th>
          <td dir="auto">${value}</td>
        </tr>
      `
    )}</tbody>
    </table>
  `;
}

function evaluationTable({ evaluations }: ReportData): HtmlValue {
  if (evaluations.length === 0) return undefined;
  const best = bestOf(evaluations);
  return html`
    <div class="scroll" tabindex="0">
      <table class="figures">
        <thead>
          <tr>${[
            words.step,
            words.epoch,
            words.evalLoss,
            words.perToken,
            words.perplexity,
            words.examples,
            words.time,
          ].map((name) => html`<th scope="col">${inBoth(name)}</th>`)}</tr>
        </thead>
        <tbody>
    ${evaluations.map((one) =>
      html`
        <tr${one === best && new Markup(' class="best"')}>
          <td>${one.step}</td>
          <td>${one.epoch.toFixed(2)}</td>
          <td>${formatLoss(one.evalLoss)}</td>
          <td>${formatLoss(one.evalTokenLoss)}</td>
          <td>${formatLoss(Math.exp(one.evalTokenLoss))}</td>
          <td>${formatCount(one.examples)}</td>
          <td>${formatDuration(one.seconds)}</td>
          </tr>
      `
    )}</tbody>
      </table>
    </div>
  `;
}

function sampleCard(sample: ReportSample, index: number, language: string): Markup {
  const { question, think, answer, reference, step } = sample;
  return html`
    <article>
    <h3>${inBoth(sampleWords(index, step))}</h3>
    <h4>${inBoth(words.question)}</h4>
    <div class="text" dir="auto" lang="${language}">${question}</div>
    ${think !== undefined && think !== "" &&
      html`
        <details>
          <summary>${inBoth(thinkingWords(formatCount([...think].length)))}</summary>
          <div class="text" dir="auto" lang="${language}">${think}</div>
        </details>
      `}
    <h4>${inBoth(words.answer)}</h4>
    <div class="text answer" dir="auto" lang="${language}">${answer}</div>
    ${reference !== undefined &&
      html`
        <details>
          <summary>${inBoth(words.reference)}</summary>
          <div class="text" dir="auto" lang="${language}">${reference}</div>
        </details>
      `}
    </article>
  `;
}

/** The loss over each axis, of which radio buttons show one: the style sheet does, without a script. */
async function lossFigure({ logs, evaluations }: ReportData): Promise<Markup> {
  type Placed = Pick<LogEvent, "step" | "epoch">;
  const last = [...logs, ...evaluations].reduce((most, { step }) => Math.max(most, step), 1);
  const axes = [
    { id: "step", name: words.byStep, place: ({ step }: Placed) => step },
    { id: "epoch", name: words.byEpoch, place: ({ epoch }: Placed) => epoch },
    { id: "share", name: words.byShare, place: ({ step }: Placed) => 100 * step / last },
  ];
  const charts: Markup[] = [];
  for (const { id, name, place } of axes) {
    const svg = await renderLossChart({
      ...WIDE,
      title: "Loss",
      id: `loss-${id}`,
      axis: name.en,
      train: logs.map((log) => ({ step: place(log), loss: log.loss })),
      eval: evaluations.map((one) => ({ step: place(one), loss: comparableLoss(one) })),
    });
    charts.push(html`<div class="over ${id}">${translateChart(svg, CHART_WORDS)}</div>`);
  }
  return html`
    <figure class="chart wide">
      <fieldset>
        <legend>${inBoth(words.lossBy)}</legend>
        ${axes.map(({ id, name }) =>
          html`<label><input type="radio" name="axis" value="${id}"${
            id === "step" && new Markup(" checked")
          }> ${inBoth(name)}</label>`
        )}
      </fieldset>
      ${charts}
      <figcaption>${inBoth(words.lossCaption)}</figcaption>
    </figure>
  `;
}

async function renderCharts(data: ReportData): Promise<Markup[]> {
  const { logs, evaluations } = data;
  const figures: Markup[] = [];
  if (logs.length + evaluations.length > 0) figures.push(await lossFigure(data));
  const others = [...logs.length > 0 ? logCharts(logs) : [], ...measureCharts(evaluations)];
  for (const options of others) {
    const svg = await renderLineChart({ ...NARROW, ...options });
    figures.push(html`<figure class="chart">${translateChart(svg, CHART_WORDS)}</figure>`);
  }
  return figures;
}

type NarrowChart = Omit<LineChartOptions, "width" | "height">;

function logCharts(logs: ReportData["logs"]): NarrowChart[] {
  const points = (value: (log: Omit<LogEvent, "type">) => number): ChartPoint[] =>
    logs.map((log) => ({ step: log.step, value: value(log) }));
  const charts: NarrowChart[] = [
    {
      id: "rate",
      title: "Learning rate",
      series: [{
        name: "learning rate",
        color: "learningRate",
        points: points((log) => log.learningRate),
      }],
      format: (value) => formatLearningRate(value).replace(/\.?0+e/, "e"),
      fromZero: true,
    },
    {
      id: "gradient",
      title: "Gradient norm",
      series: [{
        name: "gradient norm",
        color: "gradNorm",
        points: points((log) => log.gradNorm),
        width: 1.5,
      }],
      format: (value) => String(Number(value.toPrecision(3))),
      fromZero: true,
    },
    {
      id: "speed",
      title: "Tokens a second",
      series: [{
        name: "tokens a second",
        color: "speed",
        points: points((log) => log.tokensPerSecond),
        width: 1.5,
      }],
      format: formatCount,
      fromZero: true,
    },
  ];
  const most = mostMemory(logs);
  if (most !== undefined) {
    // In the unit of the largest size ticks are round.
    const { name, size } = byteUnit(most);
    charts.push({
      id: "memory",
      title: "Memory",
      series: [{
        name: "memory",
        color: "memory",
        points: points(({ memoryBytes = NaN }) => memoryBytes / size),
      }],
      format: (value) => `${Number(value.toPrecision(3))} ${name}`,
      fromZero: true,
    });
  }
  return charts;
}

/** A chart for each measure of replies that were generated at evaluations. */
function measureCharts(evaluations: readonly Evaluation[]): NarrowChart[] {
  return metricNames.flatMap((name) => {
    const points = evaluations.flatMap(({ step, figures }) =>
      figures && name in figures ? [{ step, value: figures[name] }] : []
    );
    if (points.length === 0) return [];
    return [{
      id: `measure-${name}`,
      title: measureWords(name).en,
      series: [{ name, color: "evaluation", points, markers: true }],
      format: (value: number) => String(Number(value.toPrecision(3))),
      fromZero: true,
    }];
  });
}
