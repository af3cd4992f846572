/** The clients: a row each. To add one, write its script and add its row; see README.md. */

import type { EnvironmentName } from "./environments.ts";

/** One client. */
export interface Client {
  /** Its name, as its authors write it. */
  readonly name: string;
  /** Where it is installed. */
  readonly environment: EnvironmentName;
  /** The script's name, without its ending. */
  readonly script: string;
  /** How a user calls it on what ortune writes or serves. */
  readonly call: string;
  /** Whether it reads folders, or asks the server. */
  readonly of: "files" | "server" | "library";
}

const files = (
  name: string,
  environment: EnvironmentName,
  script: string,
  call: string,
): Client => ({ name, environment, script, call, of: "files" });
const api = (
  name: string,
  environment: EnvironmentName,
  script: string,
  call: string,
): Client => ({ name, environment, script, call, of: "server" });

/** All clients, in the table's order. */
export const CLIENTS: readonly Client[] = [
  files(
    "transformers 5",
    "transformers5",
    "transformers_model",
    "`AutoModelForCausalLM.from_pretrained(checkpoint)`",
  ),
  files(
    "transformers 4",
    "transformers4",
    "transformers_model",
    "`AutoModelForCausalLM.from_pretrained(checkpoint)`",
  ),
  files(
    "PEFT",
    "transformers5",
    "peft_adapter",
    "`AutoPeftModelForCausalLM.from_pretrained(adapter)`, `merge_and_unload()`",
  ),
  files(
    "TRL",
    "transformers5",
    "trl_sft",
    "`SFTTrainer(model=AutoModelForCausalLM.from_pretrained(checkpoint), …)`",
  ),
  files(
    "Accelerate",
    "transformers5",
    "accelerate_load",
    "`load_checkpoint_in_model(model, checkpoint)`",
  ),
  files("safetensors", "transformers5", "safetensors_file", '`load_file("model.safetensors")`'),
  files(
    "tokenizers",
    "transformers5",
    "tokenizers_file",
    '`Tokenizer.from_file("tokenizer.json")`',
  ),
  files(
    "Datasets",
    "transformers5",
    "datasets_rows",
    '`load_dataset("json", data_files=…)` on what `deno task data` wrote',
  ),
  files(
    "huggingface_hub",
    "transformers5",
    "hub_card",
    "`ModelCard.load`, on what `deno task push` sent",
  ),
  files(
    "vLLM",
    "vllm",
    "vllm_generate",
    "`LLM(model=checkpoint, enable_lora=True)`, `LoRARequest(…, adapter)`",
  ),
  files(
    "SGLang",
    "transformers5",
    "sglang_loader",
    "its server on the checkpoint; here its loader alone",
  ),
  files("mlx-lm", "mlx", "mlx_lm_generate", "`mlx_lm.load(checkpoint)`"),
  files("llama.cpp", "transformers5", "llama_cpp_convert", "`convert_hf_to_gguf.py checkpoint`"),
  files(
    "node-llama-cpp",
    "node",
    "node_llama_cpp",
    "`llama.loadModel({ modelPath })` of that GGUF",
  ),
  files(
    "lm-evaluation-harness",
    "transformers5",
    "lm_eval_models",
    "models `hf`, `local-completions`, `local-chat-completions`",
  ),
  files(
    "ONNX",
    "transformers5",
    "onnx_checker",
    "`checker.check_model`, `shape_inference` of an export",
  ),
  files(
    "ONNX Runtime",
    "transformers5",
    "onnxruntime_export",
    '`InferenceSession("export/onnx/model.onnx")`',
  ),
  files(
    "optimum-onnx",
    "transformers4",
    "optimum_onnx",
    '`ORTModelForCausalLM.from_pretrained(export, subfolder="onnx")`, with a subclass',
  ),
  files("transformers.js", "node", "transformers_js", '`pipeline("text-generation", export)`'),
  files(
    "onnxruntime-web",
    "node",
    "onnxruntime_web",
    "`InferenceSession.create(…)` on WebAssembly",
  ),
  files("TensorBoard", "transformers5", "tensorboard_events", "`--logdir output/RUN/tensorboard`"),
  files(
    "SwanLab",
    "transformers5",
    "swanlab_log",
    "`swanlab sync output/RUN/swanlog/run-…`; here its reader, offline",
  ),
  api("openai, Python", "openai3", "openai_api", '`OpenAI(base_url="http://127.0.0.1:8000/v1")`'),
  api("openai, Node", "node", "openai_api", "`new OpenAI({ baseURL })`"),
  api(
    "AI SDK",
    "node",
    "ai_sdk_api",
    "`createOpenAICompatible({ baseURL })` or `createOpenAI({ baseURL })`",
  ),
  api("LangChain", "openai3", "langchain_api", "`ChatOpenAI(base_url=…)`"),
  api("LangChain.js", "node", "langchain_api", "`new ChatOpenAI({ configuration: { baseURL } })`"),
  api(
    "LiteLLM",
    "openai2",
    "litellm_api",
    "`openai/…`, `hosted_vllm/…` or `ollama_chat/…` with `api_base`",
  ),
  api(
    "Instructor",
    "openai2",
    "instructor_api",
    "`from_openai(OpenAI(base_url=…), mode=Mode.JSON_SCHEMA)`",
  ),
  api("Pydantic AI", "openai3", "pydantic_ai_api", "`OpenAIChatModel(…)`, `NativeOutput(Model)`"),
  api("LlamaIndex", "openai2", "llama_index_api", "`OpenAILike(api_base=…, is_chat_model=True)`"),
  api("ollama, Python", "openai3", "ollama_api", '`Client(host="http://127.0.0.1:8000")`'),
  api("ollama, Node", "node", "ollama_api", "`new Ollama({ host })`"),
  api(
    "@huggingface/inference",
    "node",
    "hf_inference_api",
    "`new InferenceClient(token, { endpointUrl })`",
  ),
  api("curl", "node", "curl_sse", "as in [serve.md](serve.md#the-api)"),
  {
    name: "Node",
    environment: "node",
    script: "library",
    of: "library",
    call: "imports `/data`, `/safetensors`, `/unstable-graph`",
  },
  { name: "Bun", environment: "bun", script: "library", of: "library", call: "the same" },
];
