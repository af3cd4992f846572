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
