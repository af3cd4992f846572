import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { metricNames } from "../../infer/evaluate/metrics.ts";
import {
  DASHBOARD_CLIENT,
  DASHBOARD_STYLE,
  renderLivePage,
  renderRunsPage,
} from "./dashboard_page.ts";

/** The data block of a page, parsed. */
function dataOf(page: string, id: string): unknown {
  const [, text] = page.match(`<script type="application/json" id="${id}">([^<]*)</script>`) ?? [];
  return JSON.parse(text);
}

const sha256 = (text: string): string => createHash("sha256").update(text).digest("base64");

Deno.test("renderLivePage() asks its server for style and script, and knows what replies are measured by", () => {
  const page = renderLivePage();
  assert.match(page, /^<!DOCTYPE html>\n/);
  assert.match(page, /<\/html>\n$/);
  assert.match(page, /<link rel="stylesheet" href="\/style.css">/);
  assert.match(page, /<script type="module" src="\/client.js"><\/script>/);
  assert.match(page, /<main id="dashboard"><\/main>/);
  assert.ok(!page.includes("Content-Security-Policy"));
  const measures = dataOf(page, "measures") as { key: string; en: string; zh: string }[];
  assert.deepEqual(measures.map(({ key }) => key), metricNames.map((name) => `eval_${name}`));
  assert.deepEqual(measures.find(({ key }) => key === "eval_bleu"), {
    key: "eval_bleu",
    en: "BLEU",
    zh: "BLEU",
  });
});

Deno.test("renderRunsPage() holds its runs, style and script, and allows nothing else", async () => {
  const text = "</script><script>alert(1)</script><!--";
  const state = { status: "running", started: "2026-11-28T12:00:00.000Z", ended: null } as const;
  const samples = [{ step: 2, question: text, think: "", answer: "a" }];
  const runs = [
    { name: text, state, figures: [{ step: 1, loss: 2.5 }, { step: 2, loss: null }], samples },
    { name: "other", state: undefined, figures: [], samples: [] },
  ];
  const page = await renderRunsPage(runs);
  assert.deepEqual(dataOf(page, "data"), JSON.parse(JSON.stringify(runs)));
  assert.ok(page.includes(`<style>${DASHBOARD_STYLE}</style>`));
  assert.ok(page.includes(`<script type="module">${DASHBOARD_CLIENT}</script>`));
  const [, policy] = page.match(/<meta http-equiv="Content-Security-Policy" content="(.*)">/)!;
  assert.equal(
    policy.replaceAll("&#39;", "'").replaceAll("&#x27;", "'"),
    `default-src 'none'; style-src 'sha256-${sha256(DASHBOARD_STYLE)}'; ` +
      `script-src 'sha256-${sha256(DASHBOARD_CLIENT)}'; base-uri 'none'; form-action 'none'`,
  );
});
