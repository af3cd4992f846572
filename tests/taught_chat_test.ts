/** What training taught of a chat is what inference uses: the end of replies, the system prompt, thinking. */

import assert from "node:assert/strict";
import { CHAT_SETTINGS } from "../data/text/chat_settings.ts";
import { quickstartConfig } from "../examples/quickstart/quickstart_model.ts";
import { quickstartFolder } from "./support/quickstart_folder.ts";
import { runTask } from "./support/run_task.ts";
import type { TempFolder } from "./support/temp_folder.ts";

// The quickstart's tokenizer: <|endoftext|>, which ends texts, and <|im_end|>, which ends replies.
const [END_OF_TEXT, IM_END] = [1019, 1021];
const SYSTEM = "Answer in a word.";
const ROW = { question: "Is water wet?", think: "It is.", answer: "Yes" };
const WORDS = ["--question", ROW.question, "--greedy", "--max-new-tokens", "60"];

/** Makes models/tiny a base model, as Qwen3-*-Base: replies are said to end with <|endoftext|>. */
async function baseFolder(): Promise<TempFolder> {
  const folder = await quickstartFolder();
  const model = `${folder.path}/models/tiny`;
  await change(`${model}/config.json`, { eos_token_id: END_OF_TEXT });
  await change(`${model}/generation_config.json`, { eos_token_id: END_OF_TEXT });
  await change(`${model}/tokenizer_config.json`, { eos_token: "<|endoftext|>" });
  await folder.write("data/one.jsonl", JSON.stringify(ROW));
  return folder;
}

async function read(path: string): Promise<Record<string, unknown>> {
  return JSON.parse(await Deno.readTextFile(path));
}

async function change(path: string, fields: Record<string, unknown>): Promise<void> {
  await Deno.writeTextFile(path, JSON.stringify({ ...await read(path), ...fields }));
}

const TRAIN = [
  ...["--model", "models/tiny", "--train-file", "data/one.jsonl", "--system", SYSTEM],
  ...["--max-steps", "40", "--gradient-accumulation-steps", "1", "--learning-rate", "3e-3"],
  ...["--max-length", "256", "--report-to", "none", "--threads", "2"],
];
const ANSWERED = `<think>\n${ROW.think}\n</think>\n\n${ROW.answer}`;

Deno.test("a base model that is trained on chats stops, in checkpoints and exports", async () => {
  await using folder = await baseFolder();
  const run = (name: string, args: string[]) => runTask(name, folder.path, args);
  const trained = await run("train", [...TRAIN, "--output-dir", "output/run"]);
  assert.equal(trained.code, 0, trained.stderr);
  assert.match(
    trained.stderr,
    /terminator: <\|im_end\|> is taught; the base model ends at <\|endoftext\|>, so checkpoints end replies at both/,
  );
  const checkpoint = `${folder.path}/output/run/checkpoint-40`;
  // What transformers' generate() needs to stop: checked with 5.24.0.
  const ends = [IM_END, END_OF_TEXT];
  for (const name of ["config.json", "generation_config.json"]) {
    assert.deepEqual((await read(`${checkpoint}/${name}`)).eos_token_id, ends, name);
  }
  assert.deepEqual(await read(`${checkpoint}/${CHAT_SETTINGS}`), {
    format: 1,
    system: SYSTEM,
    enable_thinking: null,
    eos_token_ids: [IM_END],
  });
  const asked = await run("inference", ["--model", "output/run", ...WORDS]);
  assert.equal(asked.stdout, ANSWERED, asked.stderr);
  assert.match(
    asked.stderr,
    /system prompt: "Answer in a word.", which output\/run\/checkpoint-40 was trained with/,
  );
  assert.ok(!asked.stderr.includes("cut at"), asked.stderr);

  const exported = await run("export", [
    ...["--model", "output/run", "--output-dir", "output/onnx", "--dtype", "fp32", "--no-parity"],
  ]);
  assert.equal(exported.code, 0, exported.stderr);
  for (const name of ["config.json", "generation_config.json"]) {
    assert.deepEqual((await read(`${folder.path}/output/onnx/${name}`)).eos_token_id, ends, name);
  }
  const said = await run("inference", ["--model", "output/onnx", ...WORDS]);
  assert.equal(said.stdout, ANSWERED, said.stderr);
});

Deno.test("an adapter keeps end, system prompt and template, beside its base and merged into it", async () => {
  await using folder = await baseFolder();
  const run = (name: string, args: string[]) => runTask(name, folder.path, args);
  const { chat_template } = await read(`${folder.path}/models/tiny/tokenizer_config.json`);
  await folder.write("data/chat.jinja", `Chat: ${chat_template}`);
  const trained = await run("train:lora", [
    ...TRAIN,
    ...[
      "--output-dir",
      "output/run",
      "--learning-rate",
      "1e-2",
      "--lora-dropout",
      "0",
      "--lora-rank",
      "32",
    ],
    ...["--max-steps", "160", "--chat-template", "data/chat.jinja"],
  ]);
  assert.equal(trained.code, 0, trained.stderr);
  const checkpoint = `${folder.path}/output/run/checkpoint-160`;
  const template = await Deno.readTextFile(`${checkpoint}/chat_template.jinja`);
  assert.ok(template.startsWith("Chat: "));
  const asked = await run("inference:lora", ["--adapter", "output/run", ...WORDS]);
  assert.equal(asked.stdout, ANSWERED, asked.stderr);
  assert.ok(!asked.stderr.includes("cut at"), asked.stderr);

  const merged = await run("merge", ["--adapter", "output/run", "--output-dir", "output/merged"]);
  assert.equal(merged.code, 0, merged.stderr);
  for (const name of ["config.json", "generation_config.json"]) {
    const { eos_token_id } = await read(`${folder.path}/output/merged/${name}`);
    assert.deepEqual(eos_token_id, [IM_END, END_OF_TEXT], name);
  }
  assert.equal(
    await Deno.readTextFile(`${folder.path}/output/merged/chat_template.jinja`),
    template,
  );
  const said = await run("inference", ["--model", "output/merged", ...WORDS]);
  assert.equal(said.stdout, ANSWERED, said.stderr);
});

Deno.test("a model that was trained without thinking is asked so", async () => {
  await using folder = await baseFolder();
  const run = (name: string, args: string[]) => runTask(name, folder.path, args);
  await folder.write("data/one.jsonl", JSON.stringify({ ...ROW, think: "" }));
  const trained = await run("train", [
    ...TRAIN,
    ...["--output-dir", "output/run", "--empty-think", "prompt", "--system", ""],
  ]);
  assert.equal(trained.code, 0, trained.stderr);
  assert.match(
    trained.stderr,
    /1 of 1 replies have no thinking: their empty thinking block stands in the prompt/,
  );
  assert.match(trained.stderr, /prompt: its \d+ tokens are those that inference makes/);
  const asked = await run("inference", ["--model", "output/run", ...WORDS]);
  assert.equal(asked.stdout, ROW.answer, asked.stderr);
  assert.match(asked.stderr, /thinking: off, as output\/run\/checkpoint-40 was trained/);
  assert.ok(!asked.stderr.includes("system prompt"));
});

Deno.test("a base model's own files are not touched where it ends replies as they are taught", async () => {
  await using folder = await quickstartFolder();
  const rows = await Deno.readTextFile(`${folder.path}/data/train.jsonl`);
  await folder.write("data/one.jsonl", rows);
  const args = [...TRAIN, "--max-steps", "1", "--output-dir", "output/run"];
  const trained = await runTask("train", folder.path, args);
  assert.equal(trained.code, 0, trained.stderr);
  const text = (path: string) => Deno.readTextFile(`${folder.path}/${path}`);
  assert.equal(
    await text("output/run/checkpoint-1/generation_config.json"),
    await text("models/tiny/generation_config.json"),
  );
  const { eos_token_id } = await read(`${folder.path}/output/run/checkpoint-1/config.json`);
  assert.equal(eos_token_id, quickstartConfig.eos_token_id);
});
