/**
 * A chat with a model that `deno task export` wrote, in this page alone: no request leaves the
 * machine. `?dtype=q4&device=wasm&system=…` choose; by default WebGPU where there is one.
 */

import {
  AutoModelForCausalLM,
  AutoTokenizer,
  env,
  InterruptableStoppingCriteria,
  TextStreamer,
} from "/transformers.js";

/**
 * @typedef {import("/transformers.js").Message} Message
 * @typedef {import("/transformers.js").PreTrainedModel} PreTrainedModel
 * @typedef {import("/transformers.js").PreTrainedTokenizer} PreTrainedTokenizer
 * @typedef {"q4f16" | "q4" | "fp16" | "fp32"} Dtype
 * @typedef {"webgpu" | "wasm"} Device
 */

env.allowRemoteModels = false;
env.allowLocalModels = true;
env.localModelPath = "/";
// The model lies on this machine already; a second copy in the browser's cache would be one too many.
env.useBrowserCache = false;
env.useWasmCache = false;
const { wasm } = /** @type {Required<typeof env.backends.onnx>} */ (env.backends.onnx);
wasm.wasmPaths = {
  mjs: "/ort/ort-wasm-simd-threaded.asyncify.mjs",
  wasm: "/ort/ort-wasm-simd-threaded.asyncify.wasm",
};

const MODEL = "model";
/** @type {Record<string, Dtype>} */
const SUFFIXES = {
  "model_q4f16.onnx": "q4f16",
  "model_q4.onnx": "q4",
  "model_fp16.onnx": "fp16",
  "model.onnx": "fp32",
};

/** @param {string} id */
const find = (id) => /** @type {HTMLElement} */ (document.getElementById(id));
const [status, chat, stop] = ["status", "chat", "stop"].map(find);
const question = /** @type {HTMLTextAreaElement} */ (find("question"));
const ask = /** @type {HTMLButtonElement} */ (find("ask"));
const parameters = new URLSearchParams(location.search);
const stopping = new InterruptableStoppingCriteria();
/** @type {(Message & { reasoning_content?: string })[]} */
const messages = [];
const system = parameters.get("system");
if (system) messages.push({ role: "system", content: system });

/**
 * The smallest of the export's models that runs here.
 * @param {Device} device
 */
async function chooseDtype(device) {
  /** @type {{ "transformers.js_config": { use_external_data_format: Record<string, unknown> } }} */
  const config = await (await fetch(`/${MODEL}/config.json`)).json();
  const files = config["transformers.js_config"].use_external_data_format;
  /** @param {[file: string, dtype: Dtype]} entry */
  const runs = ([, dtype]) => device === "webgpu" || !dtype.endsWith("f16") && dtype !== "fp16";
  const there = Object.entries(SUFFIXES).filter(([file]) => file in files);
  return (there.find(runs) ?? there[0])[1];
}

/**
 * @param {"ready" | "answering" | "failed"} state
 * @param {string} text
 */
function setState(state, text) {
  document.body.dataset.state = state;
  status.textContent = text;
  ask.disabled = state !== "ready";
  stop.hidden = state !== "answering";
}

async function load() {
  // What the address asks for and does not exist, transformers.js refuses.
  const device = /** @type {Device | null} */ (parameters.get("device")) ??
    (await navigator.gpu?.requestAdapter() ? "webgpu" : "wasm");
  const dtype = /** @type {Dtype | null} */ (parameters.get("dtype")) ?? await chooseDtype(device);
  const tokenizer = await AutoTokenizer.from_pretrained(MODEL);
  const model = await AutoModelForCausalLM.from_pretrained(MODEL, { dtype, device });
  setState("ready", `${dtype} on ${device}`);
  return { tokenizer, model };
}

/**
 * What was said so far, thinking and answer apart.
 * @param {string} text
 */
function split(text) {
  const end = text.indexOf("</think>");
  const start = text.indexOf("<think>");
  if (start < 0 && end < 0) return { think: "", answer: text.trim() };
  const think = text.slice(start < 0 ? 0 : start + "<think>".length, end < 0 ? undefined : end);
  return { think: think.trim(), answer: end < 0 ? "" : text.slice(end + "</think>".length).trim() };
}

/**
 * @template {keyof HTMLElementTagNameMap} Name
 * @param {Name} name
 * @param {string} className
 */
function element(name, className, text = "") {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

/**
 * @param {{ tokenizer: PreTrainedTokenizer, model: PreTrainedModel }} loaded
 * @param {string} content
 */
async function reply({ tokenizer, model }, content) {
  messages.push({ role: "user", content });
  const article = element("article", "reply");
  const thinking = element("div", "think");
  const answer = element("div", "answer");
  const details = document.createElement("details");
  details.open = true;
  details.append(element("summary", "", "Thinking"), thinking);
  article.append(element("p", "question", content), details, answer);
  chat.append(article);

  const inputs = tokenizer.apply_chat_template(messages, {
    add_generation_prompt: true,
    return_dict: true,
  });
  let text = "";
  /** @type {number[]} */
  const ids = [];
  const began = performance.now();
  stopping.reset();
  await model.generate({
    ...inputs,
    max_new_tokens: 1024,
    stopping_criteria: stopping,
    streamer: new TextStreamer(tokenizer, {
      skip_prompt: true,
      skip_special_tokens: true,
      token_callback_function: (tokens) => ids.push(...tokens.map(Number)),
      callback_function: (piece) => {
        text += piece;
        const said = split(text);
        thinking.textContent = said.think;
        answer.textContent = said.answer;
      },
    }),
  });
  const said = split(text);
  messages.push({ role: "assistant", content: said.answer, reasoning_content: said.think });
  article.dataset.tokens = ids.join(" ");
  const seconds = (performance.now() - began) / 1000;
  setState("ready", `${ids.length} tokens, ${(ids.length / seconds).toFixed(1)} tokens/s`);
}

/** @param {Error} error */
const failed = (error) => setState("failed", error.message);
const loaded = load();
loaded.catch(failed);

document.querySelector("form")?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const content = question.value.trim();
  if (content === "" || ask.disabled) return;
  question.value = "";
  setState("answering", "…");
  await reply(await loaded, content).catch(failed);
});
stop.addEventListener("click", () => stopping.interrupt());
question.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  question.form?.requestSubmit();
});
