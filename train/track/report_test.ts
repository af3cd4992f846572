import assert from "node:assert/strict";
import { LANGUAGE_SCRIPT } from "./bilingual.ts";
import { renderReport } from "./report.ts";
import type { ReportData } from "./report.ts";
import { REPORT_STYLE } from "./report_style.ts";

const log = {
  step: 5,
  epoch: 0.5,
  loss: 1.5,
  gradNorm: 2,
  learningRate: 1e-4,
  tokensPerSecond: 1000,
  memoryBytes: 3 * 2 ** 29,
};
const evaluation = {
  step: 10,
  epoch: 1,
  evalLoss: 1.25,
  evalTokenLoss: Math.LN2,
  examples: 20,
  supervisedTokens: 4000,
  seconds: 65,
};

/** A report with `text` wherever text goes. */
function withText(text: string): ReportData {
  return {
    title: text,
    language: text,
    summary: {
      ...{ model: text, method: text, device: text, checkpoint: text, command: text },
      ...{ status: "aborted", started: "2026-11-28T12:41:38Z" },
    },
    logs: [log, { ...log, step: 10 }],
    evaluations: [evaluation],
    samples: [{ question: text, think: text, answer: text, reference: text }],
    notes: [text, text],
    versions: { [text]: text },
  };
}

// First in the file, so that echarts is loaded here, with all permissions taken away.
Deno.test({
  name: "renderReport() needs no permissions",
  permissions: "none",
  async fn() {
    assert.match(await renderReport(withText("x")), /^<!DOCTYPE html>/);
  },
});

const HOSTILE = [
  "<script>alert(1)</script>",
  "</script><script>alert(1)</script>",
  "</style><script>alert(1)</script>",
  "</title><script>alert(1)</script>",
  "</textarea><script>alert(1)</script>",
  "--><script>alert(1)</script>",
  "]]><script>alert(1)</script>",
  "<!--<script>alert(1)//-->",
  "<img src=x onerror=alert(1)>",
  "<img src=`x` onerror=alert(1)>",
  "<svg onload=alert(1)>",
  "<svg/onload=alert(1)//",
  "<svg><script>alert&#40;1)</script>",
  "<math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
  '"><script>alert(1)</script>',
  "'><script>alert(1)</script>",
  "` onmouseover=alert(1) x=`",
  '" onmouseover="alert(1)',
  "' onmouseover='alert(1)",
  '" autofocus onfocus="alert(1)" x="',
  "<iframe src=javascript:alert(1)>",
  "<iframe srcdoc='<script>alert(1)</script>'>",
  "<a href=javascript:alert(1)>x</a>",
  "<object data=javascript:alert(1)>",
  "<embed src=javascript:alert(1)>",
  "<form action=javascript:alert(1)><button>x</button></form>",
  "<input autofocus onfocus=alert(1)>",
  "<details open ontoggle=alert(1)>",
  "<details><summary>",
  "</details></article></section></main></body></html>",
  "<base href=https://example.com/>",
  "<meta http-equiv=refresh content='0;url=https://example.com/'>",
  "<link rel=stylesheet href=https://example.com/x.css>",
  "<style>*{display:none}</style>",
  "<body onload=alert(1)>",
  "<template><script>alert(1)</script></template>",
  "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
  "<xmp><script>alert(1)</script></xmp>",
  "<plaintext>",
  "<scr\u0000ipt>alert(1)</scr\u0000ipt>",
  "\u0000<script>alert(1)</script>",
  "<\u0000script>",
  "\ud800<script>alert(1)</script>\udc00",
  "\u202e<script>alert(1)</script>",
  "\ufeff<script>alert(1)</script>",
  "&lt;script&gt;alert(1)&lt;/script&gt;",
  "&#60;script&#62;",
  "<<script>script>alert(1)<</script>/script>",
  "${alert(1)}",
  "{{constructor.constructor('alert(1)')()}}",
  "$& $` $' $1 $<x>",
  "+ADw-script+AD4-alert(1)+ADw-/script+AD4-",
  "<think>\n</think><|im_end|>",
];

/** The only script of a page, which its policy allows by its hash. */
const OWN_SCRIPT = `<script>${LANGUAGE_SCRIPT}</script>`;

/** The tags of a page without what is written in attributes: its structure. */
function tagsOf(page: string): string[] {
  return (page.match(/<[^>]*>/g) ?? []).map((tag) => tag.replace(/="[^"]*"/g, ""));
}

Deno.test("renderReport() renders hostile text inert, wherever it stands", async () => {
  const plain = tagsOf((await renderReport(withText("x"))).replace(OWN_SCRIPT, ""));
  for (const text of HOSTILE) {
    const page = (await renderReport(withText(text))).replace(OWN_SCRIPT, "");
    assert.deepEqual(tagsOf(page), plain, text);
    assert.doesNotMatch(page, /<script|<iframe|<img/i, text);
    // deno-lint-ignore no-control-regex -- NUL is what must not be there
    assert.doesNotMatch(page, /\u0000/, text);
    assert.ok(page.isWellFormed(), text);
  }
});

Deno.test("renderReport() writes the whole text of samples, line breaks included", async () => {
  const page = await renderReport({
    title: "报告",
    summary: {},
    logs: [],
    evaluations: [],
    samples: [{ question: "  一\n\n二 ", think: "想\n想", answer: "a\n  b" }],
  });
  assert.ok(page.includes('<div class="text" dir="auto" lang="">  一\n\n二 </div>'));
  assert.ok(page.includes('<div class="text" dir="auto" lang="">想\n想</div>'));
  assert.ok(page.includes('<div class="text answer" dir="auto" lang="">a\n  b</div>'));
  assert.match(
    page,
    /<details>\s*<summary><span data-zh="思考（3 字）">Thinking \(3 characters\)<\/span><\/summary>/,
  );
});

Deno.test("renderReport() asks for nothing outside itself", async () => {
  const page = await renderReport(withText("x"));
  assert.doesNotMatch(page, /\s(?:src|href|srcset|action|data|poster)=|@import|url\((?!#)/i);
  assert.doesNotMatch(page, /\sstyle=/);
  const hash = new Uint8Array(
    await crypto.subtle.digest("SHA-256", new TextEncoder().encode(REPORT_STYLE)),
  ).toBase64();
  assert.ok(page.includes(`style-src &#39;sha256-${hash}&#39;`));
  const script = new Uint8Array(
    await crypto.subtle.digest("SHA-256", new TextEncoder().encode(LANGUAGE_SCRIPT)),
  ).toBase64();
  assert.ok(page.includes(`script-src &#39;sha256-${script}&#39;`));
  assert.equal(page.split(OWN_SCRIPT).length, 2);
  // What is hashed is what stands between the tags, byte for byte.
  assert.equal(/<style>([\s\S]*?)<\/style>/.exec(page)?.[1], REPORT_STYLE);
});

Deno.test("renderReport() gives the same bytes for the same data", async () => {
  assert.equal(await renderReport(withText("x")), await renderReport(withText("x")));
});

Deno.test("renderReport() gives each chart its own ids", async () => {
  const page = await renderReport(withText("x"));
  const ids = [...page.matchAll(/\sid="([^"]*)"/g)].map(([, id]) => id);
  assert.equal(new Set(ids).size, ids.length);
  // The loss over steps, epochs and the share of the run, and four more.
  assert.equal(page.match(/<svg /g)?.length, 7);
});

Deno.test("renderReport() shows the figures of the run", async () => {
  const page = await renderReport({
    title: "Run",
    summary: { parameters: 596_049_920, trainableParameters: 5_046_272, seconds: 3725 },
    logs: [log, { ...log, step: 10, memoryBytes: 2 ** 30 }],
    evaluations: [{ ...evaluation, evalLoss: NaN }, evaluation, { ...evaluation, step: 20 }],
  });
  for (const text of ["596M", "5.05M (0.847 %)", "1:02:05", "1.2500 at step 10", ">2.0000<"]) {
    assert.ok(page.includes(text), text);
  }
  for (const text of ['<td dir="auto">1.50 GiB</td>', ">0.3 GiB</text>", ">1.5 GiB</text>"]) {
    assert.ok(page.includes(text), text);
  }
  assert.equal(page.match(/<tr class="best">/g)?.length, 1);
});

Deno.test("renderReport() shows no memory of a run that logged none", async () => {
  const { memoryBytes: _, ...old } = log;
  const page = await renderReport({ title: "Run", summary: {}, logs: [old], evaluations: [] });
  assert.doesNotMatch(page, /memory/i);
  assert.equal(page.match(/<svg /g)?.length, 6);
});

Deno.test("renderReport() leaves out what it was not given", async () => {
  const page = await renderReport({ title: "Run", summary: {}, logs: [], evaluations: [] });
  assert.doesNotMatch(page, /<h2>|undefined|NaN|<svg/);
});

Deno.test("renderReport() gives every text of its own in Chinese too, in charts as well", async () => {
  const page = await renderReport({ ...withText("x"), notes: [] });
  const { groups: { body } = {} } = /<body>(?<body>[^]*)<script>/.exec(page)!;
  const left = body!
    // What is the run's own, code, and what the script will replace.
    .replace(/<(\w+)[^>]* lang="x"[^>]*>[^<]*</g, "<")
    .replace(/<(\w+)[^>]* data-zh="[^"]+"[^>]*>[^<]*</g, "<")
    .replace(/<code>[^<]*</g, "<")
    .replace(/<[^>]*>/g, " ")
    .replace(/\bx\b|\d+:\d+:\d+|2026-11-28 12:41 UTC|tok\/s|GiB|e-\d/g, " ");
  assert.doesNotMatch(left, /\p{Letter}/u);
  assert.match(page, /<text[^>]*data-zh="损失"[^>]*>Loss</);
  assert.match(page, /<text[^>]*data-zh="验证，按词元平均"[^>]*>evaluation, per token</);
});

Deno.test("renderReport() marks an aborted run and names both losses of evaluations", async () => {
  const page = await renderReport(withText("x"));
  assert.match(page, /<span class="aborted"><span data-zh="已中断">aborted<\/span><\/span>/);
  assert.ok(page.includes("2026-11-28 12:41 UTC"));
  const heads = [...page.matchAll(/<th scope="col"><span[^>]*>([^<]*)</g)].map(([, text]) => text);
  assert.deepEqual(heads, [
    "Step",
    "Epoch",
    "Eval loss",
    "Per token",
    "Perplexity",
    "Examples",
    "Time",
  ]);
});

Deno.test("renderReport() draws a chart for each measure of replies, of evaluations that have it", async () => {
  const measured: ReportData["evaluations"] = [
    { ...evaluation, step: 10, figures: { rouge_l: 0.25, reply_length: 40 } },
    { ...evaluation, step: 20, figures: { rouge_l: 0.5, unknown: 1 } },
  ];
  const plain = measured.map(({ figures: _, ...each }) => each);
  const data = { title: "x", summary: {}, logs: [] };
  const page = await renderReport({ ...data, evaluations: measured });
  const charts = page.match(/<figure[^]*?<\/figure>/g)!;
  assert.deepEqual(
    charts.slice(1).map((chart) =>
      /aria-label="([^"]*)" data-zh-label="([^"]*)"/.exec(chart)!.slice(1)
    ),
    [["Replies: ROUGE-L", "回答：ROUGE-L"], ["Replies: tokens a reply", "回答：回复词元数"]],
  );
  // A circle an evaluation.
  assert.deepEqual(
    charts.slice(1).map((chart) => chart.match(/<path[^>]*stroke="#d4480b"/g)!.length),
    [2 + 1, 1 + 1],
  );
  // Measures are no sign of pairs: the loss beside the training loss stays that of tokens.
  assert.equal(
    (await renderReport({ ...data, evaluations: plain })).match(/<figure[^]*?<\/figure>/)![0],
    charts[0],
  );
});

/** The text of markup. */
const textOf = (markup: string): string => markup.replace(/<[^>]*>/g, "").trim();

/** Names and values of a report's facts. */
function factsOf(page: string): string[][] {
  return Array.from(
    page.matchAll(/<th scope="row">([^]*?)<\/th>\s*<td dir="auto">([^]*?)<\/td>/g),
    (row) => row.slice(1).map(textOf),
  );
}

const later = { ...evaluation, step: 20, epoch: 2, evalLoss: 2, evalTokenLoss: 1, examples: 1200 };

Deno.test("renderReport() lists all that a run was, in order", async () => {
  const { memoryBytes: _, ...unmeasured } = log;
  const data: ReportData = {
    title: "Run",
    summary: {
      ...{ model: "m", method: "lora", device: "CPU", parameters: 596_049_920, epochs: 1.5 },
      ...{ trainableParameters: 5_046_272, trainRows: 1200, evalRows: 0, tokens: 200_000 },
      ...{ steps: 20, status: "early-stopped", started: "2026-11-28T12:41:38Z", seconds: 3725 },
      ...{ tokensPerSecond: 1234.5, peakMemory: 2 ** 31, trainLoss: 1.75, checkpoint: "c" },
      command: "deno task train",
    },
    logs: [log, { ...log, step: 10, memoryBytes: 2 ** 30 }, { ...unmeasured, loss: 1.25 }],
    evaluations: [evaluation, { ...evaluation, step: 15 }, later],
    versions: { ortune: "1.0", system: "linux" },
  };
  const page = await renderReport(data);
  assert.deepEqual(factsOf(page), [
    ["Status", "finished: stopped early"],
    ["Started", "2026-11-28 12:41 UTC"],
    ["Time", "1:02:05"],
    ["Model", "m"],
    ["Method", "lora"],
    ["Device", "CPU"],
    ["Parameters", "596M"],
    ["Trainable parameters", "5.05M (0.847 %)"],
    ["Training rows", "1,200"],
    ["Validation rows", "0"],
    ["Training tokens", "200k"],
    ["Epochs", "1.5"],
    ["Steps", "20"],
    ["Speed", "1,235 tok/s"],
    ["Peak memory", "2.00 GiB"],
    ["Most memory logged", "1.50 GiB"],
    ["Mean training loss", "1.7500"],
    ["Last training loss", "1.2500"],
    ["Last eval loss", "2.0000"],
    ["Best eval loss", "1.2500 at step 10"],
    ["Last eval loss, per token", "1.0000"],
    ["Perplexity", "2.7183"],
    ["Checkpoint", "c"],
    ["Command", "deno task train"],
    ["ortune", "1.0"],
    ["system", "linux"],
  ]);
  const tiles = page.match(/<ul class="tiles">([^]*?)<\/ul>/)![1];
  assert.deepEqual(Array.from(tiles.matchAll(/<li>([^]*?)<\/li>/g), ([, tile]) => textOf(tile)), [
    "finished: stopped early Status",
    "1.2500 Last training loss",
    "2.0000 Last eval loss",
    "2.7183 Perplexity",
    "1:02:05 Time",
    "1,235 tok/s Speed",
  ]);
  const rows = page.matchAll(/<tr( class="best")?>\s*((?:<td>.*<\/td>\s*)+)<\/tr>/g);
  assert.deepEqual(
    Array.from(rows, ([, best, cells]) => [
      best !== undefined,
      ...cells.trim().split(/\s*\n\s*/).map(textOf),
    ]),
    [
      [true, "10", "1.00", "1.2500", "0.6931", "2.0000", "20", "0:01:05"],
      [false, "15", "1.00", "1.2500", "0.6931", "2.0000", "20", "0:01:05"],
      [false, "20", "2.00", "2.0000", "1.0000", "2.7183", "1,200", "0:01:05"],
    ],
  );
  const heads = Array.from(page.matchAll(/<h2>([^]*?)<\/h2>/g), ([, head]) => textOf(head));
  assert.deepEqual(heads, ["Run", "Curves", "Evaluations", "Versions"]);
});

Deno.test("renderReport() shows figures of 0, and no share of a model of unknown size", async () => {
  const summary = { method: "full", parameters: 0, trainableParameters: 5, epochs: 0, started: "" };
  const page = await renderReport({ title: "Run", summary, logs: [], evaluations: [] });
  assert.deepEqual(factsOf(page), [
    ["Method", "full"],
    ["Parameters", "0"],
    ["Trainable parameters", "5"],
    ["Epochs", "0"],
  ]);
  assert.ok(!page.includes('<ul class="tiles">'));
  const known = { parameters: 2, trainableParameters: 1 };
  assert.deepEqual(
    factsOf(await renderReport({ title: "Run", summary: known, logs: [], evaluations: [] })),
    [["Parameters", "2"], ["Trainable parameters", "1 (50.0 %)"]],
  );
});

Deno.test("renderReport() numbers samples, and opens thinking and reference answers where there are some", async () => {
  const sample = { question: "q", answer: "a" };
  const page = await renderReport({
    ...{ title: "Run", summary: {}, logs: [], evaluations: [] },
    samples: [
      { ...sample, step: 0, think: "" },
      { ...sample, think: "😀é", reference: "" },
      { ...sample, step: 7, reference: "r" },
    ],
    notes: ["first", "second"],
  });
  const cards = page.match(/<article>[^]*?<\/article>/g)!;
  assert.deepEqual(cards.map((card) => textOf(card).split(/\s*\n\s*/)), [
    ["Sample 1, step 0", "Question", "q", "Answer", "a"],
    [
      "Sample 2",
      "Question",
      "q",
      "Thinking (2 characters)",
      "😀é",
      "Answer",
      "a",
      "Reference answer",
    ],
    ["Sample 3, step 7", "Question", "q", "Answer", "a", "Reference answer", "r"],
  ]);
  const notes = page.matchAll(/<li dir="auto">(.*?)<\/li>/g);
  assert.deepEqual(Array.from(notes, ([, note]) => note), ["first", "second"]);
});

/** What the charts of a page write, those of the same size together. */
function chartsOf(page: string): { name: string; size: string; texts: string[] }[] {
  const charts = page.matchAll(
    /<svg role="img" aria-label="([^"]*)"[^>]* width="(\d+)" height="(\d+)"[^]*?<\/svg>/g,
  );
  return Array.from(charts, ([svg, name, width, height]) => ({
    ...{ name, size: `${width}x${height}` },
    texts: Array.from(svg.matchAll(/<text[^>]*>([^<]*)</g), ([, text]) => text),
  }));
}

Deno.test("renderReport() draws the loss by steps, epochs and the share of the run, and each figure of the log", async () => {
  const logs = [log, { ...log, step: 10, epoch: 1 }];
  const page = await renderReport({ title: "Run", summary: {}, logs, evaluations: [later] });
  const charts = chartsOf(page);
  assert.deepEqual(charts.map(({ name, size }) => `${name} ${size}`), [
    ...Array(3).fill("Loss 1000x400"),
    "Learning rate 480x240",
    "Gradient norm 480x240",
    "Tokens a second 480x240",
    "Memory 480x240",
  ]);
  const named = ["train", "evaluation, per token", "Loss"];
  const losses = ["1", "1.1", "1.2", "1.3", "1.4", "1.5"];
  assert.deepEqual(charts.slice(0, 3).map(({ texts }) => texts), [
    ["loss", "step", ...losses, "0", "5", "10", "15", "20", ...named],
    ["loss", "epoch", ...losses, "0", "0.5", "1", "1.5", "2", ...named],
    ["loss", "% of the run", ...losses, "0", "20", "40", "60", "80", "100", ...named],
  ]);
  const steps = ["0", "2", "4", "6", "8", "10"];
  assert.deepEqual(charts.slice(3).map(({ texts }) => texts), [
    ["step", "0", "2e-5", "4e-5", "6e-5", "8e-5", "1e-4", ...steps, "Learning rate"],
    ["step", "0", "0.5", "1", "1.5", "2", ...steps, "Gradient norm"],
    ["step", "0", "200", "400", "600", "800", "1,000", ...steps, "Tokens a second"],
    [
      ...["step", "0 GiB", "0.3 GiB", "0.6 GiB", "0.9 GiB", "1.2 GiB", "1.5 GiB"],
      ...[...steps, "Memory"],
    ],
  ]);
  for (const [color, width] of [["#6f42c1", "2"], ["#0b7285", "1.5"], ["#2b7a3d", "1.5"]]) {
    assert.ok(page.includes(`stroke="${color}" stroke-width="${width}" stroke-linejoin`), color);
  }
  const inputs = Array.from(page.matchAll(/<input ([^>]*)>/g), ([, input]) => input);
  assert.deepEqual(inputs, [
    'type="radio" name="axis" value="step" checked',
    'type="radio" name="axis" value="epoch"',
    'type="radio" name="axis" value="share"',
  ]);
  const ids = [...page.matchAll(/<clipPath id="(.*)-c0">/g)].map(([, id]) => id);
  assert.deepEqual(ids, [
    ...["loss-step", "loss-epoch", "loss-share", "rate", "gradient", "speed", "memory"],
  ]);
});

Deno.test("renderReport() draws the loss of what it has, and of pairs the loss that is of pairs", async () => {
  const data = { title: "Run", summary: {} };
  const first = { ...log, step: 1, memoryBytes: undefined };
  const logged = chartsOf(await renderReport({ ...data, logs: [first], evaluations: [] }));
  assert.deepEqual(logged.map(({ name }) => name), [
    ...["Loss", "Loss", "Loss", "Learning rate", "Gradient norm", "Tokens a second"],
  ]);
  assert.ok(logged[2].texts.includes("100"));
  const figures = { "rewards/margins": 1, rouge_l: 0.5 };
  const pairs = [{ ...later, figures }, { ...later, step: 30, evalLoss: 3 }];
  const evaluated = chartsOf(await renderReport({ ...data, logs: [], evaluations: pairs }));
  assert.deepEqual(evaluated.map(({ name, size }) => `${name} ${size}`), [
    ...[...Array(3).fill("Loss 1000x400"), "Replies: ROUGE-L 480x240"],
  ]);
  // From 1 per token of the second to 2 a pair of the first.
  assert.deepEqual(evaluated[0].texts.slice(2, 8), ["1", "1.2", "1.4", "1.6", "1.8", "2"]);
  assert.deepEqual(evaluated[3].texts.slice(1, 7), ["0", "0.1", "0.2", "0.3", "0.4", "0.5"]);
});
