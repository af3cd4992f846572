/** Bad input is refused in one clear message that says what to do, and nothing is lost. */

import assert from "node:assert/strict";
import { DEFAULT_SYSTEM } from "../train/runs/training_arguments.ts";
import { quickstartConfig } from "../examples/quickstart/quickstart_model.ts";
import { listFamilies } from "../model/families/families.ts";
import { openSafetensors } from "../ort/tensor/safetensors_file.ts";
import { writeSafetensors } from "../ort/tensor/safetensors_writer.ts";
import { readAll, type TensorData, tensorSourceFromMap } from "../ort/tensor/tensor_source.ts";
import { lockOutput } from "../train/checkpoints/output_lock.ts";
import { optimizers } from "../train/optimizers/optimizers.ts";
import { schedules } from "../train/schedules/schedules.ts";
import { folderHashes } from "./support/folder_hashes.ts";
import { canMount, runMounted } from "./support/mounts.ts";
import { denoArgs } from "./support/process.ts";
import { quickstartFolder } from "./support/quickstart_folder.ts";
import { repositoryPath, runDeno } from "./support/run_script.ts";
import { trainCommand, trainFlags } from "./support/train_command.ts";

/** One bad input. Paths in messages stand below `~`, the folder of the case. */
interface BadInput {
  /** Flags after those of a good run. */
  readonly flags?: readonly string[];
  /** Spoils the files of a good run. */
  readonly spoil?: (dir: string) => Promise<unknown>;
  /** @default 1 */
  readonly code?: number;
  /** Whether a good run would delete the checkpoints of an earlier one. @default true */
  readonly overwrite?: boolean;
  readonly message: string;
}

const HELP = "\n(deno task train --help lists the flags)";

function flag(message: string, ...flags: string[]): BadInput {
  return { flags, code: 2, message: message + HELP };
}

function config(change: Readonly<Record<string, unknown>>, message: string): BadInput {
  return {
    spoil: (dir) => writeJson(`${dir}/models/tiny/config.json`, { ...quickstartConfig, ...change }),
    message,
  };
}

function rows(text: string | Uint8Array, message: string): BadInput {
  return {
    spoil: (dir) => write(`${dir}/data/train.jsonl`, text),
    message,
  };
}

function weights(change: (tensors: Map<string, TensorData>) => void, message: string): BadInput {
  return {
    spoil: async (dir) => {
      const path = `${dir}/models/tiny/model.safetensors`;
      const tensors = new Map<string, TensorData>();
      {
        await using file = await openSafetensors(path);
        for (const name of file.names()) {
          tensors.set(name, { ...file.info(name), data: await readAll(file, name) });
        }
      }
      change(tensors);
      await writeSafetensors(path, tensorSourceFromMap(tensors));
    },
    message,
  };
}

function write(path: string, content: string | Uint8Array): Promise<void> {
  return typeof content === "string"
    ? Deno.writeTextFile(path, content)
    : Deno.writeFile(path, content);
}

function writeJson(path: string, value: unknown): Promise<void> {
  return write(path, JSON.stringify(value));
}

/** The parsed tokenizer.json or tokenizer_config.json of the case, changed. */
async function tokenizer(
  dir: string,
  name: string,
  change: (json: Record<string, unknown>) => void,
): Promise<void> {
  const path = `${dir}/models/tiny/${name}`;
  const json = JSON.parse(await Deno.readTextFile(path));
  change(json);
  await writeJson(path, json);
}

/** Weights as one shard, under an index that names it as given. */
async function shard(dir: string, name: string): Promise<void> {
  const model = `${dir}/models/tiny`;
  await Deno.rename(`${model}/model.safetensors`, `${model}/model-00001-of-00001.safetensors`);
  await writeJson(`${model}/model.safetensors.index.json`, {
    metadata: {},
    weight_map: { "model.norm.weight": name },
  });
}

const good = '{"question":"a","answer":"b"}\n';
const norm: TensorData = { dtype: "float32", shape: [128], data: new Uint8Array(512) };

const CASES: Readonly<Record<string, BadInput>> = {
  // Flags.
  "a flag with a slip of the pen": flag(
    "unknown option '--learing-rate': did you mean --learning-rate?",
    "--learing-rate",
    "1",
  ),
  "a flag that is unlike any": flag("unknown option '--frobnicate'", "--frobnicate"),
  "a flag without its value": flag(
    "option '--learning-rate <rate>' argument missing",
    "--learning-rate",
  ),
  "a flag with an empty value": flag(
    "option '--learning-rate <rate>' argument '' is invalid. It must be a number above 0.",
    "--learning-rate",
    "",
  ),
  "a path of an unset variable": flag(
    "option '--output-dir <dir>' argument '' is invalid. It must not be empty.",
    "--output-dir",
    "",
  ),
  "a negative learning rate": flag(
    "option '--learning-rate <rate>' argument '-1' is invalid. It must be a number above 0.",
    "--learning-rate",
    "-1",
  ),
  "a word for a number": flag(
    "option '--num-train-epochs <n>' argument 'two' is invalid. It must be a number above 0.",
    "--num-train-epochs",
    "two",
  ),
  "a fraction for a count": flag(
    "option '--max-steps <n>' argument '1.5' is invalid. It must be a whole number from 0 up.",
    "--max_steps",
    "1.5",
  ),
  "no accumulation": flag(
    "option '--gradient-accumulation-steps <n>' argument '0' is invalid. It must be a whole number from 1 up.",
    "--gradient-accumulation-steps",
    "0",
  ),
  "a negative norm": flag(
    "option '--max-grad-norm <x>' argument '-0.5' is invalid. It must be a number from 0 up.",
    "--max-grad-norm=-0.5",
  ),
  "a seed too large": flag(
    "option '--seed <n>' argument '4294967296' is invalid. It must be a whole number from 0 to 4294967295.",
    "--seed",
    "4294967296",
  ),
  "no threads": flag(
    "option '--threads <n>' argument '0' is invalid. It must be a whole number from 1 up.",
    "--threads",
    "0",
  ),
  "a schedule that is not there": flag(
    "option '--lr-scheduler-type <name>' argument 'sideways' is invalid. Allowed choices are " +
      `${Object.keys(schedules).join(", ")}.`,
    "--lr-scheduler-type",
    "sideways",
  ),
  "an optimizer that is not there": flag(
    "option '--optim <name>' argument 'guess' is invalid. Allowed choices are " +
      `${Object.keys(optimizers).join(", ")}.`,
    "--optim",
    "guess",
  ),
  "two words without quotes": flag(
    "unexpected argument 'brief': put a value of several words in quotes",
    "--system",
    "Be",
    "brief",
  ),
  "a device that is no device": flag(
    "option '--device <name>' argument 'tpu' is invalid. Cannot use device \"tpu\": expected cpu, cuda, cuda:N or webgpu",
    "--device",
    "tpu",
  ),
  "to resume and to overwrite": {
    flags: ["--resume-from-checkpoint"],
    code: 2,
    message:
      "Cannot both resume and overwrite: leave out --resume-from-checkpoint or --overwrite-output-dir",
  },
  "more tokens than positions": {
    flags: ["--max-length", "513"],
    message:
      "Cannot train with --max-length 513: ~/models/tiny/config.json has max_position_embeddings 512; give at most that",
  },
  "to resume from nothing": {
    flags: ["--output-dir", "~/new", "--resume-from-checkpoint"],
    overwrite: false,
    message:
      "Cannot resume: ~/new has no checkpoint-N folder; leave --resume-from-checkpoint out to start a new run",
  },
  "to resume from what is no checkpoint": {
    flags: ["--resume-from-checkpoint", "~/models/tiny"],
    overwrite: false,
    message:
      "Cannot use checkpoint ~/models/tiny: its manifest.json is missing or broken; give a checkpoint-N folder that ortune wrote",
  },
  // config.json.
  "no model folder": {
    flags: ["--model", "~/models/large"],
    message:
      "Cannot open model ~/models/large: there is no ~/models/large/config.json; give the folder of a model in Hugging Face's layout (config.json, tokenizer.json, model.safetensors)",
  },
  "a file for a model": {
    flags: ["--model", "~/data/train.jsonl"],
    message:
      "Cannot open model ~/data/train.jsonl: there is no ~/data/train.jsonl/config.json; give the folder of a model in Hugging Face's layout (config.json, tokenizer.json, model.safetensors)",
  },
  "a run of LoRA for a model": {
    flags: ["--model", "~/lora"],
    spoil: async (dir) => {
      await Deno.mkdir(`${dir}/lora/checkpoint-1`, { recursive: true });
      await writeJson(`${dir}/lora/checkpoint-1/adapter_config.json`, {});
    },
    message:
      "Cannot open model ~/lora/checkpoint-1: it holds an adapter; to train it on, use deno task train:lora with --init-adapter and the base model; to train all weights, merge it first with deno task merge",
  },
  "no config.json": {
    spoil: (dir) => Deno.remove(`${dir}/models/tiny/config.json`),
    message:
      "Cannot open model ~/models/tiny: there is no ~/models/tiny/config.json; give the folder of a model in Hugging Face's layout (config.json, tokenizer.json, model.safetensors)",
  },
  "a model of embeddings": {
    spoil: (dir) => write(`${dir}/models/tiny/modules.json`, "[]"),
    message:
      "Cannot open model ~/models/tiny: it is a model of embeddings, as ~/models/tiny/modules.json of sentence-transformers says: no text comes out of it; use the causal language model that it was made of, such as Qwen/Qwen3-0.6B for Qwen3-Embedding-0.6B",
  },
  "a broken config.json": {
    spoil: (dir) => write(`${dir}/models/tiny/config.json`, '{"model_type": '),
    message:
      "Cannot read ~/models/tiny/config.json: it is not valid JSON (Unexpected end of JSON input); copy it again from the base model",
  },
  "a config.json that is a list": {
    spoil: (dir) => write(`${dir}/models/tiny/config.json`, "[]"),
    message: "Cannot read ~/models/tiny/config.json: expected a JSON object",
  },
  "a model type that is not there": config(
    { model_type: "mixtral" },
    `Cannot read ~/models/tiny/config.json: model_type is "mixtral": ortune supports ${listFamilies()}`,
  ),
  "heads that do not divide": config(
    { num_key_value_heads: 3 },
    "Cannot read ~/models/tiny/config.json: num_key_value_heads must divide num_attention_heads 4, got 3",
  ),
  "an odd head": config(
    { head_dim: 33 },
    "Cannot read ~/models/tiny/config.json: head_dim must be even for rotary embeddings, got 33",
  ),
  "no layers": config(
    { num_hidden_layers: 0 },
    "Cannot read ~/models/tiny/config.json: num_hidden_layers must be a whole number from 1 to 1024, got 0",
  ),
  "a bias in the MLP": config(
    { mlp_bias: true },
    "Cannot read ~/models/tiny/config.json: mlp_bias is true: only models without it are supported",
  ),
  "a sliding window": config(
    { use_sliding_window: true, sliding_window: 0 },
    "Cannot read ~/models/tiny/config.json: sliding_window must be a whole number from 1 to 16777216, got 0",
  ),
  "another activation": config(
    { hidden_act: "gelu" },
    'Cannot read ~/models/tiny/config.json: hidden_act is "gelu": only silu is supported',
  ),
  "quantized weights": config(
    { quantization_config: { bits: 4 } },
    "Cannot read ~/models/tiny/config.json: quantization_config is set: ortune trains float weights; use the unquantized model",
  ),
  "positions by longrope": config(
    { rope_scaling: { type: "longrope", factor: 4 } },
    "Cannot read ~/models/tiny/config.json: rope_scaling.long_factor must be a list of 16 numbers above 0, one a frequency, got missing",
  ),
  "a vocabulary smaller than the tokenizer's": config(
    { vocab_size: 1000 },
    "Cannot load weights from ~/models/tiny: they do not fit its config.json\n" +
      "  vocab_size is 1000 in config.json, but 1024 by the weights\n" +
      "  model.embed_tokens.weight has shape [1024,128], config.json says [1000,128]\n" +
      "Correct config.json, or take both from the same model",
  ),
  // Tokenizer.
  "no tokenizer.json": {
    spoil: (dir) => Deno.remove(`${dir}/models/tiny/tokenizer.json`),
    message:
      "Cannot load the tokenizer: ~/models/tiny/tokenizer.json is missing; copy it from the base model",
  },
  "no tokenizer_config.json": {
    spoil: (dir) => Deno.remove(`${dir}/models/tiny/tokenizer_config.json`),
    message:
      "Cannot load the tokenizer: ~/models/tiny/tokenizer_config.json is missing; copy it from the base model",
  },
  "a broken tokenizer.json": {
    spoil: (dir) => Deno.truncate(`${dir}/models/tiny/tokenizer.json`, 999),
    message:
      "Cannot load the tokenizer: ~/models/tiny/tokenizer.json is not valid JSON; copy it again from the base model",
  },
  "a tokenizer of a kind that is not there": {
    spoil: (dir) =>
      tokenizer(dir, "tokenizer.json", (json) => (json.model as { type: string }).type = "Magic"),
    message:
      'Cannot read the tokenizer: the model in tokenizer.json is of type "Magic", expected BPE, Unigram, WordPiece, WordLevel; use a model with such a tokenizer',
  },
  "a tokenizer without a chat template": {
    spoil: (dir) => tokenizer(dir, "tokenizer_config.json", (json) => delete json.chat_template),
    message:
      "~/data/train.jsonl:1: Cannot render a chat: the model has no chat template, neither chat_template.jinja nor chat_template in tokenizer_config.json; copy one of them from the model's chat version, or give one with --chat-template FILE",
  },
  "a chat template that does not parse": {
    spoil: (dir) =>
      tokenizer(dir, "tokenizer_config.json", (json) => json.chat_template = "{% for %}"),
    message:
      "Cannot parse the chat template: line 1: Expected an expression, got 'end of statement block'; copy it again from the base model, or give another template with --chat-template FILE",
  },
  // Weights.
  "no weights": {
    spoil: (dir) => Deno.remove(`${dir}/models/tiny/model.safetensors`),
    message:
      'Cannot open weights in "~/models/tiny": it has neither model.safetensors nor model.safetensors.index.json, only "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json". Give a model folder, or download it again',
  },
  "truncated weights": {
    spoil: (dir) => Deno.truncate(`${dir}/models/tiny/model.safetensors`, 100_000),
    message:
      'Cannot read safetensors "~/models/tiny/model.safetensors": its header describes 4073728 bytes, but the file has 100000. The file is damaged or not safetensors: download or write it again',
  },
  "a web page for weights": {
    spoil: (dir) => write(`${dir}/models/tiny/model.safetensors`, "<!DOCTYPE html><html></html>"),
    message:
      'Cannot read safetensors "~/models/tiny/model.safetensors": its header says 5789751444030890300 bytes, but only 20 follow. The file is damaged or not safetensors: download or write it again',
  },
  "a tensor of another shape": weights(
    (tensors) => tensors.set("model.norm.weight", { ...norm, shape: [64, 2] }),
    "Cannot load weights from ~/models/tiny: they do not fit its config.json\n  model.norm.weight has shape [64,2], config.json says [128]\nTake both from the same model",
  ),
  "tensors that are missing": weights(
    (tensors) => {
      tensors.delete("model.norm.weight");
      tensors.delete("model.layers.3.mlp.up_proj.weight");
    },
    'Cannot load weights from ~/models/tiny: they do not fit its config.json\n  missing: "model.layers.3.mlp.up_proj.weight", "model.norm.weight"\nTake both from the same model',
  ),
  "a tensor too many": weights(
    (tensors) => tensors.set("model.extra.weight", norm),
    'Cannot load weights from ~/models/tiny: they do not fit its config.json\n  not part of the model: "model.extra.weight"\nTake both from the same model',
  ),
  "a tensor of integers": weights(
    (tensors) => tensors.set("model.norm.weight", { ...norm, dtype: "int32" }),
    "Cannot load weights from ~/models/tiny: they do not fit its config.json\n  model.norm.weight is int32: expected float32, bfloat16 or float16\nTake both from the same model",
  ),
  "a shard that is missing": {
    spoil: (dir) => shard(dir, "model-00002-of-00002.safetensors"),
    message:
      'Cannot open weights in "~/models/tiny": "model-00002-of-00002.safetensors" is missing. Download the folder again; if it is yours and has links, copy it with cp -L or set followLinks',
  },
  "a shard in another folder": {
    spoil: (dir) => shard(dir, "../model.safetensors"),
    message:
      'Cannot open weights in "~/models/tiny": "../model.safetensors" is not a plain file name. Download the folder again; if it is yours and has links, copy it with cp -L or set followLinks',
  },
  // Records.
  "no training file": {
    flags: ["--train-file", "~/data/none.jsonl"],
    message: "~/data/none.jsonl: expected a file of rows, got no such file",
  },
  "an empty training file": rows(
    "",
    "~/data/train.jsonl: expected at least one row, got none; write one JSON object a line",
  ),
  "a file that is not UTF-8": rows(
    Uint8Array.of(0x7b, 0xff, 0x7d),
    "~/data/train.jsonl:1: expected UTF-8 text, got other bytes; save the file as UTF-8",
  ),
  "a row that is no JSON": rows(
    `${good}question,answer\n`,
    '~/data/train.jsonl:2: expected a JSON object, got invalid JSON at character 1: expected a value, found "q" (--drop-refused-rows leaves such rows out)',
  ),
  "a row without an answer": rows(
    `${good}{"question":"a"}\n`,
    "~/data/train.jsonl:2:answer: expected a string, got nothing (--drop-refused-rows leaves such rows out)",
  ),
  "a row with a number": rows(
    `${good}\n{"question":"a","answer":4}\n`,
    "~/data/train.jsonl:3:answer: expected a string, got number 4 (--drop-refused-rows leaves such rows out)",
  ),
  "a row that is a list": rows(
    `["a","b"]\n`,
    '~/data/train.jsonl:row 1: expected a JSON object, got string "a"',
  ),
  "a pair of replies, which the loss is not of": rows(
    `{"prompt":"a","chosen":"b","rejected":"c"}\n`,
    "Cannot train on ~/data/train.jsonl with the loss cross_entropy: 1 of 1 rows are pairs of a chosen and a rejected reply; give --loss dpo or --loss orpo, or learn the chosen replies alone with --columns question=prompt,answer=chosen, of chats with --columns messages=chosen",
  ),
  "a chat without a reply": rows(
    '{"messages":[{"role":"user","content":"a"}]}\n',
    "~/data/train.jsonl:1:messages: expected a reply of the assistant to learn, got none; add it, or drop the row",
  ),
  "answers cut off whole": {
    flags: ["--max-length", "40", "--system", DEFAULT_SYSTEM],
    message:
      "Cannot train on ~/data/train.jsonl: lines 1, 11, 27 have no answer left within --max-length 40; raise it, shorten or remove the rows, or leave them out with --drop-unlabelled",
  },
  "a bad row to evaluate on": {
    flags: ["--validation-file", "~/data/val.jsonl"],
    spoil: (dir) => write(`${dir}/data/val.jsonl`, `${good}{}\n`),
    message:
      "~/data/val.jsonl:2: expected the columns of a question and its answer or of a chat, got no columns; name them with --columns question=NAME,answer=NAME (--drop-refused-rows leaves such rows out)",
  },
  // Folders to write to.
  "a file for an output folder": {
    flags: ["--output-dir", "~/data/train.jsonl"],
    message: "Cannot write into ~/data/train.jsonl: it is a file; give another --output-dir",
  },
  "an output folder inside a file": {
    flags: ["--output-dir", "~/data/train.jsonl/output"],
    message:
      "Cannot write into ~/data/train.jsonl/output: a part of its path is a file; give another --output-dir",
  },
  "a model that would be deleted first": {
    flags: ["--model", "~/output/../output/checkpoint-9/"],
    spoil: async (dir) => {
      for await (const { name } of Deno.readDir(`${dir}/models/tiny`)) {
        await Deno.copyFile(`${dir}/models/tiny/${name}`, `${dir}/output/checkpoint-9/${name}`);
      }
    },
    message:
      "Cannot overwrite ~/output: the run starts from ~/output/../output/checkpoint-9/, which would be deleted; give another --output-dir",
  },
  "an output folder with checkpoints": {
    overwrite: false,
    message:
      "Cannot start a new run in ~/output: it holds checkpoint-9; pass --resume-from-checkpoint to go on, another --output-dir, or --overwrite-output-dir to delete them",
  },
};

/** Checkpoints of an earlier run, which a good run with --overwrite-output-dir would delete. */
async function writeEarlierRun(dir: string): Promise<void> {
  await Deno.mkdir(`${dir}/output/checkpoint-9`, { recursive: true });
  await write(`${dir}/output/checkpoint-9/keep.txt`, "9");
  await write(`${dir}/output/metrics.jsonl`, "{}\n");
}

/** Copies what a run reads. */
async function copyInputs(from: string, to: string): Promise<void> {
  for (const part of ["models/tiny", "data"]) {
    await Deno.mkdir(`${to}/${part}`, { recursive: true });
    for await (const { name } of Deno.readDir(`${from}/${part}`)) {
      await Deno.copyFile(`${from}/${part}/${name}`, `${to}/${part}/${name}`);
    }
  }
}

/** The flags of a case, run by `train`; checks the answer, and that every file is as it was. */
async function check(
  dir: string,
  { flags = [], spoil, code = 1, overwrite = true, message }: BadInput,
  train: (args: string[]) => Promise<{ code: number; stderr: string }>,
): Promise<void> {
  await spoil?.(dir);
  // A lock and tokens are all that a refused run may leave.
  const files = async (): Promise<Record<string, string>> => {
    const { "output/.lock": _lock, "new/.lock": _new, ...rest } = await folderHashes(dir);
    const whole = ([name]: [string, string]): boolean =>
      !/\/tokens\/[\da-f]{64}\.tokens$/.test(name);
    return Object.fromEntries(Object.entries(rest).filter(whole));
  };
  const before = await files();
  const { stderr, ...result } = await train([
    ...trainFlags(dir),
    ...overwrite ? ["--overwrite-output-dir"] : [],
    ...flags.map((each) => each.replace("~", dir)),
  ]);
  assert.equal(stderr.replaceAll(dir, "~"), `error: ${message}`);
  assert.equal(result.code, code);
  assert.deepEqual(await files(), before);
}

Deno.test(`${Object.keys(CASES).length} bad inputs get their messages, and no file is lost`, async (t) => {
  await using folder = await quickstartFolder();
  for (const [number, [name, bad]] of Object.entries(CASES).entries()) {
    await t.step(name, async () => {
      const dir = `${folder.path}/${number}`;
      await copyInputs(folder.path, dir);
      await writeEarlierRun(dir);
      await check(dir, bad, trainCommand);
      await Deno.remove(dir, { recursive: true });
    });
  }
});

/** Cases for a process of their own. */
const SPAWNED = [
  "a flag with a slip of the pen",
  "two words without quotes",
  "a device that is no device",
  "to resume and to overwrite",
  "more tokens than positions",
  "no model folder",
  "truncated weights",
  "a row with a number",
  "answers cut off whole",
  "an output folder with checkpoints",
];

Deno.test(`deno task train itself refuses ${SPAWNED.length} bad inputs the same way`, async (t) => {
  await using folder = await quickstartFolder();
  for (const [number, name] of SPAWNED.entries()) {
    await t.step(name, async () => {
      const dir = `${folder.path}/${number}`;
      await copyInputs(folder.path, dir);
      await writeEarlierRun(dir);
      await check(dir, CASES[name], async (args) => {
        const { stdout, ...result } = await runDeno(
          denoArgs(repositoryPath("cli/commands/train.ts"), { args }),
        );
        assert.equal(stdout, "");
        return result;
      });
    });
  }
});

Deno.test("deno task graph names the flag that it must have", async () => {
  const permissions = ["--allow-env=ORTUNE_ORT_LIB,NO_COLOR"];
  assert.deepEqual(
    await runDeno(denoArgs(repositoryPath("cli/commands/graph.ts"), { permissions })),
    {
      code: 2,
      stdout: "",
      stderr: "error: required option '--model <dir>' not specified\n" +
        "(deno task graph --help lists the flags)",
    },
  );
});

Deno.test("an output folder that another trainer holds is refused", async () => {
  await using folder = await quickstartFolder();
  await writeEarlierRun(folder.path);
  using _lock = await lockOutput(`${folder.path}/output`);
  await check(folder.path, {
    message: "Cannot train into ~/output: another trainer is writing there; wait for it or give " +
      "another --output-dir",
  }, trainCommand);
});

Deno.test({
  name: "an output folder that is read-only is refused",
  ignore: !await canMount(),
  fn: async () => {
    await using folder = await quickstartFolder();
    await writeEarlierRun(folder.path);
    const output = `${folder.path}/output`;
    await check(folder.path, {
      message: "Cannot write into ~/output: Read-only file system (os error 30): open " +
        "'~/output/.lock'; give another --output-dir",
    }, (args) => {
      const setup = `mount --bind ${output} ${output} && mount -o remount,ro,bind ${output}`;
      return runMounted(setup, denoArgs(repositoryPath("cli/commands/train.ts"), { args }));
    });
  },
});
