/**
 * The dashboard in the browser.
 *
 * In: rows of runs, from the data block of a report or, every second, from the server. Out: curves
 * and samples. All text goes in as text nodes: nothing of a run becomes markup.
 */

/**
 * @typedef {import("./run_update.ts").Cursors} Cursors
 * @typedef {import("./run_update.ts").FigureName} FigureName
 * @typedef {import("./run_update.ts").FigureRow} FigureRow
 * @typedef {import("./run_update.ts").Measure} Measure
 * @typedef {import("./run_update.ts").RunData} RunData
 * @typedef {import("./run_update.ts").RunState} RunState
 * @typedef {import("./run_update.ts").RunUpdate} RunUpdate
 * @typedef {import("./run_update.ts").SampleRow} SampleRow
 */

/**
 * Points of a figure by their rising place on the horizontal axis; null for a value that is not finite.
 * @typedef {(readonly [place: number, value: number | null, step: number])[]} Series
 * @typedef {"step" | "epoch" | "share"} Axis
 * @typedef {{ low: number, high: number, positive: number, count: number, above: number }} Extent
 */

/**
 * A run: `version` counts how often its rows began anew, `cache` holds what is made of them.
 * @typedef {{
 *   name: string,
 *   color: number,
 *   hidden: boolean,
 *   state?: RunState,
 *   figures: FigureRow[],
 *   samples: SampleRow[],
 *   cursors: Cursors,
 *   version: number,
 *   cache: Map<string, unknown>,
 * }} Run
 */

/**
 * What a chart shows; `log`: whether it follows the switch to a logarithmic scale; `further`: whether it shows
 * what not every run has, and stands only where one has.
 * @typedef {{ key: FigureName, smoothed?: boolean, evaluation?: boolean }} CurveDefinition
 * @typedef {{
 *   title: string,
 *   hint?: string,
 *   wide?: boolean,
 *   log?: boolean,
 *   zero?: boolean,
 *   bytes?: boolean,
 *   further?: boolean,
 *   curves: readonly CurveDefinition[],
 * }} ChartDefinition
 */

/**
 * A chart and, while it shows any point, what it was drawn with.
 * @typedef {ReturnType<typeof curvesOf>} Curves
 * @typedef {{
 *   area: { left: number, right: number, top: number, bottom: number },
 *   width: number,
 *   first: number,
 *   last: number,
 *   x: (step: number) => number,
 *   y: (value: number) => number,
 *   isDrawn: (value: number | null) => value is number,
 *   curves: Curves,
 *   cursor: SVGGElement,
 * }} Drawn
 * @typedef {ChartDefinition & {
 *   svg: SVGSVGElement,
 *   tip: HTMLElement,
 *   figure: HTMLElement,
 *   drawn: Drawn | undefined,
 * }} Chart
 */

const EN = {
  title: "Training runs",
  live: "live",
  lost: "the server does not answer",
  report: "report",
  log: "log scale",
  smoothing: "smoothing",
  run: "Run",
  status: "Status",
  running: "running",
  silent: "no news for an hour",
  completed: "finished",
  "early-stopped": "stopped early",
  aborted: "aborted",
  failed: "failed",
  started: "Started",
  time: "Time",
  axis: "axis",
  share: "% of the run",
  step: "Step",
  epoch: "Epoch",
  train: "Train loss",
  evaluation: "Eval loss",
  perToken: "Per token",
  best: "Best eval loss",
  evaluated: "eval, per token",
  ofEval: "eval",
  speed: "Tokens/s",
  loss: "Loss",
  lossHint: "solid: training, dashed: evaluation; both per token, or per pair of replies",
  rate: "Learning rate",
  gradient: "Gradient norm",
  memory: "Memory",
  memoryHint: "resident, of the process",
  accuracy: "Accuracy of pairs",
  margin: "Margin of rewards",
  /** @param {Measure} measure */
  measure: ({ en }) => `Replies: ${en}`,
  all: "all runs",
  /** @param {string} title */
  read: (title) => `${title}: arrow keys read its values`,
  samples: "Samples",
  /** @param {number} count */
  thinking: (count) => `Thinking (${count} characters)`,
  empty: "No runs yet: a run appears here with its first figures.",
  none: "no figures",
};

/** @type {typeof EN} */
const ZH = {
  title: "训练运行",
  live: "实时更新",
  lost: "服务器无响应",
  report: "报告",
  log: "对数坐标",
  smoothing: "平滑",
  run: "运行",
  status: "状态",
  running: "运行中",
  silent: "一小时没有消息",
  completed: "已完成",
  "early-stopped": "提前停止",
  aborted: "已中断",
  failed: "失败",
  started: "开始时间",
  time: "用时",
  axis: "横轴",
  share: "运行进度 %",
  step: "步数",
  epoch: "轮次",
  train: "训练损失",
  evaluation: "验证损失",
  perToken: "按词元平均",
  best: "最低验证损失",
  evaluated: "验证，按词元平均",
  ofEval: "验证",
  speed: "词元/秒",
  loss: "损失",
  lossHint: "实线：训练，虚线：验证；均按词元平均，偏好数据则按回复对平均",
  rate: "学习率",
  gradient: "梯度范数",
  memory: "内存",
  memoryHint: "进程常驻内存",
  accuracy: "偏好对的准确率",
  margin: "奖励间隔",
  measure: ({ zh }) => `回答：${zh}`,
  all: "全部运行",
  read: (title) => `${title}：用方向键读取数值`,
  samples: "样例",
  thinking: (count) => `思考（${count} 字）`,
  empty: "还没有运行：有了第一批数据后会显示在这里。",
  none: "没有数据",
};

const language = navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
const words = language === "zh" ? ZH : EN;
const COLORS = 8;
const POLL_MS = 1000;
/** Samples shown a run: those of its last steps. */
const SHOWN_SAMPLES = 6;
/** A curve of so few points shows each: a short run would else be a stroke. */
const FEW_POINTS = 12;
/** @type {readonly Axis[]} */
const AXES = ["step", "epoch", "share"];

/**
 * Runs by name.
 * @type {Map<string, Run>}
 */
const runs = new Map();
/**
 * `hover`: the place that is read, and the chart that its values are shown in.
 * @type {{
 *   smoothing: number,
 *   log: boolean,
 *   axis: Axis,
 *   hover: { chart: Chart, step: number } | undefined,
 * }}
 */
const view = { smoothing: 0.6, log: false, axis: "step", hover: undefined };

// ---- elements ----

/**
 * @template {keyof HTMLElementTagNameMap} Name
 * @param {Name} name
 * @param {Partial<HTMLElementTagNameMap[Name]> & { classes?: string, text?: string }} [options]
 * @param {...(Node | string)} children
 */
function element(name, { classes, text, ...attributes } = {}, ...children) {
  const made = document.createElement(name);
  if (classes) made.className = classes;
  if (text !== undefined) made.textContent = text;
  Object.assign(made, attributes);
  made.append(...children);
  return made;
}

/**
 * @template {keyof SVGElementTagNameMap} Name
 * @param {Name} name
 * @param {Record<string, string | number>} attributes
 * @param {string} [text]
 */
function shape(name, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  if (text !== undefined) made.textContent = text;
  return made;
}

// ---- numbers ----

/** @param {number | null} [value] null for one that is not finite */
function format(value) {
  if (value === undefined) return "";
  if (value === null) return "NaN";
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size < 0.001 || size >= 1e7) return value.toExponential(2).replace(/\.?0+e/, "e");
  if (size >= 1000) return Math.round(value).toLocaleString("en");
  return String(Number(value.toPrecision(4)));
}

/**
 * A place on the horizontal axis.
 * @param {number} place
 */
function formatPlace(place) {
  if (view.axis === "step") return place.toLocaleString("en");
  return view.axis === "share" ? `${Number(place.toFixed(1))} %` : String(Number(place.toFixed(2)));
}

/**
 * Hours, minutes and seconds.
 * @param {number} milliseconds
 */
function formatTime(milliseconds) {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  /** @param {number} value */
  const two = (value) => String(Math.floor(value) % 60).padStart(2, "0");
  return `${Math.floor(seconds / 3600)}:${two(seconds / 60)}:${two(seconds)}`;
}

/** @param {number | null} [value] */
function formatBytes(value) {
  if (value === undefined || value === null) return format(value);
  const { size, unit } = byteUnit(value);
  return `${Number((value / size).toPrecision(3))} ${unit}`;
}

/**
 * The binary unit that a number of bytes is read in.
 * @param {number} bytes
 */
function byteUnit(bytes) {
  const power = Math.max(0, Math.min(4, Math.floor(Math.log2(Math.max(1, bytes)) / 10)));
  return { size: 1024 ** power, unit: ["B", "KiB", "MiB", "GiB", "TiB"][power] };
}

/**
 * What is made of a run's figures is made once, until there are others.
 * @template Made
 * @param {Run} run
 * @param {string} key
 * @param {() => Made} make
 */
function cached(run, key, make) {
  let entry = /** @type {Made | undefined} */ (run.cache.get(key));
  if (entry === undefined) run.cache.set(key, entry = make());
  return entry;
}

/**
 * Points of a figure by rising step; a later row of a step replaces the earlier.
 * @param {Run} run
 * @param {FigureName} key
 */
function points(run, key) {
  return cached(run, key, () => {
    /** @type {Map<number, Series[number]>} */
    const found = new Map();
    const last = run.figures.reduce((most, { step }) => Math.max(most, step), 1);
    for (const row of run.figures) {
      // A skipped update's figures are not part of a curve.
      if (row[key] === undefined || row.skipped_updates !== undefined) continue;
      const { step, epoch } = row;
      const place = { step, epoch: epoch ?? NaN, share: 100 * step / last }[view.axis];
      // Without its epoch a row has no place on that axis.
      if (Number.isFinite(place)) found.set(step, [place, row[key], step]);
    }
    return [...found.values()].sort((a, b) => a[2] - b[2]);
  });
}

/**
 * The smoothed points; of the weights that a slider passes, only the last is kept.
 * @param {Run} run
 * @param {FigureName} key
 */
function smoothedLine(run, key) {
  /** @type {{ weight: number, line: Series }} */
  const kept = cached(run, `${key} smooth`, () => ({ weight: NaN, line: [] }));
  if (kept.weight !== view.smoothing) {
    kept.weight = view.smoothing;
    kept.line = smooth(points(run, key), view.smoothing);
  }
  return kept.line;
}

/**
 * Lowest, highest and lowest positive value of a figure, and how many there are; NaNs left out.
 * @param {Run} run
 * @param {FigureName} key
 */
function extent(run, key) {
  return cached(run, `${key} extent`, () => {
    /** @type {Extent} */
    const found = { low: Infinity, high: -Infinity, positive: Infinity, count: 0, above: 0 };
    for (const [, value] of points(run, key)) {
      if (value === null) continue;
      found.count++;
      found.low = Math.min(found.low, value);
      found.high = Math.max(found.high, value);
      if (value <= 0) continue;
      found.above++;
      found.positive = Math.min(found.positive, value);
    }
    return found;
  });
}

/**
 * Where the last point up to a step is in a series; -1 for none.
 * @param {Series} series
 * @param {number} step
 */
function indexAt(series, step) {
  let [low, high] = [0, series.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (series[middle][0] <= step) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/**
 * The exponential mean, without its bias to the first values, as TensorBoard smooths; in a series of
 * many points the weight is that of a hundredth of it, as else a long run would stay a band of noise.
 * @param {Series} series
 * @param {number} weight
 * @returns {Series}
 */
function smooth(series, weight) {
  const each = weight ** Math.min(1, 100 / series.length);
  let mean = 0;
  let bias = 1;
  return series.map(([place, value, step]) => {
    if (value === null) return [place, value, step];
    mean = mean * each + value * (1 - each);
    bias *= each;
    return [place, mean / (1 - bias), step];
  });
}

/**
 * At most four points a pixel column: its first, lowest, highest and last, so that no peak is lost;
 * of a column without a value, its gap.
 * @param {Series} series
 * @param {number} columns
 */
function thin(series, columns) {
  if (series.length <= columns * 4) return series;
  const first = series[0][0];
  const width = (series[series.length - 1][0] - first) / columns || 1;
  /** @type {Series} */
  const kept = [];
  for (let from = 0, to = 0; from < series.length; from = to) {
    const column = Math.floor((series[from][0] - first) / width);
    let [start, low, high, end] = [-1, -1, -1, -1];
    let [lowest, highest] = [Infinity, -Infinity];
    for (to = from; to < series.length; to++) {
      const [step, value] = series[to];
      if (Math.floor((step - first) / width) !== column) break;
      if (value === null) continue;
      if (start < 0) start = to;
      if (value < lowest) [low, lowest] = [to, value];
      if (value > highest) [high, highest] = [to, value];
      end = to;
    }
    if (start < 0) kept.push(series[from]);
    else {for (const at of new Set([start, ...[low, high].sort((a, b) => a - b), end])) {
        kept.push(series[at]);
      }}
  }
  return kept;
}

/**
 * @param {number} low
 * @param {number} high
 * @param {number} count
 */
function ticks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough) ??
    10 * power;
  const found = [];
  for (let tick = Math.ceil(low / step - 1e-9) * step; tick <= high + step * 1e-9; tick += step) {
    found.push(Number(tick.toPrecision(12)));
  }
  return found;
}

/**
 * @param {number} low
 * @param {number} high
 */
function logTicks(low, high) {
  const found = [];
  const wide = Math.log10(high / low) > 3;
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
    for (const factor of wide ? [1] : [1, 2, 5]) {
      const tick = Number((factor * 10 ** power).toPrecision(3));
      if (tick >= low && tick <= high) found.push(tick);
    }
  }
  return found.length > 1 ? found : ticks(low, high, 4);
}

// ---- charts ----

/**
 * What replies may be measured by at evaluations.
 * @type {readonly Measure[]}
 */
const MEASURES = JSON.parse(document.getElementById("measures")?.textContent ?? "[]");

/** @type {readonly ChartDefinition[]} */
const CHARTS = [
  {
    title: words.loss,
    hint: words.lossHint,
    wide: true,
    log: true,
    curves: [{ key: "loss", smoothed: true }, { key: "eval_token_loss", evaluation: true }],
  },
  { title: words.rate, zero: true, curves: [{ key: "learning_rate" }] },
  { title: words.gradient, log: true, curves: [{ key: "grad_norm", smoothed: true }] },
  { title: words.speed, zero: true, curves: [{ key: "tokens_per_second", smoothed: true }] },
  {
    title: words.memory,
    hint: words.memoryHint,
    zero: true,
    bytes: true,
    curves: [{ key: "memory_bytes" }],
  },
  {
    title: words.accuracy,
    zero: true,
    further: true,
    curves: [
      { key: "rewards/accuracies", smoothed: true },
      { key: "eval_rewards/accuracies", evaluation: true },
    ],
  },
  {
    title: words.margin,
    further: true,
    curves: [
      { key: "rewards/margins", smoothed: true },
      { key: "eval_rewards/margins", evaluation: true },
    ],
  },
  ...MEASURES.map((measure) => ({
    title: words.measure(measure),
    zero: true,
    further: true,
    curves: [{ key: measure.key, evaluation: true }],
  })),
];

/** @param {ChartDefinition} definition */
function chart(definition) {
  const svg = shape("svg", {
    role: "img",
    "aria-label": words.read(definition.title),
    tabindex: 0,
  });
  const tip = element("div", { classes: "tip", hidden: true });
  const caption = element("figcaption", { text: definition.title });
  if (definition.hint) caption.append(element("span", { text: definition.hint }));
  const figure = element("figure", { classes: definition.wide ? "wide" : "" }, caption, svg, tip);
  /** @type {Chart} */
  const made = { ...definition, svg, tip, figure, drawn: undefined };
  svg.addEventListener("pointermove", (event) => {
    // A reader hears values asked for with keys, not each that a pointer passes.
    tip.ariaLive = "off";
    if (made.drawn === undefined) return;
    const { area, first, last } = made.drawn;
    const x = event.clientX - svg.getBoundingClientRect().left;
    hover(made, first + (x - area.left) / (area.right - area.left) * (last - first));
  });
  svg.addEventListener("pointerleave", () => hover());
  svg.addEventListener("blur", () => hover());
  svg.addEventListener("keydown", (event) => {
    if (made.drawn === undefined) return;
    const { first, last, curves } = made.drawn;
    const at = view.hover?.chart === made ? view.hover.step : undefined;
    const far = (last - first) / 20;
    const wanted = {
      ArrowLeft: () => at === undefined ? last : neighbour(curves, at, -1),
      ArrowRight: () => at === undefined ? first : neighbour(curves, at, 1),
      PageDown: () => (at ?? last) - far,
      PageUp: () => (at ?? first) + far,
      Home: () => first,
      End: () => last,
    }[event.key];
    if (event.key === "Escape") hover();
    if (wanted === undefined) return;
    event.preventDefault();
    tip.ariaLive = "polite";
    hover(made, wanted());
  });
  return made;
}

/**
 * Reads the step nearest to `wanted`, with a line through it in all charts.
 * @param {Chart} [made] none to read no step any more
 * @param {number} [wanted]
 */
function hover(made, wanted = 0) {
  const read = made?.drawn && { chart: made, step: nearest(made.drawn.curves, wanted) };
  if (view.hover?.chart === read?.chart && view.hover?.step === read?.step) return;
  view.hover = read;
  charts.forEach(drawHover);
}

/**
 * The step of any curve that is nearest to `wanted`.
 * @param {Curves} curves
 * @param {number} wanted
 */
function nearest(curves, wanted) {
  const near = curves.flatMap(({ raw }) => {
    const at = indexAt(raw, wanted);
    return raw.slice(Math.max(0, at), at + 2).map(([step]) => step);
  });
  return near.reduce((a, b) => Math.abs(b - wanted) < Math.abs(a - wanted) ? b : a);
}

/**
 * The next step of any curve, after or before `step`; itself at the end.
 * @param {Curves} curves
 * @param {number} step
 * @param {1 | -1} direction
 */
function neighbour(curves, step, direction) {
  const near = curves.flatMap(({ raw }) => {
    const here = indexAt(raw, step);
    const before = raw[here]?.[0] === step ? here - 1 : here;
    const at = direction > 0 ? here + 1 : before;
    return raw[at] === undefined ? [] : [raw[at][0]];
  });
  if (near.length === 0) return step;
  return direction > 0 ? Math.min(...near) : Math.max(...near);
}

/**
 * The curves of a chart's visible runs, as they are and smoothed.
 * @param {ChartDefinition} definition
 */
function curvesOf(definition) {
  return [...runs.values()].filter((run) => !run.hidden).flatMap((run) =>
    definition.curves.map((curve) => {
      const raw = points(run, curve.key);
      const smoothed = curve.smoothed && view.smoothing > 0 && raw.length > 2;
      const line = smoothed ? smoothedLine(run, curve.key) : raw;
      return { ...curve, run, raw, line, smoothed, bounds: extent(run, curve.key) };
    })
  ).filter(({ raw }) => raw.length > 0);
}

/** @param {Chart} made */
function draw(made) {
  const { svg, tip, figure, wide, zero, bytes } = made;
  const width = svg.clientWidth || figure.clientWidth - 30;
  if (width < 60) return;
  const height = wide ? 340 : 220;
  const log = made.log && view.log;
  /** @type {Drawn["isDrawn"]} */
  const isDrawn = (value) => value !== null && (!log || value > 0);
  const curves = curvesOf(made);
  const count = curves.reduce((sum, { bounds }) => sum + (log ? bounds.above : bounds.count), 0);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("height", String(height));
  svg.replaceChildren();
  svg.dataset.points = String(count);
  made.drawn = undefined;
  if (count === 0) {
    const place = { x: width / 2, y: height / 2, "text-anchor": "middle" };
    svg.append(shape("text", place, words.none));
    tip.hidden = true;
    return;
  }
  const area = { left: bytes ? 68 : 54, right: width - 20, top: 12, bottom: height - 26 };
  let low = Math.min(...curves.map(({ bounds }) => log ? bounds.positive : bounds.low));
  let high = Math.max(...curves.map(({ bounds }) => bounds.high));
  let first = Math.min(...curves.map(({ raw }) => raw[0][0]));
  let last = Math.max(...curves.map(({ raw }) => raw[raw.length - 1][0]));
  if (zero) low = Math.min(low, 0);
  if (first < last / 2 || first === last) first = 0;
  if (last === first) last = first + 1;
  if (high === low) high = low + (Math.abs(low) || 1) * 0.1;
  const margin = log ? (high / low) ** 0.04 : (high - low) * 0.04;
  high = log ? high * margin : high + margin;
  if (log) low /= margin;
  else low = low >= 0 ? Math.max(0, low - margin) : low - margin;
  /** @param {number} step */
  const x = (step) => area.left + (step - first) / (last - first) * (area.right - area.left);
  /** @param {number} value */
  const part = (value) =>
    log ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
  /** @param {number} value */
  const y = (value) => area.bottom - part(value) * (area.bottom - area.top);

  const { size, unit } = bytes ? byteUnit(high) : { size: 1, unit: undefined };
  const values = log ? logTicks(low, high) : ticks(low / size, high / size, wide ? 8 : 5);
  for (const tick of values) {
    const at = y(tick * size).toFixed(1);
    const label = unit === undefined ? format(tick) : `${format(tick)} ${unit}`;
    svg.append(
      shape("line", { class: "grid", x1: area.left, x2: area.right, y1: at, y2: at }),
      shape("text", { x: area.left - 8, y: Number(at) + 4, "text-anchor": "end" }, label),
    );
  }
  const room = Math.max(2, Math.floor(width / 110));
  const whole = view.axis === "step" ? Number.isInteger : () => true;
  for (const tick of ticks(first, last, room).filter(whole)) {
    const label = formatPlace(tick);
    // A label as long as it may be, some 7 pixels a character, stays within the chart.
    const at = Math.min(x(tick), width - label.length * 3.5 - 2);
    svg.append(shape("text", { x: at.toFixed(1), y: height - 8, "text-anchor": "middle" }, label));
  }
  svg.append(
    shape("line", {
      class: "axis",
      x1: area.left,
      x2: area.right,
      y1: area.bottom,
      y2: area.bottom,
    }),
  );

  // Lines are two pixels wide: finer columns would not be seen.
  const columns = Math.ceil((area.right - area.left) / 2);
  /** @param {Series} series */
  const path = (series) => {
    const parts = [];
    let pen = "M";
    for (const [step, value] of series) {
      if (!isDrawn(value)) {
        pen = "M";
        continue;
      }
      parts.push(`${pen}${x(step).toFixed(1)} ${y(value).toFixed(1)}`);
      pen = "L";
    }
    return parts.join("");
  };
  for (const { run, key, raw, line, smoothed, evaluation } of curves) {
    const color = `run-${run.color}`;
    const thinned = cached(run, `${key} thin ${columns}`, () => thin(raw, columns));
    if (smoothed) svg.append(shape("path", { class: `curve raw ${color}`, d: path(thinned) }));
    const kind = evaluation ? "curve eval" : "curve";
    const d = path(smoothed ? thin(line, columns) : thinned);
    svg.append(shape("path", { class: `${kind} ${color}`, d }));
    const few = evaluation || raw.length <= FEW_POINTS;
    for (const [step, value] of few ? raw.length > 60 ? raw.slice(-1) : raw : []) {
      if (!isDrawn(value)) continue;
      svg.append(shape("circle", { class: `point ${color}`, cx: x(step), cy: y(value), r: 3.5 }));
    }
    const end = raw[raw.length - 1];
    const state = run.state?.status;
    if (!evaluation && (state === "aborted" || state === "failed") && isDrawn(end[1])) {
      // A cross where it broke off.
      const at = `translate(${x(end[0]).toFixed(1)} ${y(end[1]).toFixed(1)})`;
      const cross = { class: `cross ${color}`, d: "M-7-7L7 7M-7 7L7-7", transform: at };
      svg.append(shape("path", cross));
    }
  }
  const cursor = shape("g", {});
  svg.append(cursor);
  made.drawn = { area, width, first, last, x, y, isDrawn, curves, cursor };
  drawHover(made);
}

/**
 * The line through the step that is read and, in the chart it is read in, the values there.
 * @param {Chart} made
 */
function drawHover(made) {
  const { tip, drawn, title, bytes, further } = made;
  const step = view.hover?.step;
  tip.hidden = drawn === undefined || view.hover?.chart !== made;
  if (drawn === undefined) return;
  const { area, width, first, last, x, y, isDrawn, curves, cursor } = drawn;
  cursor.replaceChildren();
  if (step === undefined || step < first || step > last) return;
  const at = x(step);
  cursor.append(shape("line", { class: "cursor", x1: at, x2: at, y1: area.top, y2: area.bottom }));
  if (tip.hidden) return;
  tip.replaceChildren(
    element("div", { text: `${words[view.axis]} ${formatPlace(step)} · ${title}` }),
  );
  for (const { run, raw, evaluation } of curves) {
    const [, value] = raw[indexAt(raw, step)] ?? [];
    if (value === undefined) continue;
    if (isDrawn(value)) {
      const place = { cx: at, cy: y(value), r: 3 };
      const there = raw[indexAt(raw, step)][0] === step;
      if (there) cursor.append(shape("circle", { class: `dot run-${run.color}`, ...place }));
    }
    tip.append(element(
      "div",
      {},
      element("span", { classes: `swatch run-${run.color}${evaluation ? " dashed" : ""}` }),
      element("span", {
        classes: "name",
        text: evaluation ? `${run.name} (${further ? words.ofEval : words.evaluated})` : run.name,
      }),
      element("b", { text: (bytes ? formatBytes : format)(value) }),
    ));
  }
  const left = at > width / 2 ? Math.max(0, at - tip.offsetWidth) : at + 26;
  tip.style.left = `${left}px`;
}

// ---- page ----

const COLUMNS = /** @type {const} */ ([
  "status",
  "started",
  "time",
  "step",
  "epoch",
  "train",
  "evaluation",
  "perToken",
  "best",
  "speed",
  "memory",
]);
const charts = CHARTS.map(chart);
const status = element("span", { classes: "status" });
const table = element("tbody");
const questionsPart = element("div");
const samplesPart = element(
  "section",
  { hidden: true },
  element("h2", { text: words.samples }),
  questionsPart,
);
const empty = element("p", { classes: "empty", text: words.empty });
const allRuns = element("input", { type: "checkbox", id: "all", ariaLabel: words.all });
allRuns.addEventListener("change", () => {
  for (const run of runs.values()) run.hidden = !allRuns.checked;
  render();
});
const runsPart = element(
  "div",
  { classes: "runs", hidden: true },
  element(
    "table",
    {},
    element(
      "thead",
      {},
      element(
        "tr",
        {},
        element("th", { scope: "col" }, element("label", {}, allRuns, words.run)),
        ...COLUMNS.map((key) => element("th", { scope: "col", text: words[key] })),
      ),
    ),
    table,
  ),
);
const logScale = element("input", { type: "checkbox", id: "log" });
const smoothing = element("input", {
  type: "range",
  id: "smoothing",
  min: "0",
  max: "0.99",
  step: "0.01",
  value: String(view.smoothing),
});
const smoothingValue = element("output", { text: view.smoothing.toFixed(2) });
logScale.addEventListener("change", () => {
  view.log = logScale.checked;
  charts.forEach(draw);
});
const axis = element(
  "select",
  { id: "axis" },
  ...AXES.map((value) => element("option", { value, text: words[value] })),
);
axis.addEventListener("change", () => {
  view.axis = AXES.find((each) => each === axis.value) ?? "step";
  hover();
  for (const run of runs.values()) run.cache.clear();
  charts.forEach(draw);
});
smoothing.addEventListener("input", () => {
  view.smoothing = Number(smoothing.value);
  smoothingValue.textContent = view.smoothing.toFixed(2);
  drawSoon(charts.filter(({ curves }) => curves.some(({ smoothed }) => smoothed)));
});

/**
 * Charts to draw before the browser shows its next frame, each once.
 * @type {Set<Chart>}
 */
const waiting = new Set();

/** @param {readonly Chart[]} which */
function drawSoon(which) {
  if (waiting.size === 0) {
    requestAnimationFrame(() => {
      const now = [...waiting];
      waiting.clear();
      now.forEach(draw);
    });
  }
  for (const each of which) waiting.add(each);
}

/**
 * How the run stands, since when, and for how long; empty where no run.json tells.
 * @param {Run} run
 */
function stateCells({ state }) {
  if (state === undefined) return ["", "", ""].map((text) => element("td", { text }));
  const { status, started, ended } = state;
  const began = new Date(started);
  const until = ended !== null ? Date.parse(ended) : status === "running" ? Date.now() : NaN;
  // Swedish writes dates as ISO 8601 does: short, and clear to readers of both languages.
  const date = began.toLocaleString("sv-SE", { dateStyle: "short", timeStyle: "short" });
  return [
    element("td", {}, element("span", { classes: `state ${status}`, text: words[status] })),
    element("td", { text: date, title: began.toISOString() }),
    element("td", { text: Number.isNaN(until) ? "" : formatTime(until - began.getTime()) }),
  ];
}

/** @param {Run} run */
function row(run) {
  const visible = element("input", { type: "checkbox", checked: !run.hidden });
  visible.addEventListener("change", () => {
    run.hidden = !visible.checked;
    render();
  });
  const label = element(
    "label",
    { title: run.name },
    visible,
    element("span", { classes: `swatch run-${run.color}` }),
    element("span", { classes: "name", text: run.name }),
  );
  /** @param {FigureName} key */
  const last = (key) => points(run, key).at(-1)?.[1];
  const { low } = extent(run, "eval_loss");
  const best = points(run, "eval_loss").find(([, value]) => value === low);
  const memory = extent(run, "memory_bytes").high;
  const cells = [
    run.figures.at(-1)?.step.toLocaleString("en"),
    last("epoch")?.toFixed(2),
    format(last("loss")),
    format(last("eval_loss")),
    format(last("eval_token_loss")),
    best && `${format(best[1])} @ ${best[2]}`,
    format(last("tokens_per_second")),
    memory > 0 ? formatBytes(memory) : "",
  ];
  return element(
    "tr",
    { classes: run.hidden ? "hidden" : "" },
    element("td", {}, label),
    ...stateCells(run),
    ...cells.map((text) => element("td", { text: text ?? "" })),
  );
}

/**
 * What a run's model said to a question that stands above.
 * @param {Run} run
 * @param {SampleRow} sample
 */
function card(run, { step, think, answer }) {
  const heading = element(
    "h4",
    {},
    element("span", { classes: `swatch run-${run.color}` }),
    element("span", { classes: "name", text: `${run.name} · ${words.step} ${step}` }),
  );
  const made = element("article", {}, heading);
  if (think !== "") {
    made.append(element(
      "details",
      {},
      element("summary", { text: words.thinking([...think].length) }),
      element("div", { classes: "text think", dir: "auto", text: think }),
    ));
  }
  made.append(element("div", { classes: "text answer", dir: "auto", text: answer }));
  return made;
}

let shownSamples = "";

/**
 * The answers to a question stand side by side. They are made anew only when there are others: a
 * card that a reader has opened stays open.
 */
function renderSamples() {
  const visible = [...runs.values()].filter((run) => !run.hidden);
  const key = JSON.stringify(visible.map((run) => [run.name, run.version, run.samples.length]));
  if (key === shownSamples) return;
  shownSamples = key;
  /** @type {Map<string, HTMLElement[]>} */
  const questions = new Map();
  for (const run of visible) {
    // Of the last step first; those of a step as they were asked.
    const shown = run.samples.slice(-SHOWN_SAMPLES).sort((a, b) => b.step - a.step);
    for (const sample of shown) {
      const answers = questions.get(sample.question) ?? [];
      questions.set(sample.question, [...answers, card(run, sample)]);
    }
  }
  questionsPart.replaceChildren(
    ...[...questions].flatMap(([question, answers]) => [
      element("h3", { classes: "text question", dir: "auto", text: question }),
      element("div", { classes: "samples" }, ...answers),
    ]),
  );
  samplesPart.hidden = questions.size === 0;
}

function render() {
  empty.hidden = runs.size > 0;
  runsPart.hidden = runs.size === 0;
  grid.hidden = runs.size === 0;
  const focused = [...table.rows].findIndex((each) => each.contains(document.activeElement));
  table.replaceChildren(...[...runs.values()].map(row));
  if (focused >= 0) table.rows[focused]?.querySelector("input")?.focus();
  const hidden = [...runs.values()].filter((run) => run.hidden).length;
  allRuns.checked = hidden === 0;
  allRuns.indeterminate = hidden > 0 && hidden < runs.size;
  for (const each of charts) {
    if (each.further) each.figure.hidden = curvesOf(each).length === 0;
    draw(each);
  }
  renderSamples();
}

let colors = 0;

/** @param {string} name */
function addRun(name) {
  /** @type {Run} */
  const run = {
    name,
    color: colors++ % COLORS,
    hidden: false,
    figures: [],
    samples: [],
    cursors: { figures: "", samples: "" },
    version: 0,
    cache: new Map(),
  };
  runs.set(name, run);
  return run;
}

const grid = element("div", { classes: "charts" }, ...charts.map(({ figure }) => figure));
document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
document.title = `ortune · ${words.title}`;
document.getElementById("dashboard")?.append(
  element(
    "header",
    {},
    element("h1", { text: words.title }),
    status,
    element("label", {}, words.axis, axis),
    element("label", {}, logScale, words.log),
    element("label", {}, words.smoothing, smoothing, smoothingValue),
  ),
  runsPart,
  empty,
  grid,
  samplesPart,
);
new ResizeObserver(() => drawSoon(charts)).observe(grid);

// ---- data ----

/**
 * @param {string} path
 * @returns {Promise<unknown>}
 */
async function ask(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return await response.json();
}

/**
 * Takes what a run's files got; true if that is anything.
 * @param {Run} run
 */
async function update(run) {
  let changed = false;
  for (let more = true; more;) {
    const query = new URLSearchParams({ name: run.name, ...run.cursors });
    const { state, figures, samples } = /** @type {RunUpdate} */ (
      await ask(`/api/run?${query}`)
    );
    changed = JSON.stringify(state) !== JSON.stringify(run.state) || changed;
    run.state = state;
    changed = take(run, run.figures, figures) || changed;
    changed = take(run, run.samples, samples) || changed;
    run.cursors = { figures: figures.cursor, samples: samples.cursor };
    more = figures.more || samples.more;
  }
  return changed;
}

/**
 * Takes what one of a run's files got into its rows; true if that is anything.
 * @template Row
 * @param {Run} run
 * @param {Row[]} rows
 * @param {import("./run_update.ts").NewRows<Row>} found
 */
function take(run, rows, found) {
  if (found.reset) {
    rows.length = 0;
    run.version++;
  }
  for (const row of found.rows) rows.push(row);
  const changed = found.reset || found.rows.length > 0;
  if (changed) run.cache.clear();
  return changed;
}

async function poll() {
  let changed = false;
  try {
    const names = /** @type {readonly string[]} */ (await ask("/api/runs"));
    for (const name of [...runs.keys()].filter((each) => !names.includes(each))) {
      runs.delete(name);
      changed = true;
    }
    for (const name of names) if (!runs.has(name)) addRun(name);
    for (const run of runs.values()) changed = await update(run) || changed;
    status.className = "status live";
    status.textContent = words.live;
  } catch {
    status.className = "status lost";
    status.textContent = words.lost;
  }
  if (changed) render();
  setTimeout(poll, POLL_MS);
}

const data = document.getElementById("data");
if (data) {
  const reported = /** @type {readonly RunData[]} */ (JSON.parse(data.textContent));
  for (const { name, state, figures, samples } of reported) {
    const run = addRun(name);
    run.state = state;
    run.figures = [...figures];
    run.samples = [...samples];
  }
  status.textContent = words.report;
  render();
} else {
  render();
  poll();
}
