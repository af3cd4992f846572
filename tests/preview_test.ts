/** `deno task data --preview`: rows token by token, as training reads them. */

import assert from "node:assert/strict";
import { chromium } from "playwright-core";
import { renderPreview } from "../cli/data_report/preview_page.ts";
import { previewRows } from "../cli/data_report/preview_rows.ts";
import { formatPreview } from "../cli/data_report/preview_table.ts";
import { readExamples } from "../data/examples/read_examples.ts";
import { byteTokenizerFiles } from "../data/text/byte_tokenizer.ts";
import { createTokenizer, type Tokenizer } from "../data/text/tokenizer.ts";
import { CHROMIUM, chromiumPath } from "./support/chromium.ts";
import { quickstartFolder } from "./support/quickstart_folder.ts";
import { qwen3Tokenizer } from "./support/qwen3_tokenizer.ts";
import { runTask } from "./support/run_task.ts";
import { type TempFolder, tempFolder } from "./support/temp_folder.ts";

const HOSTILE = "</b><script>alert(1)</script><img src=x onerror=alert(1)>\x1b[31m🎉";
const ROWS = [
  { question: HOSTILE, think: "Hm.\n", answer: `Is "that" <so>? ${HOSTILE}`, [HOSTILE]: 1 },
  {
    tools: [{ name: "ping", description: HOSTILE }],
    conversations: [
      { from: "system", value: "Be brief." },
      { from: "human", value: "Ping it." },
      { from: "function_call", value: '{"name": "ping", "arguments": {}}' },
      { from: "observation", value: "pong" },
      { from: "gpt", value: "It answers." },
    ],
  },
  { question: "?" },
  { prompt: "The sky is", completion: " blue." },
];

const options = {
  maxLength: 1024,
  emptyThink: "teach",
  teach: "all",
  truncation: "right",
  most: 200,
  signal: new AbortController().signal,
} as const;

async function written(folder: TempFolder): Promise<string> {
  return await folder.write("rows.jsonl", ROWS.map((row) => JSON.stringify(row)).join("\n"));
}

Deno.test("previewRows() shows the very tokens and labels that training takes, by who speaks", async () => {
  await using folder = await tempFolder();
  const file = await written(folder);
  const tokenizer = await qwen3Tokenizer();
  const sources = [{ path: file, files: [file] }];
  const [{ rows, more }] = await previewRows(sources, { ...options, tokenizer });
  const read = { tokenizer, maxLength: 1024, dropRefused: true };
  const { examples } = await readExamples(file, read);
  const shown = rows.flatMap((row) => row.examples);
  assert.deepEqual(
    shown.map(({ blocks }) => blocks.flatMap(({ tokens }) => tokens.map(({ id }) => id))),
    examples.map(({ inputIds }) => [...inputIds]),
  );
  assert.deepEqual(
    shown.map(({ blocks }) =>
      blocks.flatMap(({ tokens }) => tokens.map(({ id, taught }) => taught ? id : -100))
    ),
    examples.map(({ labels }) => [...labels]),
  );
  assert.deepEqual(shown.map(({ blocks }) => blocks.map(({ role }) => role).join(" ")), [
    "user assistant",
    "system user assistant",
    "system user assistant tool assistant",
    "prompt completion",
  ]);
  const texts = shown[2].blocks.map(({ tokens }) => tokens.map(({ text }) => text).join(""));
  assert.match(texts[0], /^<\|im_start\|>system\nBe brief\.\n\n# Tools[^]*<\|im_end\|>\n$/);
  assert.equal(texts[1], "<|im_start|>user\nPing it.<|im_end|>\n");
  assert.match(texts[2], /^<\|im_start\|>assistant\n[^]*"ping"[^]*<\|im_end\|>\n$/);
  assert.match(texts[3], /^<\|im_start\|>user\n<tool_response>\npong[^]*<\|im_end\|>\n$/);
  const [{ tokens, thinking: [from, to] = [0, 0] }] = shown[0].blocks.slice(-1);
  const think = tokens.slice(from, to).map(({ text }) => text).join("");
  assert.equal(think, "<think>\nHm.\n</think>");
  assert.deepEqual([rows.map(({ refused }) => refused), more], [
    [undefined, undefined, "answer: expected a string, got nothing", undefined],
    false,
  ]);
  const [two] = await previewRows(sources, { ...options, tokenizer, most: 2 });
  assert.deepEqual([two.rows.length, two.more], [2, true]);
});

Deno.test("previewRows() reads no row once it has shown as many tokens as it may", async () => {
  await using folder = await tempFolder();
  // 17 tokens each.
  const row = JSON.stringify({ prompt: "The sky is", completion: " blue." });
  const path = await folder.write("rows.jsonl", `${row}\n`.repeat(4));
  const tokenizer = createTokenizer(byteTokenizerFiles());
  const source = { path, files: [path] };
  const shown = async (sources: number, mostTokens: number) =>
    (await previewRows(Array(sources).fill(source), { ...options, tokenizer, mostTokens }))
      .map(({ rows, more }) => [rows.length, more]);
  assert.deepEqual(await shown(1, 67), [[4, false]]);
  assert.deepEqual(await shown(1, 17), [[2, true]]);
  assert.deepEqual(await shown(1, 16), [[1, true]]);
  // The second source has what the first one left: 33.
  assert.deepEqual(await shown(2, 101), [[4, false], [2, true]]);
});

Deno.test("previewRows() shows both replies of a pair, as training takes them", async () => {
  await using folder = await tempFolder();
  const chat = [{ role: "user", content: "?" }, { role: "assistant", content: "a" }];
  const asked = [...chat, { role: "user", content: "??" }];
  const file = await folder.write(
    "pairs.jsonl",
    JSON.stringify({
      prompt: asked,
      chosen: [{ role: "assistant", content: "b" }],
      rejected: [{ role: "assistant", content: "c" }],
    }),
  );
  const tokenizer = await qwen3Tokenizer();
  const [{ rows }] = await previewRows([{ path: file, files: [file] }], {
    ...options,
    tokenizer,
    teach: "last",
  });
  const { examples, report } = await readExamples(file, { tokenizer, maxLength: 1024 });
  assert.equal(report.pairs, 1);
  assert.deepEqual(rows[0].examples.map(({ half }) => half), ["chosen", "rejected"]);
  assert.deepEqual(
    rows[0].examples.map(({ blocks }) =>
      blocks.flatMap(({ tokens }) => tokens.map(({ id, taught }) => taught ? id : -100))
    ),
    examples.map(({ labels }) => [...labels]),
  );
  assert.match(
    formatPreview([{ path: file, rows, more: false }], { width: 80, color: false }).join("\n"),
    /preference pair[^]*\n {2}chosen: \d+ tokens[^]*\n {2}rejected: \d+ tokens/,
  );
});

async function bytesPreview(folder: TempFolder): ReturnType<typeof previewRows> {
  const tokenizer: Tokenizer = createTokenizer(byteTokenizerFiles());
  const path = await written(folder);
  return await previewRows([{ path, files: [path] }], {
    ...options,
    tokenizer,
    columns: { tools: "" },
    teach: "last",
  });
}

Deno.test("formatPreview() gives a terminal roles, tokens and what is taught, on lines of their own", async () => {
  await using folder = await tempFolder();
  const preview = await bytesPreview(folder);
  const lines = formatPreview(preview, { width: 80, color: false });
  const at = lines.indexOf("Line 4: prompt and completion (prompt, completion)");
  assert.deepEqual(lines.slice(at + 1, at + 5), [
    "  17 tokens, 7 taught; ends with <|im_end|>",
    "  role        tokens  taught  text",
    "  prompt          10       -  The sky is",
    "  completion       7       7   blue.<|im_end|>",
  ]);
  assert.ok(lines.includes("  refused: answer: expected a string, got nothing"));
  assert.ok(!lines.join("").includes("\x1b"));
  const colored = formatPreview(preview, { width: 80, color: true });
  assert.ok(colored.includes("\x1b[32m  completion       7       7   blue.<|im_end|>\x1b[0m"));
  assert.ok(colored.includes("\x1b[2m  prompt          10       -  The sky is\x1b[0m"));
  assert.ok(colored.every((line) => !line.includes("\x1b[31m")));
});

Deno.test("renderPreview() is one page whose data are inert, and that asks nobody for anything", async () => {
  await using folder = await tempFolder();
  const preview = await bytesPreview(folder);
  const page = await renderPreview(preview);
  assert.equal(page, await renderPreview(preview));
  assert.match(page, /content="default-src &#39;none&#39;; style-src &#39;sha256-/);
  assert.equal(page.match(/<script/g)?.length, 1);
  const data = page.slice(page.indexOf("<main>"), page.indexOf("<footer>"));
  assert.doesNotMatch(data, /<script|<img|style=/);
  assert.ok(!data.includes("\x1b"));
  assert.equal(page.match(/<article>/g)?.length, 4);
  const shown = data.replace(/<[^>]*>/g, "");
  assert.ok(shown.includes("&lt;script&gt;alert(1)&lt;/script&gt;"));
  // But for the escaped text of a row.
  assert.doesNotMatch(page.replaceAll("&lt;img src=x", ""), /\b(?:src|href)=|https?:|url\(/);
  assert.match(page, /<b data-i="258" class="s">&lt;\|im_end\|&gt;<\/b><\/div>/);
  assert.match(page, /<details><summary>/);
});

Deno.test("deno task data --preview writes the page and splits nothing", async () => {
  await using folder = await quickstartFolder();
  const args = ["--preview", "train.jsonl", "--preview-rows", "3"];
  const none = await runTask("data", folder.path, args);
  assert.deepEqual([none.code, none.stdout], [2, ""], none.stderr);
  assert.match(none.stderr, /Cannot show tokens without a tokenizer: give --model/);
  const before = await Deno.readTextFile(`${folder.path}/data/train.jsonl`);
  const { code, stdout, stderr } = await runTask("data", folder.path, [...args, "--model", "tiny"]);
  assert.equal(code, 0, stderr);
  assert.match(
    stdout,
    /^Line 1: question and answer \(question, think, answer\)\n {2}\d+ tokens, /,
  );
  assert.match(stdout, /: the first 3 rows; --preview-rows shows more: 3 rows, 3 examples, /);
  assert.match(stdout, /data\/preview\.html\s*$/);
  const page = await Deno.readTextFile(`${folder.path}/data/preview.html`);
  assert.equal(page.match(/<article>/g)?.length, 3);
  assert.equal(await Deno.readTextFile(`${folder.path}/data/train.jsonl`), before);
});

Deno.test("deno task data --preview shows files, folders and patterns as training takes them", async () => {
  await using folder = await quickstartFolder();
  for (const name of ["many/train-0", "many/train-1", "many/test-0"]) {
    await Deno.mkdir(`${folder.path}/data/many`, { recursive: true });
    const rows = [..."abc"].map((text) =>
      JSON.stringify({ question: `${name} ${text}`, answer: "a" })
    );
    await folder.write(`data/${name}.jsonl`, rows.join("\n"));
  }
  await folder.write("data/one.csv", "question,answer\nhi,there\n");
  const args = ["--preview", "many", "one.csv", "--preview", "many/test-*", "--preview-rows", "8"];
  const { code, stdout, stderr } = await runTask("data", folder.path, [...args, "--model", "tiny"]);
  assert.equal(code, 0, stderr);
  assert.deepEqual(stdout.match(/^.*(?:rows refused|: question and answer) /gm), [
    "data/many/train-0.jsonl, line 1: question and answer ",
    "Line 2: question and answer ",
    "Line 1: question and answer ",
  ]);
  assert.deepEqual(
    [...stdout.matchAll(/^(\S+): (.*): (\d) rows?,.* 0 rows refused$/gm)].map((each) =>
      each.slice(1)
    ),
    [
      ["data/many", "the first 3 rows; --preview-rows shows more", "3"],
      ["data/one.csv", "all rows", "1"],
      ["data/many/test-*", "all rows", "3"],
    ],
  );
  const page = await Deno.readTextFile(`${folder.path}/data/preview.html`);
  assert.deepEqual(page.match(/(?<=<h2[^>]*>)[^<]*/g), [
    "data/many",
    "data/one.csv",
    "data/many/test-*",
  ]);
});

Deno.test({
  name:
    "the page of a preview searches rows and folds thinking, under its own policy (needs chromium)",
  ignore: CHROMIUM === undefined,
  async fn() {
    await using folder = await tempFolder();
    const html = await renderPreview(await bytesPreview(folder));
    const path = await folder.write("preview.html", html);
    const browser = await chromium.launch({
      executablePath: await chromiumPath(),
      args: ["--no-sandbox", "--disable-gpu"],
    });
    try {
      const page = await browser.newPage();
      const faults: string[] = [];
      page.on("console", (message) => faults.push(message.text()));
      page.on("pageerror", (error) => faults.push(String(error)));
      page.on("request", (request) => {
        if (request.url() !== `file://${path}`) faults.push(request.url());
      });
      await page.goto(`file://${path}`);
      const rows = page.locator("article");
      const shown = (): Promise<number> => rows.filter({ visible: true }).count();
      assert.equal(await shown(), 4);
      await page.fill("#search", "THE SKY");
      assert.equal(await shown(), 1);
      await page.fill("#search", "alert(1)");
      assert.equal(await shown(), 1);
      const thinking = page.locator("details .tokens").first();
      assert.equal(await thinking.isVisible(), false);
      await page.locator("summary").first().click();
      assert.equal(await thinking.isVisible(), true);
      await page.fill("#search", "no row has this");
      assert.deepEqual([await shown(), await page.locator("#none").isVisible()], [0, true]);
      assert.deepEqual(faults, []);
    } finally {
      await browser.close();
    }
  },
});
