/**
 * The page to chat with, in the browser.
 *
 * In: the server's models and what is typed. Out: replies as they come, thinking apart. Text becomes
 * markup in one place, `markdown()`: raw HTML is shown as text, and what marked made goes through
 * DOMPurify with a short list of tags.
 */

import DOMPurify from "dompurify";
import { Marked } from "marked";
import { WORDS } from "./chat_words.js";

/**
 * @typedef {import("./page_answers.ts").ChunkChoice} ChunkChoice
 * @typedef {import("./page_answers.ts").CompletionChunk} CompletionChunk
 * @typedef {import("./page_answers.ts").ErrorAnswer} ErrorAnswer
 * @typedef {import("./page_answers.ts").ModelAnswer} ModelAnswer
 * @typedef {import("./page_answers.ts").ModelList} ModelList
 * @typedef {import("./page_answers.ts").PageSettings} PageSettings
 */

/**
 * A reply of one model: `tokens` made in `ms` milliseconds, of which it thought for `thinkMs`.
 * @typedef {{
 *   model: string,
 *   think: string,
 *   answer: string,
 *   state: "waiting" | "thinking" | "answering" | "done" | "cut" | "stopped" | "failed",
 *   error?: string,
 *   tokens?: number,
 *   ms?: number,
 *   thinkMs?: number,
 * }} Reply
 * @typedef {{ question: string, replies: Reply[] }} Turn
 * @typedef {{ created: number, turns: Turn[] }} Chat
 * @typedef {typeof WORDS.en} Words
 * @typedef {keyof { [Key in keyof Words as Words[Key] extends string ? Key : never]: never }} TextKey
 */

/**
 * The elements of chat_page.html by their ids.
 * @typedef {{ [Id in "chats" | "health" | "key-problem" | "log" | "stage" | "status"]: HTMLElement }
 *   & { [Id in "close" | "language" | "menu" | "new" | "prompt" | "reset" | "send" | "settings" |
 *     "stop"]: HTMLButtonElement }
 *   & { [Id in "key" | "maxTokens" | "seed" | "temperature" | "thinking" | "topK" | "topP"]:
 *     HTMLInputElement }
 *   & { [Id in "question" | "system"]: HTMLTextAreaElement }
 *   & { [Id in "composer" | "key-form"]: HTMLFormElement }
 *   & { [Id in "dialog" | "key-dialog"]: HTMLDialogElement }
 *   & { model: HTMLSelectElement }} PageElements
 */

const CHATS_KEY = "ortune.chats";
const SETTINGS_KEY = "ortune.settings";
const API_KEY = "ortune.key";
/** Chats kept: localStorage holds some 5 MB. */
const MAX_CHATS = 100;
/** Milliseconds between two renderings of a text that grows. */
const RENDER_EVERY = 60;
const BOTH = "*";
const DEFAULTS = {
  model: "",
  // Null is the server's own.
  system: /** @type {string | null} */ (null),
  thinking: true,
  temperature: "",
  topP: "",
  topK: "",
  maxTokens: "",
  seed: "",
};

/**
 * @template {keyof PageElements} Id
 * @param {Id} id
 */
const $ = (id) => /** @type {PageElements[Id]} */ (document.getElementById(id));
/** @typedef {typeof DEFAULTS & { language: string }} Settings */
/** @type {Settings} */
const settings = {
  ...DEFAULTS,
  language: "",
  .../** @type {Partial<Settings> | undefined} */ (load(SETTINGS_KEY)),
};
let chats = loadChats();
/** @type {Chat} */
let current;
/** @type {readonly ModelAnswer[]} */
let models = [];
let serverSystem = "";
/** @type {PageSettings["systems"]} */
let serverSystems = {};
/** @type {PageSettings["examples"]} */
let examples = [];
/**
 * What ends the replies under way.
 * @type {Set<AbortController>}
 */
const running = new Set();
/** @type {Words} */
let words;

// ---- small things ----

/**
 * Makes an element: of what is set, names with "-" and `role` are attributes, others properties.
 * @template {keyof HTMLElementTagNameMap} Name
 * @param {Name} name
 * @param {Partial<HTMLElementTagNameMap[Name]>
 *   & { classes?: string, text?: string, "aria-label"?: string }} [options]
 * @param {...(Node | string)} children
 */
function element(name, { classes, text, ...properties } = {}, ...children) {
  const made = document.createElement(name);
  if (classes) made.className = classes;
  if (text !== undefined) made.textContent = text;
  /** @type {[string, unknown][]} */
  const entries = Object.entries(properties);
  for (const [property, value] of entries) {
    if (property.includes("-") || property === "role") made.setAttribute(property, String(value));
    else Object.assign(made, { [property]: value });
  }
  made.append(...children);
  return made;
}

/**
 * What the browser keeps under a name; undefined for nothing, or nothing that can be read.
 * @param {string} key
 * @returns {unknown}
 */
function load(key) {
  try {
    return JSON.parse(localStorage.getItem(key) ?? "null") ?? undefined;
  } catch {
    return undefined;
  }
}

/** @returns {Chat[]} */
function loadChats() {
  const kept = load(CHATS_KEY);
  return Array.isArray(kept) ? kept.filter(isChat) : [];
}

/** @type {(chat: Partial<Chat> | null) => chat is Chat} */
function isChat(chat) {
  /** @param {Partial<Reply> | null} reply */
  const isReply = (reply) =>
    [reply?.model, reply?.think, reply?.answer].every((each) => typeof each === "string");
  return Array.isArray(chat?.turns) &&
    chat.turns.every((turn) =>
      typeof turn?.question === "string" && Array.isArray(turn.replies) &&
      turn.replies.every(isReply)
    );
}

function save() {
  try {
    const kept = chats.filter((chat) => chat.turns.length > 0).slice(0, MAX_CHATS);
    localStorage.setItem(CHATS_KEY, JSON.stringify(kept));
    localStorage.setItem(SETTINGS_KEY, JSON.stringify(settings));
  } catch {
    tell(words.notSaved);
  }
}

/**
 * Says something to who listens instead of looking.
 * @param {string} text
 */
function tell(text) {
  $("status").textContent = text;
}

/** @param {number} milliseconds */
const seconds = (milliseconds) => (milliseconds / 1000).toFixed(milliseconds < 9950 ? 1 : 0);

// ---- markdown ----

/** @param {{ raw: string, text: string }} token */
const asText = (token) => escapeHtml(token.raw ?? token.text);
const parser = new Marked({
  gfm: true,
  breaks: true,
  // Tags are shown, not made; and no picture is fetched from anywhere.
  // A box to tick would be one to operate.
  renderer: { html: asText, image: asText, checkbox: ({ checked }) => checked ? "☑ " : "☐ " },
});

/** @param {string} text */
function escapeHtml(text) {
  /** @type {Record<string, string>} */
  const entities = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
  return text.replace(/[&<>"']/g, (character) => entities[character]);
}

const ALLOWED = {
  ALLOWED_TAGS: [
    ...["p", "br", "hr", "strong", "em", "del", "code", "pre", "blockquote", "a"],
    ...["h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li"],
    ...["table", "thead", "tbody", "tr", "th", "td"],
  ],
  ALLOWED_ATTR: ["href", "start", "align"],
  ALLOWED_URI_REGEXP: /^(https?:|mailto:)/i,
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  RETURN_DOM_FRAGMENT: /** @type {const} */ (true),
};

/** @param {string} text */
function markdown(text) {
  const fragment = DOMPurify.sanitize(parser.parse(text, { async: false }), ALLOWED);
  for (const link of fragment.querySelectorAll("a")) {
    link.target = "_blank";
    link.rel = "noopener noreferrer nofollow";
  }
  for (const pre of fragment.querySelectorAll("pre")) {
    const code = pre.textContent;
    const box = element("div", { classes: "code" });
    pre.replaceWith(box);
    pre.tabIndex = 0;
    box.append(pre, copyButton(() => code));
  }
  for (const table of fragment.querySelectorAll("table")) {
    const box = element("div", { classes: "wide", tabIndex: 0 });
    table.replaceWith(box);
    box.append(table);
  }
  return fragment;
}

// Browsers lend the clipboard to this machine's pages and to secure ones only.
const canCopy = navigator.clipboard !== undefined;

/** @param {() => string} text */
function copyButton(text) {
  const button = element("button", {
    classes: "small",
    type: "button",
    text: words.copy,
    hidden: !canCopy,
  });
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text());
    button.textContent = words.copied;
    tell(words.copied);
    setTimeout(() => button.textContent = words.copy, 1500);
  });
  return button;
}

// ---- the server ----

/**
 * @param {string} path
 * @param {RequestInit} options
 */
function ask(path, options = {}) {
  const key = sessionStorage.getItem(API_KEY);
  const headers = {
    ...(options.body ? { "content-type": "application/json" } : {}),
    ...(key ? { authorization: `Bearer ${key}` } : {}),
  };
  return fetch(path, { ...options, headers });
}

/**
 * The events of a reply.
 * @param {Response} response
 * @returns {AsyncGenerator<CompletionChunk | ErrorAnswer, void, void>}
 */
async function* events(response) {
  let rest = "";
  // An answer to a POST has a body.
  const body = /** @type {NonNullable<Response["body"]>} */ (response.body);
  for await (const chunk of read(body.pipeThrough(new TextDecoderStream()))) {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line.startsWith("data: ") && line !== "data: [DONE]") yield JSON.parse(line.slice(6));
    }
  }
}

/**
 * A stream's chunks, in browsers whose streams cannot be iterated, too.
 * @template Chunk
 * @param {ReadableStream<Chunk>} stream
 */
async function* read(stream) {
  const reader = stream.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/**
 * @param {Chat} chat
 * @param {Turn} turn
 * @param {string} model
 */
function requestBody(chat, turn, model) {
  // Unless it was changed here the server adds the model's own; an empty one asks for none.
  const { system } = settings;
  /** @type {{ role: string, content: string, reasoning_content?: string }[]} */
  const messages = system === null ? [] : [{ role: "system", content: system.trim() && system }];
  for (const each of chat.turns) {
    messages.push({ role: "user", content: each.question });
    if (each === turn) break;
    // Each model goes on from its own words, or from those that there are.
    const said = each.replies.find((reply) => reply.model === model) ?? each.replies[0];
    if (said) {
      messages.push({
        role: "assistant",
        content: said.answer,
        ...(said.think ? { reasoning_content: said.think } : {}),
      });
    }
  }
  /** @param {string} value */
  const number = (value) => value === "" ? undefined : Number(value);
  return {
    model,
    messages,
    stream: true,
    stream_options: { include_usage: true },
    temperature: number(settings.temperature),
    top_p: number(settings.topP),
    top_k: number(settings.topK),
    max_tokens: number(settings.maxTokens),
    seed: number(settings.seed),
    ...(settings.thinking ? {} : { chat_template_kwargs: { enable_thinking: false } }),
  };
}

/**
 * Makes one reply, and shows it as it grows.
 * @param {Chat} chat
 * @param {Turn} turn
 * @param {Reply} reply
 * @param {ReplyView} view
 */
async function generate(chat, turn, reply, view) {
  const controller = new AbortController();
  running.add(controller);
  busy();
  const began = performance.now();
  /** @type {Partial<Reply>} */
  const anew = { think: "", answer: "", state: "waiting", error: "", tokens: 0 };
  Object.assign(reply, anew);
  /** @type {number | undefined} */
  let thinkingSince;
  const timeThinking = () => {
    if (reply.state !== "thinking") return;
    reply.thinkMs = performance.now() - (thinkingSince ?? began);
  };
  const clock = setInterval(() => {
    timeThinking();
    view.update();
    save();
  }, 500);
  view.update();
  try {
    const response = await ask("/v1/chat/completions", {
      method: "POST",
      body: JSON.stringify(requestBody(chat, turn, reply.model)),
      signal: controller.signal,
    });
    if (response.status === 401) askKey();
    if (!response.ok) {
      const { error } = /** @type {ErrorAnswer} */ (await response.json());
      throw new Error(response.status === 429 ? words.busy : error.message);
    }
    /** @type {ChunkChoice["finish_reason"]} */
    let finish = "stop";
    for await (const event of events(response)) {
      if ("error" in event) throw new Error(event.error.message);
      if (event.usage) reply.tokens = event.usage.completion_tokens;
      const [choice] = event.choices;
      if (!choice) continue;
      const { reasoning_content: thought, content } = choice.delta;
      if (thought) {
        thinkingSince ??= performance.now();
        reply.state = "thinking";
        reply.think += thought;
      }
      if (content) {
        timeThinking();
        if (reply.state !== "answering") tell(words.answering);
        reply.state = "answering";
        reply.answer += content;
      }
      finish = choice.finish_reason ?? finish;
      view.update();
    }
    reply.state = finish === "length" ? "cut" : "done";
    tell(words.answered);
  } catch (error) {
    timeThinking();
    reply.state = controller.signal.aborted ? "stopped" : "failed";
    const message = error instanceof Error ? error.message : String(error);
    reply.error = error instanceof TypeError ? words.unreachable : message;
    if (reply.state === "stopped") tell(words.stopped);
  } finally {
    clearInterval(clock);
    reply.ms = performance.now() - began;
    running.delete(controller);
    view.update(true);
    busy();
    save();
  }
}

function stop() {
  for (const controller of running) controller.abort();
}

/** Shows what may be done now. */
function busy() {
  const working = running.size > 0;
  const focused = document.activeElement === $("stop") || document.activeElement === $("send");
  $("stop").hidden = !working;
  $("send").hidden = working;
  if (focused) $(working ? "stop" : "send").focus();
  $("model").disabled = working;
  $("new").disabled = working;
  /** @type {NodeListOf<HTMLButtonElement>} */
  const buttons = document.querySelectorAll(".retry, #chats button");
  for (const button of buttons) button.disabled = working;
}

// ---- the conversation ----

/** @typedef {ReturnType<typeof replyView>} ReplyView */

/**
 * One reply's elements, and a way to bring them up to date.
 * @param {Chat} chat
 * @param {Turn} turn
 * @param {Reply} reply
 */
function replyView(chat, turn, reply) {
  const summary = element("summary");
  const thought = element("div", { classes: "thought" });
  const think = element("details", { classes: "think", hidden: true }, summary, thought);
  const waiting = element("p", { classes: "waiting", text: words.waiting });
  const answer = element("div", { classes: "answer" });
  const problem = element("p", { classes: "problem", role: "alert", hidden: true });
  const note = element("span", { classes: "note" });
  const retry = element("button", { classes: "small retry", type: "button", text: words.retry });
  const copy = copyButton(() => reply.answer);
  const tools = element("div", { classes: "tools", hidden: true }, copy, retry, note);
  const name = element("h2", { text: reply.model });
  const root = element(
    "article",
    { classes: "reply", "aria-label": reply.model },
    name,
    waiting,
    think,
    answer,
    problem,
    tools,
  );
  let shown = { think: "", answer: "", state: "" };
  let touched = false;
  /** @type {number | undefined} */
  let timer;
  summary.addEventListener("click", () => touched = true);
  const view = { root, update };

  function update(now = false) {
    if (!now && timer !== undefined) return;
    if (!now) {
      timer = setTimeout(() => {
        timer = undefined;
        show();
      }, RENDER_EVERY);
      return;
    }
    clearTimeout(timer);
    timer = undefined;
    show();
  }

  function show() {
    const log = $("log");
    const stuck = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
    const { state, error = "", tokens = 0, ms = 0 } = reply;
    const working = ["waiting", "thinking", "answering"].includes(state);
    root.setAttribute("aria-busy", String(working));
    waiting.hidden = state !== "waiting";
    think.hidden = reply.think === "";
    think.classList.toggle("live", state === "thinking");
    const time = seconds(reply.thinkMs ?? 0);
    summary.textContent = state === "thinking" ? words.thinkingNow(time) : words.thought(time);
    const silent = state === "done" && reply.answer === "";
    if (!touched) think.open = state === "thinking" || silent;
    if (shown.think !== reply.think) {
      thought.textContent = reply.think;
      thought.scrollTop = thought.scrollHeight;
    }
    if (shown.answer !== reply.answer) answer.replaceChildren(markdown(reply.answer));
    problem.hidden = state !== "failed";
    problem.textContent = state === "failed" ? error : "";
    tools.hidden = working;
    copy.hidden = !canCopy || reply.answer === "";
    const speed = (1000 * tokens / ms).toFixed(1);
    note.textContent = [
      ...(state === "stopped" ? [words.stopped] : []),
      ...(silent ? [words.silent] : []),
      ...(state === "cut" ? [words.cut] : []),
      ...(tokens > 0 && !working ? [words.stats(tokens, speed)] : []),
    ].join(" · ");
    shown = { think: reply.think, answer: reply.answer, state };
    if (stuck) log.scrollTop = log.scrollHeight;
  }

  retry.addEventListener("click", () => {
    touched = false;
    generate(chat, turn, reply, view);
  });
  show();
  return view;
}

/**
 * A turn's elements, and views of its replies.
 * @param {Chat} chat
 * @param {Turn} turn
 */
function turnView(chat, turn) {
  const views = turn.replies.map((reply) => replyView(chat, turn, reply));
  const question = element(
    "div",
    { classes: "question" },
    element("span", { classes: "unseen", text: words.you }),
    element("p", { text: turn.question }),
  );
  const replies = element(
    "div",
    { classes: views.length > 1 ? "replies pair" : "replies" },
    ...views.map(({ root }) => root),
  );
  return { root: element("section", { classes: "turn" }, question, replies), views };
}

/**
 * A question that is asked by a click.
 * @param {string} text
 */
function exampleItem(text) {
  const button = element("button", { classes: "example", type: "button", text, dir: "auto" });
  button.addEventListener("click", () => {
    $("question").value = text;
    $("composer").requestSubmit();
  });
  return element("li", {}, button);
}

function showChat() {
  const log = $("log");
  log.replaceChildren();
  if (current.turns.length === 0) {
    log.append(element(
      "div",
      { classes: "welcome" },
      element("img", { src: "/favicon.svg", alt: "", width: 56, height: 56 }),
      element("h2", { text: words.welcome }),
      element("p", { text: words.welcomeHint }),
      element(
        "ul",
        { classes: "examples", "aria-label": words.examplesLabel },
        ...(examples.length > 0 ? examples : words.examples).map(exampleItem),
      ),
    ));
  }
  for (const turn of current.turns) log.append(turnView(current, turn).root);
  log.scrollTop = log.scrollHeight;
  showChats();
}

function showChats() {
  $("chats").replaceChildren(...chats.map((chat) => {
    const title = chat.turns[0]?.question.trim().slice(0, 60) || words.untitled;
    const open = element("button", { type: "button", classes: "chat", text: title });
    if (chat === current) open.setAttribute("aria-current", "true");
    open.addEventListener("click", () => openChat(chat));
    const remove = element("button", {
      type: "button",
      classes: "icon remove",
      text: "×",
      "aria-label": words.remove(title),
    });
    remove.addEventListener("click", () => {
      chats = chats.filter((each) => each !== chat);
      save();
      openChat(chat === current ? chats[0] : current);
    });
    return element("li", {}, open, remove);
  }));
}

/** @param {Chat} [chat] a new one where it is left out */
function openChat(chat) {
  if (!chat) {
    chat = { created: Date.now(), turns: [] };
    chats.unshift(chat);
  }
  // An empty chat that is left was never one.
  chats = chats.filter((each) => each === chat || each.turns.length > 0);
  current = chat;
  showMenu(false);
  showChat();
  $("question").focus();
}

/**
 * On narrow screens the list of chats comes and goes.
 * @param {boolean} open
 */
function showMenu(open) {
  document.body.classList.toggle("menu", open);
  $("menu").setAttribute("aria-expanded", String(open));
}

const menuIsOpen = () => document.body.classList.contains("menu");

/** @param {string} question */
function send(question) {
  if (question.trim() === "") return;
  const names = settings.model === BOTH ? models.map(({ id }) => id) : [settings.model];
  /** @type {Turn} */
  const turn = {
    question,
    replies: names.map((model) => ({ model, think: "", answer: "", state: "waiting" })),
  };
  if (current.turns.length === 0) $("log").replaceChildren();
  current.turns.push(turn);
  const { root, views } = turnView(current, turn);
  $("log").append(root);
  $("log").scrollTop = $("log").scrollHeight;
  showChats();
  turn.replies.forEach((reply, i) => generate(current, turn, reply, views[i]));
}

// ---- settings, words and models ----

function showWords() {
  const preferred = navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
  const { language: chosen } = settings;
  const language = chosen === "en" || chosen === "zh" ? chosen : preferred;
  words = WORDS[language];
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const [each, text] of textsOf("word")) each.textContent = text;
  for (const [each, text] of textsOf("label")) {
    each.setAttribute("aria-label", text);
    each.title = each.tagName === "BUTTON" ? text : "";
  }
  for (const [each, text] of textsOf("placeholder")) each.setAttribute("placeholder", text);
  const other = language === "zh" ? "en" : "zh";
  $("language").textContent = WORDS[other].name;
  $("language").lang = other;
  $("language").onclick = () => {
    settings.language = other;
    save();
    showWords();
    showModels();
    showChat();
    busy();
  };
}

/**
 * The elements with a `data-` attribute that names a text, and those texts.
 * @param {"word" | "label" | "placeholder"} attribute
 * @returns {[HTMLElement, string][]}
 */
function textsOf(attribute) {
  /** @type {NodeListOf<HTMLElement>} */
  const found = document.querySelectorAll(`[data-${attribute}]`);
  return [...found].map((each) => [each, words[/** @type {TextKey} */ (each.dataset[attribute])]]);
}

const FIELDS = /** @type {const} */ (["temperature", "topP", "topK", "maxTokens", "seed"]);

/** The system prompts that the models that are asked have of their own, each once. */
function ownPrompts() {
  const asked = settings.model === BOTH ? models.map(({ id }) => id) : [settings.model];
  return [...new Set(asked.map((id) => serverSystems[id] ?? serverSystem))];
}

/** The system prompt that all of them have; empty where there is no one. */
function ownPrompt() {
  const prompts = ownPrompts();
  return prompts.length === 1 ? prompts[0] : "";
}

/** Shows the system prompt that the next question goes below; nothing where it is none. */
function showPrompt() {
  const prompts = settings.system === null ? ownPrompts() : [settings.system.trim()];
  const chip = $("prompt");
  chip.hidden = prompts.length === 1 && prompts[0] === "";
  chip.textContent = prompts.length > 1 ? words.promptsChip : words.promptChip(prompts[0]);
  chip.title = prompts.join("\n\n");
}

function showSettings() {
  $("system").value = settings.system ?? ownPrompt();
  for (const id of FIELDS) $(id).value = settings[id];
  $("thinking").checked = settings.thinking;
}

function readSettings() {
  for (const id of FIELDS) if ($(id).validity.valid) settings[id] = $(id).value;
  settings.system = $("system").value === ownPrompt() ? null : $("system").value;
  settings.thinking = $("thinking").checked;
  save();
  showPrompt();
}

function showModels() {
  /** @param {string} value @param {string} text */
  const option = (value, text) => element("option", { value, text });
  const options = models.map(({ id }) => option(id, id));
  if (models.length > 1) options.push(option(BOTH, words.both(models.map(({ id }) => id))));
  $("model").replaceChildren(...options);
  if (!options.some(({ value }) => value === settings.model)) {
    settings.model = options.at(-1)?.value ?? "";
  }
  $("model").value = settings.model;
  showPrompt();
}

async function findModels() {
  try {
    const response = await ask("/v1/models");
    if (response.status === 401) return askKey();
    ({ data: models } = /** @type {ModelList} */ (await response.json()));
    const started = await ask("/settings.json");
    ({ system: serverSystem, systems: serverSystems, examples } = /** @type {PageSettings} */ (
      await started.json()
    ));
    if (current.turns.length === 0) showChat();
    $("health").textContent = words.connected;
    $("health").classList.remove("lost");
    showModels();
  } catch {
    $("health").textContent = words.unreachable;
    $("health").classList.add("lost");
  }
}

function askKey() {
  $("key-problem").hidden = sessionStorage.getItem(API_KEY) === null;
  if (!$("key-dialog").open) $("key-dialog").showModal();
}

// ---- what is done to the page ----

function fit() {
  const field = $("question");
  field.style.height = "auto";
  field.style.height = `${Math.min(field.scrollHeight, 220)}px`;
}

$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const question = $("question").value;
  if (running.size > 0) return;
  // The question stays until there is a model to ask.
  if (models.length === 0) return void findModels();
  send(question);
  $("question").value = "";
  fit();
  $("question").focus();
});
$("question").addEventListener("input", fit);
$("question").addEventListener("keydown", (event) => {
  // Enter ends the choice of a Chinese character first.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $("composer").requestSubmit();
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || document.querySelector("dialog[open]")) return;
  if (menuIsOpen()) {
    showMenu(false);
    $("menu").focus();
  } else stop();
});
$("stop").addEventListener("click", stop);
$("new").addEventListener("click", () => openChat());
$("menu").addEventListener("click", () => showMenu(!menuIsOpen()));
$("stage").addEventListener("click", ({ target }) => {
  if (target !== $("menu")) showMenu(false);
});
$("model").addEventListener("change", () => {
  settings.model = $("model").value;
  save();
  showPrompt();
});
for (const id of /** @type {const} */ (["settings", "prompt"])) {
  $(id).addEventListener("click", () => {
    showSettings();
    $("dialog").showModal();
  });
}
$("close").addEventListener("click", () => $("dialog").close());
$("dialog").addEventListener("close", readSettings);
$("reset").addEventListener("click", () => {
  Object.assign(settings, { ...DEFAULTS, model: settings.model });
  showSettings();
});
$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(API_KEY, $("key").value.trim());
  $("key").value = "";
  $("key-dialog").close();
  findModels();
});
addEventListener("pagehide", save);
// Another tab's chats are this one's, too: who saves last would else write over them.
addEventListener("storage", ({ key }) => {
  if (key !== CHATS_KEY || running.size > 0) return;
  chats = loadChats();
  const same = chats.find(({ created }) => created === current.created);
  if (same) current = same;
  else chats.unshift(current);
  showChat();
});

showWords();
openChat(chats[0]);
findModels();
