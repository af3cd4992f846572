/** The scripts that replace Qwen3-Medical-SFT's, with no flag but what makes them short. */

import assert from "node:assert/strict";
import { folderHashes } from "./support/folder_hashes.ts";
import { quickstartFolder } from "./support/quickstart_folder.ts";
import { runTask } from "./support/run_task.ts";
import type { TempFolder } from "./support/temp_folder.ts";

const SHORT = "--max-length 512 --max-steps 2 --prediction-max-new-tokens 4 --report-to swanlab";
const SEED_QUESTION = "医生，我最近被诊断为糖尿病";

/** A quickstart folder whose model lies where train.py's does. */
async function seedFolder(): Promise<TempFolder> {
  const folder = await quickstartFolder();
  await Deno.mkdir(`${folder.path}/models/Qwen`);
  await Deno.rename(`${folder.path}/models/tiny`, `${folder.path}/models/Qwen/Qwen3-1.7B`);
  return folder;
}

async function validationQuestions({ path }: TempFolder): Promise<string[]> {
  const text = await Deno.readTextFile(`${path}/data/val.jsonl`);
  return text.trim().split("\n").slice(0, 3).map((line) => JSON.parse(line).question);
}

for (
  const [train, inference, output] of [
    ["train", "inference", "output/Qwen3-1.7B"],
    ["train:lora", "inference:lora", "output/Qwen3-1.7B-lora"],
  ] as const
) {
  Deno.test(`deno task ${train} trains, answers validation questions, and ${inference} finds it`, async () => {
    await using folder = await seedFolder();
    const trained = await runTask(train, folder.path, SHORT);
    assert.equal(trained.code, 0, trained.stderr);
    assert.match(trained.stderr, new RegExp(`ask it yourself: .* ${output}/checkpoint-2`));

    const questions = await validationQuestions(folder);
    const lines = await Deno.readTextFile(`${folder.path}/${output}/samples.jsonl`);
    assert.deepEqual(
      lines.trim().split("\n").map((line) => JSON.parse(line)).map(({ question, step }) => [
        question,
        step,
      ]),
      questions.map((question) => [question, 2]),
    );
    for (const question of questions) assert.ok(trained.stderr.includes(question));
    const report = await Deno.readTextFile(`${folder.path}/${output}/report.html`);
    assert.ok(questions.every((question) => report.includes(question)));
    const texts = await Array.fromAsync(
      Deno.readDir(`${folder.path}/${output}/swanlog`),
      ({ name }) => `${folder.path}/${output}/swanlog/${name}/media/text`,
    );
    assert.equal((await Array.fromAsync(Deno.readDir(texts[0]))).length, 3);

    const asked = await runTask(inference, folder.path, "--max-new-tokens 3 --greedy");
    assert.equal(asked.code, 0, asked.stderr);
    assert.match(
      asked.stderr,
      new RegExp(
        `${output}/checkpoint-2\nsystem prompt: "你是一个医学专家.*\n` +
          `question: ${SEED_QUESTION}.*; --question asks another.*\n3 tokens`,
      ),
    );
    const same = await runTask(inference, folder.path, [
      ...["--max-new-tokens", "3", "--greedy", "--question"],
      `${SEED_QUESTION}，听说碳水化合物的选择很重要，我应该选择什么样的碳水化合物呢？`,
    ]);
    assert.equal(same.stdout, asked.stdout);
  });
}

Deno.test("the scripts say where their models and data come from when they are not there", async () => {
  await using folder = await quickstartFolder();
  const missing = await runTask("train", folder.path, "");
  assert.deepEqual([missing.code, missing.stderr], [
    1,
    "error: Cannot find model Qwen/Qwen3-1.7B: there is no folder models/Qwen/Qwen3-1.7B; fetch it " +
    "with deno task fetch --model Qwen/Qwen3-1.7B, or give a model's folder with --model",
  ]);
  for (
    const [inference, train, flag, suffix] of [
      ["inference", "train", "model", ""],
      ["inference:lora", "train:lora", "adapter", "-lora"],
    ]
  ) {
    const untrained = await runTask(inference, folder.path, "");
    assert.deepEqual([untrained.code, untrained.stderr], [
      1,
      `error: Cannot find output/Qwen3-1.7B${suffix}, the run of deno task ${train}: train first, ` +
      `or give --${flag}`,
    ]);
  }
  await Deno.remove(`${folder.path}/data/val.jsonl`);
  const noData = await runTask("train", folder.path, "--model models/tiny");
  assert.deepEqual([noData.code, noData.stderr], [
    1,
    "error: Cannot find data/val.jsonl: make it with deno task data, or give your own with " +
    "--train-file and --validation-file",
  ]);
  const ownData = "--model models/tiny --train-file data/train.jsonl";
  const nothingToChooseBy = await runTask("train", folder.path, [
    ...ownData.split(" "),
    "--load-best-model-at-end",
  ]);
  assert.equal(nothingToChooseBy.code, 2);
  assert.match(nothingToChooseBy.stderr, /without evaluations: give --validation-file/);
});

Deno.test("--print-config prints what --config takes back, and does nothing else", async () => {
  await using folder = await quickstartFolder();
  for (const [name, flags] of [["train", ""], ["train:lora", " --lora-rank 3"]] as const) {
    const typed = `${SHORT} --model models/tiny --learning-rate 3e-7${flags}`;
    const printed = await runTask(name, folder.path, `${typed} --print-config`);
    assert.deepEqual([printed.code, printed.stderr], [0, ""]);
    assert.match(printed.stdout, /^learning_rate: 3\.?0?e-7$/m);
    await Deno.writeTextFile(`${folder.path}/data/run.yaml`, `${printed.stdout}\n`);
    const again = await runTask(name, folder.path, "--config data/run.yaml --print-config");
    assert.deepEqual([again.code, again.stdout], [0, printed.stdout], again.stderr);
  }
  await assert.rejects(Deno.stat(`${folder.path}/output`), Deno.errors.NotFound);
});

Deno.test("deno task train and train:lora start from what a run ended with, adapters too", async () => {
  await using folder = await quickstartFolder();
  const quiet = `${SHORT} --prediction-samples 0`;
  const first = await runTask("train", folder.path, `${quiet} --model models/tiny`);
  assert.equal(first.code, 0, first.stderr);
  const full = await runTask("train", folder.path, `${quiet} --model output/tiny`);
  assert.equal(full.code, 0, full.stderr);
  assert.match(full.stderr, /^model: output\/tiny\/checkpoint-2\n/);
  assert.match(full.stderr, /ask it yourself: .* output\/tiny-checkpoint-2\/checkpoint-2$/);
  const rank = "--lora-rank 4 --lora-dropout 0";
  const lora = await runTask("train:lora", folder.path, `${quiet} --model output/tiny ${rank}`);
  assert.equal(lora.code, 0, lora.stderr);
  assert.match(lora.stderr, /ask it yourself: .* output\/tiny-checkpoint-2-lora\/checkpoint-2$/);
  const on = await runTask("train:lora", folder.path, [
    ...`${quiet} --model output/tiny --output-dir output/on`.split(" "),
    ...["--init-adapter", "output/tiny-checkpoint-2-lora"],
  ]);
  assert.equal(on.code, 0, on.stderr);
  assert.match(on.stderr, /^adapter: output\/tiny-checkpoint-2-lora\/checkpoint-2\n/m);
  const { arguments: args } = JSON.parse(
    await Deno.readTextFile(`${folder.path}/output/on/run.json`),
  );
  assert.equal(args.model, "output/tiny/checkpoint-2");
  assert.equal(args.lora.initAdapter, "output/tiny-checkpoint-2-lora/checkpoint-2");
  // The adapter's settings, not the flags' defaults.
  assert.deepEqual([args.lora.rank, args.lora.dropout], [4, 0]);
});

Deno.test("a LoRA run on an adapter is replayed to the same bytes, and a changed adapter is refused", async () => {
  await using folder = await seedFolder();
  const quiet = `${SHORT} --prediction-samples 0`;
  const flags = `${quiet} --lora-rank 4 --use-rslora --target-modules q_proj,v_proj`;
  const first = await runTask("train:lora", folder.path, `${flags} --output-dir output/first`);
  assert.equal(first.code, 0, first.stderr);
  const init = "output/first/checkpoint-2";
  const from = `--init-adapter ${init} --output-dir output/second`;
  const second = await runTask("train:lora", folder.path, `${flags} ${from}`);
  assert.equal(second.code, 0, second.stderr);
  const again = await runTask("replay", folder.path, [
    ...["output/second/run.json", "--output-dir", "output/again"],
  ]);
  assert.equal(again.code, 0, again.stderr);
  assert.match(again.stderr, /deno task train:lora .*--lora-rank=4/);
  assert.deepEqual(
    await folderHashes(`${folder.path}/output/again/checkpoint-2`),
    await folderHashes(`${folder.path}/output/second/checkpoint-2`),
  );
  const weights = `${folder.path}/${init}/adapter_model.safetensors`;
  const bytes = await Deno.readFile(weights);
  bytes[bytes.length - 1] ^= 1;
  await Deno.writeFile(weights, bytes);
  const refused = await runTask("replay", folder.path, [
    ...["output/second/run.json", "--output-dir", "output/third"],
  ]);
  assert.equal(refused.code, 1);
  assert.match(
    refused.stderr,
    /first\/checkpoint-2\/adapter_model\.safetensors has another sha256/,
  );
});

Deno.test("deno task inference --file asks each line apart from the others", async () => {
  await using folder = await quickstartFolder();
  await folder.write("data/questions.txt", "What is pain?\r\n\n  What is fever?\n");
  const how = "--model models/tiny --max-new-tokens 4 --greedy";
  const file = await runTask("inference", folder.path, `${how} --file data/questions.txt`);
  assert.equal(file.code, 0, file.stderr);
  const apart = [];
  for (const question of ["What is pain?", "What is fever?"]) {
    const { stdout } = await runTask("inference", folder.path, [
      ...how.split(" "),
      "--question",
      question,
    ]);
    apart.push(question, stdout);
  }
  const blank = (text: string) => text.replace(/\s+/g, " ").trim();
  assert.equal(blank(file.stdout), blank(apart.join(" ")));

  const both = await runTask("inference", folder.path, `${how} --chat --file data/questions.txt`);
  assert.deepEqual([both.code, both.stderr], [
    2,
    "error: Cannot ask in more than one way: give --question, --file or --chat",
  ]);
  for (const [task, question] of [["inference", ""], ["inference:lora", " \n"]]) {
    const nothing = await runTask(task, folder.path, ["--question", question]);
    assert.deepEqual([nothing.code, nothing.stderr], [
      2,
      `error: option '--question <text>' argument '${question}' is invalid. It must not be empty.\n` +
      `(deno task ${task} --help lists the flags)`,
    ]);
  }
  const none = await runTask("inference", folder.path, `${how} --file data/none.txt`);
  assert.deepEqual([none.code, none.stderr.split("\n").at(-1)], [
    1,
    "error: Cannot read questions: there is no file data/none.txt",
  ]);
  const wholeFolder = await runTask("inference", folder.path, `${how} --file data`);
  assert.deepEqual([wholeFolder.code, wholeFolder.stderr], [
    1,
    "error: Cannot read questions: data is a folder; give a file",
  ]);
  await folder.write("data/empty.txt", "\n \n");
  const empty = await runTask("inference", folder.path, `${how} --file data/empty.txt`);
  assert.deepEqual([empty.code, empty.stdout, empty.stderr], [
    1,
    "",
    "error: Cannot ask: data/empty.txt has no question; write one a line",
  ]);
});
