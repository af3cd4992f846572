/** The dashboard: what its server answers and refuses, and that a page's curve grows. */

import assert from "node:assert/strict";
import { appendFile, mkdir, rename, symlink, truncate, writeFile } from "node:fs/promises";
import { createDashboardHandler } from "../train/track/dashboard_handler.ts";
import { renderRunsPage } from "../train/track/dashboard_page.ts";
import { readNewLines } from "../train/track/read_new_lines.ts";
import { CHROMIUM } from "./support/chromium.ts";
import { openPage } from "./support/open_page.ts";
import { repositoryPath, runDeno } from "./support/run_script.ts";
import { tempFolder } from "./support/temp_folder.ts";

const HOST = "127.0.0.1:6006";
const HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>";

type Handler = (request: Request) => Promise<Response>;

function get(handler: Handler, path: string, init: RequestInit = {}): Promise<Response> {
  return handler(new Request(`http://${HOST}${path}`, { headers: { host: HOST }, ...init }));
}

interface Part {
  readonly cursor: string;
  readonly reset: boolean;
  readonly rows: readonly Record<string, unknown>[];
}

interface Update {
  readonly state?: unknown;
  readonly figures: Part;
  readonly samples: Part;
}

async function update(handler: Handler, name: string, from?: Update): Promise<Update> {
  const query = new URLSearchParams({
    name,
    figures: from?.figures.cursor ?? "",
    samples: from?.samples.cursor ?? "",
  });
  const response = await get(handler, `/api/run?${query}`);
  assert.equal(response.status, 200);
  return await response.json();
}

function line(step: number, more: Record<string, unknown> = {}): string {
  return `${JSON.stringify({ step, epoch: step / 10, loss: 2 / step, ...more })}\n`;
}

function handlerOf(directory: string): Handler {
  return createDashboardHandler({ directory, hosts: () => [HOST] });
}

Deno.test("the dashboard serves its page, script and style under a policy of its own", async () => {
  await using folder = await tempFolder();
  const handler = handlerOf(folder.path);
  const types = { "/": "text/html", "/client.js": "text/javascript", "/style.css": "text/css" };
  for (const [path, type] of Object.entries(types)) {
    const response = await get(handler, path);
    assert.equal(response.status, 200);
    assert.equal(response.headers.get("content-type"), `${type}; charset=utf-8`);
    assert.match(response.headers.get("content-security-policy")!, /^default-src 'self';/);
    assert.equal(response.headers.get("x-content-type-options"), "nosniff");
    assert.equal(response.headers.get("access-control-allow-origin"), null);
    // Namespaces are names, not addresses that anything is loaded from.
    const text = (await response.text()).replaceAll("http://www.w3.org/2000/svg", "");
    assert.doesNotMatch(text, /https?:|@import|url\(/);
  }
});

Deno.test("the dashboard refuses other hosts, methods, paths and runs", async () => {
  await using folder = await tempFolder();
  await mkdir(`${folder.path}/output`);
  await folder.write("metrics.jsonl", line(1));
  const handler = handlerOf(`${folder.path}/output`);
  for (const host of ["evil.example", "127.0.0.1", "127.0.0.1:80", "evil.example:6006", ""]) {
    assert.equal((await get(handler, "/api/runs", { headers: { host } })).status, 403, host);
  }
  for (const method of ["POST", "PUT", "DELETE", "OPTIONS", "HEAD"]) {
    const response = await get(handler, "/", { method });
    assert.equal(response.status, 405);
    assert.equal(response.headers.get("allow"), "GET");
  }
  for (
    const path of [
      "/x",
      "/../metrics.jsonl",
      "/api/run",
      "/api/run?name=..",
      "/api/run?name=../output/..",
      "/api/run?name=.",
      `/api/run?name=${encodeURIComponent(folder.path)}`,
      "/api/run?name=%00",
    ]
  ) assert.equal((await get(handler, path)).status, 404, path);
});

Deno.test("the dashboard finds runs at any depth but not links, checkpoints and hidden folders", async () => {
  await using folder = await tempFolder();
  for (const name of ["b", "a/lora", "a/checkpoint-5", ".hidden", "none"]) {
    await mkdir(`${folder.path}/${name}`, { recursive: true });
    if (name !== "none") await folder.write(`${name}/metrics.jsonl`, line(1));
  }
  await symlink(`${folder.path}/b`, `${folder.path}/link`);
  const handler = handlerOf(folder.path);
  assert.deepEqual(await (await get(handler, "/api/runs")).json(), ["a/lora", "b"]);
  await folder.write("metrics.jsonl", line(1));
  assert.deepEqual(await (await get(handler, "/api/runs")).json(), [".", "a/lora", "b"]);
  const missing = handlerOf(`${folder.path}/missing`);
  assert.deepEqual(await (await get(missing, "/api/runs")).json(), []);
});

Deno.test("the dashboard sends only what a growing file got, whole lines at a time", async () => {
  await using folder = await tempFolder();
  await mkdir(`${folder.path}/run`);
  const path = await folder.write("run/metrics.jsonl", line(1) + line(2));
  const handler = handlerOf(folder.path);
  const first = await update(handler, "run");
  assert.deepEqual(first.figures.rows, [
    { step: 1, epoch: 0.1, loss: 2 },
    { step: 2, epoch: 0.2, loss: 1 },
  ]);
  const same = await update(handler, "run", first);
  assert.deepEqual([same.figures.rows, same.figures.reset], [[], false]);
  const third = line(3);
  await appendFile(path, third.slice(0, 9));
  const torn = await update(handler, "run", same);
  assert.deepEqual(torn.figures.rows, []);
  await appendFile(path, third.slice(9));
  await folder.write(
    "run/samples.jsonl",
    `${JSON.stringify({ step: 3, question: HOSTILE, answer: "头痛" })}\n`,
  );
  const grown = await update(handler, "run", torn);
  assert.deepEqual(grown.figures.rows.map(({ step }) => step), [3]);
  assert.deepEqual(grown.samples.rows, [
    { step: 3, question: HOSTILE, think: "", answer: "头痛" },
  ]);
});

Deno.test("the dashboard tells how a run ended", async () => {
  await using folder = await tempFolder();
  await mkdir(`${folder.path}/run`);
  await folder.write("run/metrics.jsonl", line(1));
  const handler = handlerOf(folder.path);
  assert.equal("state" in await update(handler, "run"), false);
  const manifest = { started: "2026-11-28T12:00:00Z", ended: "2026-11-28T12:10:00Z", secret: 1 };
  await folder.write("run/run.json", JSON.stringify({ ...manifest, status: "aborted" }));
  assert.deepEqual((await update(handler, "run")).state, {
    status: "aborted",
    started: manifest.started,
    ended: manifest.ended,
  });
});

Deno.test("the dashboard starts anew when a run does, or resumes, or its file is cut", async () => {
  await using folder = await tempFolder();
  await mkdir(`${folder.path}/run`);
  const path = await folder.write("run/metrics.jsonl", line(1) + line(2) + line(3));
  const handler = handlerOf(folder.path);
  const first = await update(handler, "run");

  await rename(path, `${path}.previous`);
  const gone = await readNewLines(path, first.figures.cursor);
  assert.deepEqual([gone.reset, gone.lines, gone.cursor], [true, [], ""]);
  // More bytes than before: only the file's identity tells.
  await writeFile(path, line(1) + line(2) + line(3) + line(4));
  const restarted = await update(handler, "run", first);
  assert.equal(restarted.figures.reset, true);
  assert.equal(restarted.figures.rows.length, 4);

  await writeFile(`${path}.tmp`, line(1) + line(2) + line(3) + line(4) + line(5));
  await rename(`${path}.tmp`, path);
  const resumed = await update(handler, "run", restarted);
  assert.deepEqual([resumed.figures.reset, resumed.figures.rows.length], [true, 5]);

  await truncate(path, line(1).length);
  const cut = await update(handler, "run", resumed);
  assert.deepEqual([cut.figures.reset, cut.figures.rows.length], [true, 1]);
});

Deno.test("the dashboard passes over lines that are no figures, and cursors that are none", async () => {
  await using folder = await tempFolder();
  await mkdir(`${folder.path}/run`);
  const bad = [
    "",
    "x",
    "[]",
    "null",
    '{"step":-1}',
    '{"step":"1"}',
    '{"step":1e99}',
    "{",
    '{"a":1}',
  ];
  const nan = '{"step":2,"loss":"NaN","grad_norm":"Infinity","skipped_updates":1}';
  await folder.write(
    "run/metrics.jsonl",
    `${[...bad, nan].join("\n")}\n${line(3, { x: HOSTILE, memory_bytes: 4 })}`,
  );
  const handler = handlerOf(folder.path);
  const { figures } = await update(handler, "run");
  assert.deepEqual(figures.rows, [
    { step: 2, loss: null, grad_norm: null, skipped_updates: 1 },
    { step: 3, epoch: 0.3, loss: 2 / 3, memory_bytes: 4 },
  ]);
  for (const cursor of ["x", "-1", "1-1", `${figures.cursor}9`, "9".repeat(9999)]) {
    const response = await get(handler, `/api/run?name=run&figures=${cursor}`);
    assert.equal((await response.json() as Update).figures.rows.length, 2);
  }
});

Deno.test("the dashboard shows accuracy and margin of pairs, and beside their loss one of its kind", async () => {
  await using folder = await tempFolder();
  await mkdir(`${folder.path}/run`);
  const figures = { "rewards/accuracies": 0.5, "rewards/margins": 0.25, "logps/chosen": -9 };
  const evaluated = { "eval_rewards/accuracies": 1, "eval_rewards/margins": 0.5 };
  await folder.write(
    "run/metrics.jsonl",
    line(3, figures) +
      `${JSON.stringify({ step: 3, eval_loss: 0.6, eval_token_loss: 7, ...evaluated })}\n`,
  );
  const { figures: { rows } } = await update(handlerOf(folder.path), "run");
  const { "logps/chosen": _, ...shown } = figures;
  assert.deepEqual(rows, [
    { step: 3, epoch: 0.3, loss: 2 / 3, ...shown },
    { step: 3, eval_loss: 0.6, eval_token_loss: 0.6, ...evaluated },
  ]);
});

Deno.test("the dashboard takes measures of generated replies, beside the loss a token", async () => {
  await using folder = await tempFolder();
  await mkdir(`${folder.path}/run`);
  const evaluated = { step: 3, eval_loss: 0.6, eval_token_loss: 7 };
  const measured = { eval_rouge_l: 0.5, eval_reply_length: 20 };
  await folder.write(
    "run/metrics.jsonl",
    `${JSON.stringify({ ...evaluated, ...measured, eval_other: 1, eval_runtime: 2 })}\n`,
  );
  const { figures: { rows } } = await update(handlerOf(folder.path), "run");
  assert.deepEqual(rows, [{ ...evaluated, ...measured }]);
});

Deno.test("readNewLines() reads a large file in pieces, each once", async () => {
  await using folder = await tempFolder();
  const lines = Array.from({ length: 40_000 }, (_, index) => `line ${index} ${"头".repeat(20)}`);
  const path = await folder.write("large", `${lines.join("\n")}\n`);
  const read: string[] = [];
  let looks = 0;
  for (let cursor = "", more = true; more; looks++) {
    const found = await readNewLines(path, cursor);
    ({ cursor, more } = found);
    read.push(...found.lines);
  }
  assert.deepEqual(read, lines);
  assert.equal(looks, 3);
});

Deno.test("readNewLines() reads neither pipes nor links that lead out of the run's folder", async () => {
  await using folder = await tempFolder();
  await using other = await tempFolder();
  const at = (name: string): string => `${folder.path}/${name}`;
  await Deno.symlink(await other.write("secret", "no\n"), at("out"));
  await new Deno.Command("mkfifo", { args: [at("pipe")] }).output();
  for (const name of ["out", "pipe"]) {
    const found = await readNewLines(at(name), "");
    assert.deepEqual(found, { cursor: "", reset: false, more: false, lines: [] });
  }
});

Deno.test("renderRunsPage() holds hostile names and samples as data", async () => {
  const sample = { step: 1, question: HOSTILE, think: HOSTILE, answer: "<!--<script>" };
  const runs = [{ name: HOSTILE, figures: [{ step: 1, loss: 1 }], samples: [sample] }];
  const page = await renderRunsPage(runs);
  assert.equal(page.match(/<script/g)?.length, 3);
  assert.equal(page.match(/<\/script/g)?.length, 3);
  assert.doesNotMatch(page, /<img/);
  const [, data] = /id="data">([^<]*)<\/script>/.exec(page)!;
  assert.deepEqual(JSON.parse(data), runs);
  const policy = /content="(default-src[^"]*)"/.exec(page)![1].replaceAll("&#39;", "'");
  assert.match(policy, /^default-src 'none'; style-src 'sha256-[^']+'; script-src 'sha256-[^']+';/);
  for (const [, text] of page.matchAll(/<(?:style|script type="module")>([^]*?)<\/s/g)) {
    const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
    assert.ok(policy.includes(`'sha256-${new Uint8Array(digest).toBase64()}'`));
  }
});

const script = repositoryPath("cli/commands/dashboard.ts");

function permissions(folder: string): string[] {
  const config = `--config=${repositoryPath("deno.json")}`;
  const paths = [`--allow-read=${folder}`, `--allow-write=${folder}`];
  return ["run", "--quiet", "--no-prompt", "--no-check", "--cached-only", config, ...paths];
}

Deno.test("deno task dashboard --report writes all runs as one file, without the network", async () => {
  await using folder = await tempFolder();
  const args = [...permissions(folder.path), script, "--output-dir", folder.path];
  const report = `${folder.path}/compare.html`;
  const none = await runDeno([...args, "--report", report]);
  assert.equal(none.code, 1);
  assert.match(none.stderr, /^error: Cannot write .*: no folder below .* has a metrics\.jsonl; /);
  for (const name of ["full", "lora"]) {
    await mkdir(`${folder.path}/${name}`);
    await folder.write(`${name}/metrics.jsonl`, line(1));
  }
  const { code, stdout, stderr } = await runDeno([...args, "--report", report]);
  assert.deepEqual([code, stdout, stderr], [0, `${report}: 2 runs`, ""]);
  assert.match(await Deno.readTextFile(report), /"name":"full".*"name":"lora"/);
});

Deno.test("deno task dashboard listens on 127.0.0.1 alone, and says when a port is taken", async () => {
  await using folder = await tempFolder();
  await using child = startDashboard(folder.path);
  const url = await child.url;
  const response = await fetch(`${url}api/runs`);
  assert.deepEqual(await response.json(), []);
  const { port } = new URL(url);
  const others = Deno.networkInterfaces().filter(({ family, address }) =>
    family === "IPv4" && !address.startsWith("127.")
  );
  for (const { address } of others) {
    await assert.rejects(Deno.connect({ hostname: address, port: Number(port) }));
  }
  const second = await runDeno([
    ...permissions(folder.path),
    "--allow-net=127.0.0.1",
    script,
    ...["--output-dir", folder.path, "--port", port],
  ]);
  assert.equal(second.code, 1);
  assert.match(second.stderr, /^error: Cannot listen on 127\.0\.0\.1:\d+: .*--port$/);
});

interface RunningDashboard extends AsyncDisposable {
  readonly url: Promise<string>;
}

function startDashboard(folder: string): RunningDashboard {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...permissions(folder),
      "--allow-net=127.0.0.1",
      script,
      ...["--output-dir", folder, "--port", "0"],
    ],
    stdout: "piped",
    env: { NO_COLOR: "1" },
  }).spawn();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const findUrl = async (): Promise<string> => {
    for (let text = "";;) {
      const { value, done } = await reader.read();
      assert.ok(!done, `the dashboard ended: ${text}`);
      text += value;
      const [url] = /http:\/\/\S+\//.exec(text) ?? [];
      if (url !== undefined) return url;
    }
  };
  return {
    url: findUrl(),
    async [Symbol.asyncDispose](): Promise<void> {
      child.kill("SIGTERM");
      await reader.cancel();
      await child.status;
    },
  };
}

Deno.test({
  name: "a page's curve grows while a run does, and hostile samples stay text (needs chromium)",
  ignore: CHROMIUM === undefined,
  async fn() {
    await using folder = await tempFolder();
    await using profile = await tempFolder();
    await mkdir(`${folder.path}/run`);
    const path = await folder.write("run/metrics.jsonl", line(1));
    const sample = { step: 1, question: HOSTILE, think: HOSTILE, answer: HOSTILE };
    await folder.write("run/samples.jsonl", `${JSON.stringify(sample)}\n`);
    await using child = startDashboard(folder.path);
    await using browser = await openPage(await child.url, profile.path);
    const points = "Number(document.querySelector('svg').dataset.points)";
    await browser.until(`${points} === 1`);
    await appendFile(path, line(2) + line(3));
    await browser.until(`${points} === 3`);
    await appendFile(path, line(3, { loss: undefined, eval_loss: 1, eval_token_loss: 1 }));
    await browser.until(`${points} === 4`);
    assert.equal(await browser.evaluate("document.querySelector('.answer').textContent"), HOSTILE);
    assert.equal(await browser.evaluate("document.querySelectorAll('main img').length"), 0);
    await browser.evaluate(
      `document.querySelector('svg').dispatchEvent(new PointerEvent('pointermove', {clientX: 5000}))`,
    );
    await browser.until(
      "/run.*run \\(eval, per token\\)1$/.test(document.querySelector('.tip').textContent)",
    );
    const labels =
      "[...document.querySelectorAll('svg text')].map((each) => each.textContent).join()";
    const linear = await browser.evaluate(labels);
    await browser.evaluate("document.getElementById('log').click()");
    await browser.until(`${labels} !== ${JSON.stringify(linear)}`);
    const titles = "[...document.querySelectorAll('figure:not([hidden]) figcaption')]" +
      ".map((each) => each.firstChild.textContent).join()";
    const standing = await browser.evaluate(titles);
    assert.equal(standing, "Loss,Learning rate,Gradient norm,Tokens/s,Memory");
    await appendFile(path, line(3, { loss: undefined, eval_loss: 1, eval_rouge_l: 0.5 }));
    await browser.until(`${titles} === '${standing},Replies: ROUGE-L'`);
    // A run that starts anew.
    await rename(path, `${path}.previous`);
    await writeFile(path, line(1) + line(2));
    await browser.until(`${points} === 2`);
    // Hidden by its box in the legend.
    await browser.evaluate("document.querySelector('td input').click()");
    await browser.until(`${points} === 0`);
  },
});

Deno.test({
  name:
    "a page marks an aborted run, and lays runs over steps, epochs and their share (needs chromium)",
  ignore: CHROMIUM === undefined,
  async fn() {
    await using folder = await tempFolder();
    await using profile = await tempFolder();
    const started = "2026-11-28T12:00:00Z";
    const runs = { long: [100, 200, 400], short: [1, 2] };
    for (const [name, steps] of Object.entries(runs)) {
      await mkdir(`${folder.path}/${name}`);
      const epoch = (step: number): number => step / (name === "long" ? 100 : 4);
      const lines = steps.map((step) => line(step, { epoch: epoch(step) }));
      const last = steps.at(-1)!;
      const evaluation = { loss: undefined, eval_loss: 3, eval_token_loss: 2, epoch: epoch(last) };
      const evaluated = line(last, evaluation);
      await folder.write(`${name}/metrics.jsonl`, [...lines, evaluated].join(""));
      const ended = { long: "2026-11-28T13:02:05Z", short: "2026-11-28T12:00:07Z" }[name];
      const status = name === "long" ? "completed" : "aborted";
      await folder.write(`${name}/run.json`, JSON.stringify({ status, started, ended }));
    }
    await using child = startDashboard(folder.path);
    await using browser = await openPage(await child.url, profile.path);
    await browser.until("Number(document.querySelector('svg').dataset.points) === 7");
    const texts = (selector: string): Promise<unknown> =>
      browser.evaluate(
        `[...document.querySelectorAll(${JSON.stringify(selector)})].map((e) => e.textContent)`,
      );
    assert.deepEqual(await texts(".state"), ["finished", "aborted"]);
    assert.deepEqual(await texts("td:nth-child(4)"), ["1:02:05", "0:00:07"]);
    // Hugging Face's eval_loss, the token mean, and the best of the first.
    assert.deepEqual(await texts("td:nth-child(8)"), ["3", "3"]);
    assert.deepEqual(await texts("td:nth-child(9)"), ["2", "2"]);
    assert.deepEqual(await texts("td:nth-child(10)"), ["3 @ 400", "3 @ 2"]);
    assert.equal(
      await browser.evaluate("document.querySelectorAll('.cross.run-1').length > 0"),
      true,
    );
    assert.equal(await browser.evaluate("document.querySelectorAll('.cross.run-0').length"), 0);
    const width =
      `(() => { const it = [...document.querySelector('svg').querySelectorAll('.point.run-1')]
      .map((each) => Number(each.getAttribute('cx'))); return Math.max(...it) - Math.min(...it); })()`;
    const choose = (axis: string): string =>
      `{ const it = document.getElementById('axis'); it.value = '${axis}'; ` +
      "it.dispatchEvent(new Event('change')); }";
    const bySteps = Number(await browser.evaluate(width));
    assert.ok(bySteps < 20, `${bySteps}`);
    await browser.evaluate(choose("share"));
    const byShare = Number(await browser.evaluate(width));
    assert.ok(byShare > 300, `${byShare}`);
    await browser.evaluate(choose("epoch"));
    await browser.evaluate("document.querySelector('svg').focus()");
    const press = (key: string): string =>
      `document.activeElement.dispatchEvent(new KeyboardEvent('keydown', { key: '${key}' }))`;
    for (const [key, place] of [["Home", "0.25"], ["ArrowRight", "0.5"], ["ArrowLeft", "0.25"]]) {
      await browser.evaluate(press(key));
      const tip = String(await browser.evaluate("document.querySelector('.tip').textContent"));
      assert.ok(tip.startsWith(`Epoch ${place} · Loss`), tip);
    }
  },
});

/** The vertical places of a path's points, within the page. */
const HEIGHTS = (path: string): string =>
  `document.querySelector(${JSON.stringify(path)}).getAttribute('d').match(/[ML][^ML]+/g)` +
  ".map((point) => Number(point.split(' ')[1]))";

Deno.test({
  name:
    "a page draws runs of 10,000 log lines in few points, without losing a peak (needs chromium)",
  ignore: CHROMIUM === undefined,
  async fn() {
    await using folder = await tempFolder();
    await using profile = await tempFolder();
    for (const name of ["full", "lora"]) {
      await mkdir(`${folder.path}/${name}`);
      const lines = Array.from({ length: 10_000 }, (_, index) =>
        line(index + 1, {
          loss: index === 7776 ? 9 : index === 5554 ? -5 : 1 + (index % 7) / 10,
          memory_bytes: (name === "full" ? 9.6 : 3) * 2 ** 30,
        }));
      await folder.write(`${name}/metrics.jsonl`, lines.join(""));
    }
    await using child = startDashboard(folder.path);
    await using browser = await openPage(await child.url, profile.path);
    await browser.until("Number(document.querySelector('svg').dataset.points) === 20000");
    for (const path of [".curve.raw.run-0", ".curve.raw.run-1"]) {
      const heights = await browser.evaluate(HEIGHTS(path)) as number[];
      assert.ok(heights.length > 500 && heights.length < 4000, `${heights.length} points`);
      const sorted = heights.toSorted((a, b) => a - b);
      // Loss 9 is near the top, -5 at the bottom, and the others lie between 1 and 1.6.
      assert.ok(sorted[0] < 30 && sorted[1] > 150, `${sorted.slice(0, 3)}`);
      assert.ok(sorted.at(-1)! > 290 && sorted.at(-2)! < 220, `${sorted.slice(-3)}`);
    }
    const labels = "[...document.querySelectorAll('svg')[4].querySelectorAll('text')]" +
      ".map((each) => each.textContent).join()";
    assert.match(String(await browser.evaluate(labels)), /0 GiB,2 GiB,4 GiB,6 GiB,8 GiB,/);
    const cells = "[...document.querySelectorAll('tbody td:last-child')].map((each) => " +
      "each.textContent).join()";
    assert.equal(await browser.evaluate(cells), "9.6 GiB,3 GiB");
  },
});

Deno.test({
  name:
    "a page's curves are read and hidden with keys, and answers stand side by side (needs chromium)",
  ignore: CHROMIUM === undefined,
  async fn() {
    await using folder = await tempFolder();
    await using profile = await tempFolder();
    for (const [name, loss] of [["full", 2], ["lora", 3]] as const) {
      await mkdir(`${folder.path}/${name}`);
      const lines = [10, 20, 30].map((step) => line(step, { loss: loss + step }));
      await folder.write(`${name}/metrics.jsonl`, lines.join(""));
      const said = ["1+1?", "2+2?"].map((question) =>
        `${JSON.stringify({ step: 30, question, think: `${name} adds`, answer: name })}\n`
      );
      await folder.write(`${name}/samples.jsonl`, said.join(""));
    }
    await using child = startDashboard(folder.path);
    await using browser = await openPage(await child.url, profile.path);
    await browser.until("Number(document.querySelector('svg').dataset.points) === 6");
    await browser.evaluate("document.querySelector('svg').focus()");
    assert.equal(await browser.evaluate("document.activeElement.tagName"), "svg");
    const tip = "document.querySelector('.tip').textContent";
    const press = (key: string): string =>
      `document.activeElement.dispatchEvent(new KeyboardEvent('keydown', { key: '${key}' }))`;
    for (
      const [key, shown] of [
        ["ArrowRight", "Step 10 · Lossfull12lora13"],
        ["ArrowRight", "Step 20 · Lossfull22lora23"],
        ["ArrowLeft", "Step 10 · Lossfull12lora13"],
        ["ArrowLeft", "Step 10 · Lossfull12lora13"],
        ["End", "Step 30 · Lossfull32lora33"],
        ["ArrowRight", "Step 30 · Lossfull32lora33"],
        ["Home", "Step 10 · Lossfull12lora13"],
      ]
    ) {
      await browser.evaluate(press(key));
      assert.equal(await browser.evaluate(tip), shown, key);
    }
    assert.equal(await browser.evaluate("document.querySelector('.tip').ariaLive"), "polite");
    await browser.evaluate(press("Escape"));
    assert.equal(await browser.evaluate("document.querySelector('.tip').hidden"), true);

    // The answers of both runs below each question, their thinking apart.
    const texts = (selector: string): Promise<unknown> =>
      browser.evaluate(
        `[...document.querySelectorAll('${selector}')].map((each) => each.textContent)`,
      );
    assert.deepEqual(await texts("h3"), ["1+1?", "2+2?"]);
    assert.deepEqual(await texts("h3 + .samples > article > .answer"), [
      "full",
      "lora",
      "full",
      "lora",
    ]);
    assert.deepEqual(await texts("h3:first-of-type + .samples details > .think"), [
      "full adds",
      "lora adds",
    ]);

    const points = "Number(document.querySelector('svg').dataset.points)";
    const all = "document.getElementById('all')";
    await browser.evaluate("document.querySelector('td input').click()");
    assert.equal(await browser.evaluate(points), 3);
    assert.equal(await browser.evaluate(`${all}.indeterminate`), true);
    await browser.evaluate(`${all}.click()`);
    assert.deepEqual(
      [await browser.evaluate(points), await browser.evaluate(`${all}.checked`)],
      [6, true],
    );
    await browser.evaluate(`${all}.click()`);
    assert.equal(await browser.evaluate(points), 0);
  },
});
