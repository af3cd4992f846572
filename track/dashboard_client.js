/**
 * The dashboard in the browser.
 *
 * In: rows of runs, from the data block of a report or, every second, from the server. Out: curves
 * and samples. All text goes in as text nodes: nothing of a run becomes markup.
 */

const WORDS = {
  en: {
    title: "Training runs",
    live: "live",
    lost: "the server does not answer",
    report: "report",
    log: "log scale",
    smoothing: "smoothing",
    run: "Run",
    step: "Step",
    epoch: "Epoch",
    train: "Train loss",
    evaluation: "Eval loss",
    best: "Best eval loss",
    speed: "Tokens/s",
    loss: "Loss",
    lossHint: "solid: training, dashed: evaluation; mean per supervised token",
    rate: "Learning rate",
    gradient: "Gradient norm",
    samples: "Samples",
    thinking: (count) => `Thinking (${count} characters)`,
    empty: "No runs yet: a run appears here with its first figures.",
    none: "no figures",
  },
  zh: {
    title: "训练运行",
    live: "实时更新",
    lost: "服务器无响应",
    report: "报告",
    log: "对数坐标",
    smoothing: "平滑",
    run: "运行",
    step: "步数",
    epoch: "轮次",
    train: "训练损失",
    evaluation: "验证损失",
    best: "最低验证损失",
    speed: "词元/秒",
    loss: "损失",
    lossHint: "实线：训练，虚线：验证；按监督词元平均",
    rate: "学习率",
    gradient: "梯度范数",
    samples: "样例",
    thinking: (count) => `思考（${count} 字）`,
    empty: "还没有运行：有了第一批数据后会显示在这里。",
    none: "没有数据",
  },
};

const language = navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
const words = WORDS[language];
const COLORS = 8;
const POLL_MS = 1000;
/** Samples shown a run: those of its last steps. */
const SHOWN_SAMPLES = 6;

/** Runs by name: { name, color, hidden, figures, samples, cursors }. */
const runs = new Map();
const view = { smoothing: 0.6, log: false, hover: undefined };

// ---- elements ----

function element(name, { classes, text, ...attributes } = {}, ...children) {
  const made = document.createElement(name);
  if (classes) made.className = classes;
  if (text !== undefined) made.textContent = text;
  Object.assign(made, attributes);
  made.append(...children);
  return made;
}

function shape(name, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

// ---- numbers ----

function format(value) {
  if (value === undefined) return "";
  if (value === null) return "NaN";
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size < 0.001 || size >= 1e7) return value.toExponential(2).replace(/\.?0+e/, "e");
  if (size >= 1000) return Math.round(value).toLocaleString("en");
  return String(Number(value.toPrecision(4)));
}

/** Points of a figure: [step, value] by rising step; a later row of a step replaces the earlier. */
function points(run, key) {
  const found = new Map();
  for (const row of run.figures) {
    // A skipped update's figures are not part of a curve.
    if (row[key] === undefined || row.skipped_updates !== undefined) continue;
    found.set(row.step, row[key]);
  }
  return [...found].sort((a, b) => a[0] - b[0]);
}

/** The exponential mean, without its bias to the first values, as TensorBoard smooths. */
function smooth(series, weight) {
  let mean = 0;
  let count = 0;
  return series.map(([step, value]) => {
    if (value === null) return [step, value];
    mean = mean * weight + value * (1 - weight);
    count++;
    return [step, mean / (1 - weight ** count)];
  });
}

/** At most four points a pixel column: its first, lowest, highest and last. */
function thin(series, columns) {
  if (series.length <= columns * 4) return series;
  const [first, last] = [series[0][0], series.at(-1)[0]];
  const kept = [];
  let column = [];
  let at = 0;
  const flush = () => {
    const finite = column.filter(([, value]) => value !== null);
    if (finite.length === 0) return;
    const low = finite.reduce((a, b) => b[1] < a[1] ? b : a);
    const high = finite.reduce((a, b) => b[1] > a[1] ? b : a);
    const four = new Set([finite[0], low, high, finite.at(-1)]);
    kept.push(...column.filter((point) => four.has(point)));
  };
  for (const point of series) {
    const here = Math.floor((point[0] - first) / (last - first || 1) * columns);
    if (here !== at) flush(), column = [], at = here;
    column.push(point);
  }
  flush();
  return kept;
}

function ticks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const found = [];
  for (let tick = Math.ceil(low / step - 1e-9) * step; tick <= high + step * 1e-9; tick += step) {
    found.push(Number(tick.toPrecision(12)));
  }
  return found;
}

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
];

function chart(definition) {
  const svg = shape("svg", { role: "img", "aria-label": definition.title });
  const tip = element("div", { classes: "tip", hidden: true });
  const caption = element("figcaption", { text: definition.title });
  if (definition.hint) caption.append(element("span", { text: definition.hint }));
  const figure = element("figure", { classes: definition.wide ? "wide" : "" }, caption, svg, tip);
  const made = { ...definition, svg, tip, figure };
  svg.addEventListener("pointermove", (event) => {
    view.hover = { chart: made, x: event.clientX - svg.getBoundingClientRect().left };
    draw(made);
  });
  svg.addEventListener("pointerleave", () => {
    view.hover = undefined;
    draw(made);
  });
  return made;
}

/** The curves of a chart's visible runs, as they are and smoothed. */
function curvesOf(definition) {
  return [...runs.values()].filter((run) => !run.hidden).flatMap((run) =>
    definition.curves.map((curve) => {
      const raw = points(run, curve.key);
      const smoothed = curve.smoothed && view.smoothing > 0 && raw.length > 2;
      return { ...curve, run, raw, line: smoothed ? smooth(raw, view.smoothing) : raw, smoothed };
    })
  ).filter(({ raw }) => raw.length > 0);
}

function draw(made) {
  const { svg, tip, wide, zero, title } = made;
  const width = svg.clientWidth || svg.parentElement.clientWidth - 30;
  if (width < 60) return;
  const height = wide ? 340 : 220;
  const log = made.log && view.log;
  const isDrawn = (value) => value !== null && (!log || value > 0);
  const curves = curvesOf(made);
  const all = curves.flatMap(({ raw }) => raw).filter(([, value]) => isDrawn(value));
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("height", height);
  svg.replaceChildren();
  svg.dataset.points = String(all.length);
  if (all.length === 0) {
    const place = { x: width / 2, y: height / 2, "text-anchor": "middle" };
    svg.append(shape("text", place, words.none));
    tip.hidden = true;
    return;
  }
  const area = { left: 54, right: width - 20, top: 12, bottom: height - 26 };
  let [low, high, first, last] = [Infinity, -Infinity, Infinity, -Infinity];
  for (const [step, value] of all) {
    low = Math.min(low, value);
    high = Math.max(high, value);
    first = Math.min(first, step);
    last = Math.max(last, step);
  }
  if (zero) low = Math.min(low, 0);
  if (first < last / 2 || first === last) first = 0;
  if (last === first) last = first + 1;
  if (high === low) high = low + (Math.abs(low) || 1) * 0.1;
  const margin = log ? (high / low) ** 0.04 : (high - low) * 0.04;
  high = log ? high * margin : high + margin;
  if (log) low /= margin;
  else low = low >= 0 ? Math.max(0, low - margin) : low - margin;
  const x = (step) => area.left + (step - first) / (last - first) * (area.right - area.left);
  const part = (value) =>
    log ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
  const y = (value) => area.bottom - part(value) * (area.bottom - area.top);

  for (const tick of log ? logTicks(low, high) : ticks(low, high, 5)) {
    const at = y(tick).toFixed(1);
    svg.append(
      shape("line", { class: "grid", x1: area.left, x2: area.right, y1: at, y2: at }),
      shape("text", { x: area.left - 8, y: Number(at) + 4, "text-anchor": "end" }, format(tick)),
    );
  }
  const room = Math.max(2, Math.floor(width / 110));
  for (const tick of ticks(first, last, room).filter(Number.isInteger)) {
    const place = { x: x(tick).toFixed(1), y: height - 8, "text-anchor": "middle" };
    svg.append(shape("text", place, tick.toLocaleString("en")));
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

  const path = (series) => {
    let d = "";
    let pen = "M";
    for (const [step, value] of thin(series, area.right - area.left)) {
      if (!isDrawn(value)) {
        pen = "M";
        continue;
      }
      d += `${pen}${x(step).toFixed(1)} ${y(value).toFixed(1)}`;
      pen = "L";
    }
    return d;
  };
  for (const { run, raw, line, smoothed, evaluation } of curves) {
    const color = `run-${run.color}`;
    if (smoothed) svg.append(shape("path", { class: `curve raw ${color}`, d: path(raw) }));
    const kind = evaluation ? "curve eval" : "curve";
    svg.append(shape("path", { class: `${kind} ${color}`, d: path(line) }));
    if (!evaluation && raw.length > 1) continue;
    for (const [step, value] of raw.length > 60 ? raw.slice(-1) : raw) {
      if (!isDrawn(value)) continue;
      svg.append(shape("circle", { class: `point ${color}`, cx: x(step), cy: y(value), r: 3.5 }));
    }
  }

  tip.hidden = view.hover?.chart !== made;
  if (tip.hidden) return;
  const wanted = first + (view.hover.x - area.left) / (area.right - area.left) * (last - first);
  const steps = new Set(curves.flatMap(({ raw }) => raw.map(([step]) => step)));
  const step = [...steps].reduce((a, b) => Math.abs(b - wanted) < Math.abs(a - wanted) ? b : a);
  const at = x(step);
  svg.append(shape("line", { class: "cursor", x1: at, x2: at, y1: area.top, y2: area.bottom }));
  tip.replaceChildren(element("div", { text: `${words.step} ${step} · ${title}` }));
  for (const { run, raw, evaluation } of curves) {
    const point = raw.findLast(([each]) => each <= step);
    if (point === undefined) continue;
    tip.append(element(
      "div",
      {},
      element("span", { classes: `swatch run-${run.color}` }),
      element("span", { classes: "name", text: evaluation ? `${run.name} (eval)` : run.name }),
      element("b", { text: format(point[1]) }),
    ));
  }
  const left = at > width / 2 ? Math.max(0, at - tip.offsetWidth) : at + 26;
  tip.style.left = `${left}px`;
}

// ---- page ----

const charts = CHARTS.map(chart);
const status = element("span", { classes: "status" });
const table = element("tbody");
const cards = element("div", { classes: "samples" });
const samplesPart = element(
  "section",
  { hidden: true },
  element("h2", { text: words.samples }),
  cards,
);
const empty = element("p", { classes: "empty", text: words.empty });
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
        ...["run", "step", "epoch", "train", "evaluation", "best", "speed"].map((key) =>
          element("th", { scope: "col", text: words[key] })
        ),
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
logScale.addEventListener("change", () => {
  view.log = logScale.checked;
  charts.forEach(draw);
});
smoothing.addEventListener("input", () => {
  view.smoothing = Number(smoothing.value);
  charts.forEach(draw);
});

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
  const last = (key) => points(run, key).at(-1)?.[1];
  const evaluations = points(run, "eval_token_loss").filter(([, value]) => value !== null);
  const best = evaluations.length > 0
    ? evaluations.reduce((a, b) => b[1] < a[1] ? b : a)
    : undefined;
  const cells = [
    run.figures.at(-1)?.step.toLocaleString("en"),
    last("epoch")?.toFixed(2),
    format(last("loss")),
    format(last("eval_token_loss")),
    best && `${format(best[1])} @ ${best[0]}`,
    format(last("tokens_per_second")),
  ];
  return element(
    "tr",
    { classes: run.hidden ? "hidden" : "" },
    element("td", {}, label),
    ...cells.map((text) => element("td", { text: text ?? "" })),
  );
}

function card(run, { step, question, think, answer }) {
  const heading = element(
    "h3",
    {},
    element("span", { classes: `swatch run-${run.color}` }),
    element("span", { classes: "name", text: `${run.name} · ${words.step} ${step}` }),
  );
  const made = element(
    "article",
    {},
    heading,
    element("div", { classes: "text question", dir: "auto", text: question }),
  );
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

/** Cards are made anew only when there are others: one that a reader has opened stays open. */
function renderSamples() {
  const visible = [...runs.values()].filter((run) => !run.hidden);
  const key = JSON.stringify(visible.map((run) => [run.name, run.version, run.samples.length]));
  if (key === shownSamples) return;
  shownSamples = key;
  cards.replaceChildren(
    ...visible.flatMap((run) =>
      run.samples.slice(-SHOWN_SAMPLES).reverse().map((sample) => card(run, sample))
    ),
  );
  samplesPart.hidden = cards.childElementCount === 0;
}

function render() {
  empty.hidden = runs.size > 0;
  runsPart.hidden = runs.size === 0;
  grid.hidden = runs.size === 0;
  const focused = [...table.rows].findIndex((each) => each.contains(document.activeElement));
  table.replaceChildren(...[...runs.values()].map(row));
  if (focused >= 0) table.rows[focused]?.querySelector("input").focus();
  charts.forEach(draw);
  renderSamples();
}

let colors = 0;

function addRun(name) {
  const cursors = { figures: "", samples: "" };
  const color = colors++ % COLORS;
  const run = { name, color, hidden: false, figures: [], samples: [], cursors, version: 0 };
  runs.set(name, run);
  return run;
}

const grid = element("div", { classes: "charts" }, ...charts.map(({ figure }) => figure));
document.documentElement.lang = language;
document.title = `ortune · ${words.title}`;
document.getElementById("dashboard").append(
  element(
    "header",
    {},
    element("h1", { text: words.title }),
    status,
    element("label", {}, logScale, words.log),
    element("label", {}, words.smoothing, smoothing),
  ),
  runsPart,
  empty,
  grid,
  samplesPart,
);
new ResizeObserver(() => charts.forEach(draw)).observe(grid);

// ---- data ----

async function ask(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return await response.json();
}

/** Takes what a run's files got; true if that is anything. */
async function update(run) {
  let changed = false;
  for (let more = true; more;) {
    const query = new URLSearchParams({ name: run.name, ...run.cursors });
    const found = await ask(`/api/run?${query}`);
    more = false;
    for (const key of ["figures", "samples"]) {
      const { rows, reset, cursor } = found[key];
      if (reset) {
        run[key] = [];
        run.version++;
      }
      run[key].push(...rows);
      run.cursors[key] = cursor;
      changed ||= reset || rows.length > 0;
      more ||= found[key].more;
    }
  }
  return changed;
}

async function poll() {
  let changed = false;
  try {
    const names = await ask("/api/runs");
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
  for (const { name, figures, samples } of JSON.parse(data.textContent)) {
    Object.assign(addRun(name), { figures, samples });
  }
  status.textContent = words.report;
  render();
} else {
  render();
  poll();
}
