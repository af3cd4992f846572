/**
 * Pictures of the pages for docs/, and more of them to look at: light, dark, on a phone, in Chinese.
 *
 *     deno task bench:screenshots                      # a minute or two on two cores; needs chromium
 *     deno task bench:screenshots --folder output/kept # trains once, takes the pictures again
 *
 * In: a folder for the runs that the pages show (a temporary one where not given). Out: the pictures of
 * docs/ in docs/, all pictures in the folder's `pictures/`, and their sizes. The runs are those of
 * docs/serve.md: the quickstart, and adapters on it that learn its four held-out records.
 */

import { mkdir } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import { type Browser, chromium, type Page } from "playwright-core";
import { evalRecords, systemPrompt, trainRecords } from "../examples/quickstart/records.ts";
import { isFile } from "../internal/path_kind.ts";
import { chromiumPath } from "../tests/support/chromium.ts";
import { type RunningProcess, startDeno } from "../tests/support/process.ts";
import { repositoryPath } from "../tests/support/run_script.ts";
import { runTask, task } from "../tests/support/run_task.ts";

/** Held out by the quickstart, and learned by its adapters. */
const [CHINESE_QUESTION, QUESTION] = evalRecords.map(({ question }) => question);
/** A question of the quickstart itself. */
const TRAINED_QUESTION = trainRecords[1].question;
/** Places in the chat page's list of models. */
const BASE = 0;
const BOTH = 2;
/** Milliseconds within which a page shows what a picture waits for. */
const PATIENCE = 120_000;
/** Bytes that a picture in docs/ may have, so that clones stay small. */
const MOST_BYTES = 150_000;

/** What a picture is taken with. */
interface View {
  readonly width?: number;
  readonly height?: number;
  readonly dark?: boolean;
  readonly chinese?: boolean;
  /** A phone's screen, 390 by 844. */
  readonly phone?: boolean;
}

interface Picture extends View {
  readonly name: string;
  readonly url: string;
  /** Goes to docs/ too. */
  readonly docs?: boolean;
  /** The whole page, however long. */
  readonly whole?: boolean;
  /** Brings the page to what is to be shown. */
  readonly act: (page: Page) => Promise<unknown>;
}

const kept = Deno.args[0] === "--folder" ? Deno.args[1] : undefined;
const folder = await Deno.realPath(
  kept === undefined ? await Deno.makeTempDir() : (await mkdir(kept, { recursive: true }), kept),
);
await trainOnce("quickstart", "quickstart", []);
for (const [name, rank] of [["quickstart-lora", 8], ["quickstart-lora-32", 32]] as const) {
  await trainOnce(name, "train:lora", [
    ...["--model", "output/quickstart", "--train-file", "output/quickstart/data/val.jsonl"],
    ...["--max-length", "512", "--learning-rate", "0.01", "--num-train-epochs", "60"],
    ...["--gradient-accumulation-steps", "1", "--lora-dropout", "0", "--lora-rank", `${rank}`],
  ]);
}
await mkdir(`${folder}/data`, { recursive: true });
await Deno.copyFile(`${folder}/output/quickstart/data/train.jsonl`, `${folder}/data/rows.jsonl`);
await runOnce("data/report.html", "data", ["--source", "data/rows.jsonl"]);

await runOnce("output/eval/report.html", "eval", [
  ...["--model", "output/quickstart", "--adapter", "output/quickstart-lora"],
  ...["--data", "output/quickstart/data/val.jsonl", "--max-new-tokens", "160"],
]);
// Chats that the tiny model knows: of another text its perplexity would be in the hundreds, whatever rounding costs.
await Deno.writeTextFile(
  `${folder}/data/chats.txt`,
  trainRecords.map(({ question, think, answer }) =>
    `<|im_start|>system\n${systemPrompt}<|im_end|>\n<|im_start|>user\n${question}<|im_end|>\n` +
    `<|im_start|>assistant\n<think>\n${think}\n</think>\n\n${answer}<|im_end|>\n`
  ).join(""),
);
for (
  const [name, flags] of [
    ["onnx", ["--dtype", "fp32,fp16,q4,q4f16"]],
    ["gguf", ["--format", "gguf", "--dtype", "f16,q8_0,q4_k_m", "--verify"]],
  ] as const
) {
  await runOnce(`output/${name}/parity.html`, "export", [
    ...["--model", "output/quickstart", "--output-dir", `output/${name}`],
    ...["--parity-file", "chats.txt", ...flags],
  ]);
}
await runOnce("output/compare/report.html", "compare", ["--exports", "onnx", "gguf"]);

const pictures = `${folder}/pictures`;
await mkdir(pictures, { recursive: true });
await using serve = startTask("serve", [
  ...["--model", "output/quickstart", "--adapter", "output/quickstart-lora", "--port", "0"],
]);
await using dashboard = startTask("dashboard", ["--port", "0"]);
const [chat, runs] = await Promise.all([address(serve), address(dashboard)]);
const report = pathToFileURL(`${folder}/output/quickstart/report.html`).href;
const dataReport = pathToFileURL(`${folder}/data/report.html`).href;
const evalReport = pathToFileURL(`${folder}/output/eval/report.html`).href;
const exportsReport = pathToFileURL(`${folder}/output/compare/report.html`).href;
const browser = await chromium.launch({
  executablePath: await chromiumPath(),
  args: ["--no-sandbox"],
});
try {
  for (const view of [{}, { dark: true }, { phone: true }, { chinese: true }]) {
    const kind = Object.keys(view)[0] ?? "light";
    await take(browser, { name: `chat-empty-${kind}`, url: chat, act: whenIdle, ...view });
    await take(browser, {
      name: `dashboard-${kind}`,
      url: runs,
      docs: ["light", "chinese"].includes(kind),
      act: (page) => page.waitForSelector("svg path"),
      width: 1340,
      height: 900,
      ...view,
    });
    const whole = { whole: true, act: (page: Page) => page.waitForTimeout(200), ...view };
    await take(browser, { name: `report-${kind}`, url: report, ...whole });
    await take(browser, { name: `data-report-${kind}`, url: dataReport, ...whole });
    await take(browser, {
      name: `exports-${kind}`,
      url: exportsReport,
      docs: kind === "light",
      act: (page) => page.waitForSelector("article"),
      height: 1100,
      ...view,
    });
    await take(browser, {
      name: `eval-${kind}`,
      url: evalReport,
      act: (page) => page.selectOption("#sort", "rouge_l"),
      height: 1180,
      ...view,
    });
  }
  const both = (page: Page) => ask(page, QUESTION, BOTH);
  const base = (page: Page) => ask(page, TRAINED_QUESTION, BASE);
  const chinese = (page: Page) => ask(page, CHINESE_QUESTION, BOTH);
  await take(browser, { name: "chat-light", url: chat, docs: true, act: both });
  await take(browser, { name: "chat-dark", url: chat, docs: true, dark: true, act: base });
  await take(browser, { name: "chat-phone", url: chat, docs: true, phone: true, act: base });
  await take(browser, { name: "chat-chinese", url: chat, docs: true, chinese: true, act: chinese });
} finally {
  await browser.close();
}
console.log(`all pictures: ${pictures}`);

/** Trains into `output/name` where no run has ended there. */
async function trainOnce(name: string, command: string, flags: readonly string[]): Promise<void> {
  await runOnce(`output/${name}/report.html`, command, [
    ...["--output-dir", `output/${name}`],
    ...flags,
  ]);
}

/** Runs a task in the folder where it has not left its file there. */
async function runOnce(file: string, command: string, flags: readonly string[]): Promise<void> {
  if (await isFile(`${folder}/${file}`)) return;
  console.log(`${command}: ${file}`);
  const { code, stderr } = await runTask(command, folder, flags);
  if (code !== 0) throw new Error(`Cannot make ${file}: ${stderr}`);
}

/** Starts a task that serves a page. */
function startTask(name: string, args: readonly string[]): RunningProcess {
  const { flags, script } = task(name);
  return startDeno(repositoryPath(script), { permissions: flags, args, cwd: folder });
}

/** The address that a server says it listens on. */
async function address(server: RunningProcess): Promise<string> {
  const said = /http:\/\/127\.0\.0\.1:\d+\//;
  await server.waitFor(said);
  return said.exec(server.text)![0];
}

/** Opens a page as someone sees it, brings it to what is to be shown, and takes its picture. */
async function take(browser: Browser, picture: Picture): Promise<void> {
  const { name, url, docs, whole, act, dark, chinese, phone, width, height } = picture;
  const context = await browser.newContext({
    viewport: phone ? { width: 390, height: 844 } : { width: width ?? 1100, height: height ?? 720 },
    colorScheme: dark ? "dark" : "light",
    locale: chinese ? "zh-CN" : "en-US",
    isMobile: phone ?? false,
  });
  try {
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE);
    await page.goto(url);
    await act(page);
    const bytes = await page.screenshot({ fullPage: whole ?? false });
    await Deno.writeFile(`${pictures}/${name}.png`, bytes);
    if (docs && bytes.length > MOST_BYTES) {
      throw new RangeError(`Cannot keep ${name}.png: ${bytes.length} bytes exceed ${MOST_BYTES}`);
    }
    if (docs) await Deno.writeFile(repositoryPath(`docs/${name}.png`), bytes);
    console.log(`${name}.png  ${(bytes.length / 1000).toFixed(0)} kB${docs ? ", docs" : ""}`);
  } finally {
    await context.close();
  }
}

/** Waits until the chat page has its models and questions to begin with. */
function whenIdle(page: Page): Promise<unknown> {
  return page.waitForSelector(".example");
}

/** Asks one model or both at once, waits for the replies and opens their thinking. */
async function ask(page: Page, question: string, index: number): Promise<void> {
  await whenIdle(page);
  await page.selectOption("#model", { index });
  await page.fill("#question", question);
  await page.press("#question", "Enter");
  await page.waitForSelector("#stop", { state: "visible" });
  await page.waitForSelector("#send", { state: "visible" });
  const thinking = await page.locator("details.think:not([open]) summary").all();
  for (const closed of thinking.reverse()) await closed.click();
}
