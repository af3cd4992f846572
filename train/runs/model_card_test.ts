import assert from "node:assert/strict";
import { VERSION } from "../../internal/version.ts";
import { BASE_STORAGES } from "../../model/base_storage.ts";
import type { FigureRow } from "../track/run_update.ts";
import { modelCard, type ModelCardOptions } from "./model_card.ts";
import type { RunManifest } from "./run_manifest.ts";

const manifest: RunManifest = {
  format: 1,
  command: "deno task train --seed 7",
  arguments: {
    ...{ model: "models/me/base", trainFile: ["data/a.jsonl", "data/more"] },
    ...{ validationFile: "data/val|1.jsonl", learningRate: 1e-4, perDeviceTrainBatchSize: 2 },
    ...{ perDeviceEvalBatchSize: null, seed: 7, packing: false, lrSchedulerType: "linear" },
    ...{ optim: "adamw", warmupSteps: 0, numTrainEpochs: 2, threads: 3 },
  },
  files: [
    { path: "data/a.jsonl", bytes: 2048, sha256: "aa" },
    { path: "data/more/b.jsonl", bytes: 3, sha256: "bb" },
    { path: "data/more.jsonl", bytes: 4, sha256: "cc" },
    { path: "data/val|1.jsonl", bytes: 5, sha256: "dd" },
    { path: "models/me/base/config.json", bytes: 6, sha256: "ee" },
  ],
  config: {},
  versions: { ortune: "1.0", threads: 3 },
  status: "completed",
  started: "2026-11-28T12:41:38Z",
  ended: "2026-11-28T12:51:38Z",
  checkpoint: "output/run/checkpoint-5",
  metrics: {
    ...{ seconds: 3725, step: 1234, epoch: 1.98765, tokens: 200_000, trainLoss: 1.5 },
    ...{ evalLoss: 1.23456, evalTokenLoss: 1 },
  },
  best: { step: 4, metric: "eval_loss", value: 1.125 },
  rows: { training: 12_345, validation: 20 },
  earlier: [],
};

/** The parts of a card, between empty lines. */
function partsOf(options: Partial<ModelCardOptions>): string[] {
  const card = modelCard({ repo: "me/mine", adapter: false, ...options });
  assert.ok(card.endsWith("\n") && !card.endsWith("\n\n"));
  return card.trimEnd().split("\n\n");
}

/** The part after a heading. */
function after(parts: readonly string[], heading: string, count = 1): string[] {
  const at = parts.indexOf(heading);
  assert.notEqual(at, -1, heading);
  return parts.slice(at + 1, at + 1 + count);
}

Deno.test("modelCard() says how to use a model of which nothing else is known", () => {
  assert.equal(
    modelCard({ repo: "me/mine", adapter: false }),
    `---
library_name: transformers
pipeline_tag: text-generation
tags:
- ortune
- onnxruntime
---

# mine

A fine-tuning of its base model, made with [ortune](https://jsr.io/@ortune/ortune) ${VERSION} on stock ONNX Runtime.

## Use

\`\`\`python
from transformers import AutoModelForCausalLM

model = AutoModelForCausalLM.from_pretrained("me/mine")
\`\`\`

\`\`\`sh
deno task fetch --model me/mine --source huggingface
deno task inference --model me/mine
\`\`\`
`,
  );
});

Deno.test("modelCard() says how to use an adapter", () => {
  assert.equal(
    modelCard({ repo: "me/mine", adapter: true, baseModel: 'Qwen/"3"' }),
    `---
library_name: peft
pipeline_tag: text-generation
base_model: "Qwen/\\"3\\""
tags:
- ortune
- onnxruntime
- lora
---

# mine

A LoRA adapter for Qwen/"3", made with [ortune](https://jsr.io/@ortune/ortune) ${VERSION} on stock ONNX Runtime.

## Use

\`\`\`python
from peft import PeftModel
from transformers import AutoModelForCausalLM

base = AutoModelForCausalLM.from_pretrained("Qwen/\\"3\\"")
model = PeftModel.from_pretrained(base, "me/mine")
\`\`\`

\`\`\`sh
deno task fetch --model me/mine --source huggingface
deno task inference:lora --adapter models/me/mine --model Qwen/"3"
\`\`\`
`,
  );
  const unknown = partsOf({ adapter: true });
  assert.ok(unknown.includes(
    'base = AutoModelForCausalLM.from_pretrained("BASE")\n' +
      'model = PeftModel.from_pretrained(base, "me/mine")\n```',
  ));
});

Deno.test("modelCard() merges an adapter first whose base was rounded", () => {
  const parts = partsOf({ adapter: true, baseModel: "b/c", storage: BASE_STORAGES.int4 });
  assert.deepEqual(after(parts, "## Use", 9), [
    "```sh\ndeno task fetch --model me/mine --source huggingface\n" +
    "deno task inference:lora --adapter models/me/mine --model b/c\n```",
    "It was trained on a base whose weights were rounded (`--base-dtype int4`). ortune rounds them so again; " +
    "PEFT does not know of it. For other programs, merge the adapter first:",
    "```sh\ndeno task merge --adapter models/me/mine --model b/c --output-dir output/merged\n```",
    "```python\nfrom transformers import AutoModelForCausalLM",
    'model = AutoModelForCausalLM.from_pretrained("output/merged")\n```',
  ]);
});

Deno.test("modelCard() tells of the run that made the weights, in order", () => {
  const parts = partsOf({ manifest, curve: true });
  assert.deepEqual(parts.slice(1, -4), [
    "# mine",
    "A fine-tuning of base, made with [ortune](https://jsr.io/@ortune/ortune) " +
    `${VERSION} on stock ONNX Runtime.`,
    "![Loss](loss.svg)",
    "## Training",
    `|  |  |
|---|---|
| status | finished |
| started | 2026-11-28 12:41 UTC |
| time | 1:02:05 |
| steps | 1,234 |
| epochs | 1.99 |
| tokens | 200k |
| train loss | 1.5000 |
| eval loss | 1.2346 |
| per token | 1.0000 |
| perplexity | 2.7183 |
| best eval loss | 1.1250 at step 4 |`,
    `| data | file | rows | size | sha256 |
|---|---|---|---|---|
| training | a.jsonl |  | 2.00 KiB | aa |
| training | b.jsonl |  | 3 B | bb |
| validation | val\\|1.jsonl | 20 | 5 B | dd |`,
    "### Training hyperparameters",
    `|  |  |
|---|---|
| learning_rate | 0.0001 |
| train_batch_size | 2 |
| seed | 7 |
| packing | false |
| optimizer | adamw |
| lr_scheduler_type | linear |
| warmup_steps | 0 |
| num_epochs | 2 |`,
    "```sh\ndeno task train --seed 7\n```",
    "### Framework versions",
    "- ortune 1.0\n- threads 3",
  ]);
  assert.deepEqual(parts[0].split("\n").slice(5), [
    "- onnxruntime",
    "model-index:",
    '- name: "mine"',
    "  results:",
    "  - task:",
    "      type: text-generation",
    "      name: Text Generation",
    "    dataset:",
    '      name: "val|1.jsonl"',
    "      type: json",
    "      split: validation",
    "    metrics:",
    "    - type: loss",
    "      name: Loss",
    "      value: 1.2346",
    "---",
  ]);
});

Deno.test("modelCard() has a result for the hub where a number is known for a named file", () => {
  const has = (change: Partial<RunManifest>): boolean =>
    partsOf({ manifest: { ...manifest, ...change } })[0].includes("model-index");
  assert.ok(has({}));
  assert.ok(!has({ metrics: null }));
  assert.ok(!has({ metrics: { evalLoss: "NaN" } }));
  assert.ok(!has({ arguments: { model: "m" } }));
  assert.ok(!has({ arguments: { validationFile: ["a", "b"] } }));
});

Deno.test("modelCard() says how a run ended that did not finish, without figures that it has not", () => {
  for (
    const [status, text] of [
      ["started", "did not end"],
      ["early-stopped", "finished: stopped early"],
      ["aborted", "aborted"],
      ["failed", "failed"],
      ["unknown", "unknown"],
    ]
  ) {
    const { best: _, rows: __, ...others } = manifest;
    const changed = { ...others, status, metrics: null, command: null } as RunManifest;
    const parts = partsOf({ manifest: changed });
    assert.deepEqual(after(parts, "## Training"), [
      `|  |  |\n|---|---|\n| status | ${text} |\n| started | 2026-11-28 12:41 UTC |`,
    ]);
    assert.ok(!parts.some((part) => part.startsWith("```sh\ndeno task train")));
    assert.ok(parts.some((part) => part.includes("| validation | val\\|1.jsonl |  | 5 B | dd |")));
  }
  const parts = partsOf({ manifest: { ...manifest, metrics: { evalTokenLoss: "NaN", step: 0 } } });
  assert.match(
    after(parts, "## Training")[0],
    /\| steps \| 0 \|\n\| per token \| NaN \|\n\| perplexity \| NaN \|\n/,
  );
});

Deno.test("modelCard() lists files that names, folders and patterns stand for, with rows where they are of one file", () => {
  const files = ["data/x/a.jsonl", "data/x/b.csv", "other/x/a.jsonl", "data/x"]
    .map((path) => ({ path, bytes: 1, sha256: "s" }));
  const table = (trainFile: unknown): string[] =>
    partsOf({ manifest: { ...manifest, files, arguments: { trainFile } } })
      .filter((part) => part.startsWith("| data ")).flatMap((part) => part.split("\n").slice(2));
  const line = (name: string, rows = ""): string => `| training | ${name} | ${rows} | 1 B | s |`;
  assert.deepEqual(table("data/x/*.jsonl"), [line("a.jsonl", "12,345")]);
  assert.deepEqual(table(["other/x", "data/*/b.csv"]), [line("b.csv"), line("a.jsonl")]);
  assert.deepEqual(table("data"), [line("a.jsonl"), line("b.csv"), line("x")]);
  assert.deepEqual(table("dat"), []);
  assert.deepEqual(table(undefined), []);
});

Deno.test("modelCard() lists an adapter's settings, and names the one it started from", () => {
  const lora = {
    ...{ rank: 8, alpha: null, targets: ["q_proj", "v_proj"], rankPattern: { "a|b": 2 } },
    ...{ initAdapter: "output/run/checkpoint-5", dropout: undefined },
  };
  const settings = (more: Record<string, unknown>): string =>
    after(
      partsOf({ manifest: { ...manifest, arguments: { lora: { ...lora, ...more } } } }),
      "### Training hyperparameters",
    )[0];
  assert.equal(
    settings({}),
    `|  |  |
|---|---|
| lora rank | 8 |
| lora targets | q_proj,v_proj |
| lora rankPattern | {"a\\|b":2} |
| lora initAdapter | checkpoint-5 |`,
  );
  assert.ok(!settings({ initAdapter: undefined }).includes("initAdapter"));
});

Deno.test("modelCard() shows the last twenty evaluations, each with the training loss before it", () => {
  const figures: FigureRow[] = [
    { step: 1, epoch: 0.5, eval_loss: 3, eval_token_loss: null },
    { step: 2, epoch: 1, loss: 2.5 },
    { step: 3, loss: 9, skipped_updates: 1, eval_loss: 9 },
    { step: 4, eval_loss: 2, eval_token_loss: 1 },
    { step: 5, loss: null },
    { step: 6, epoch: 2.005, eval_loss: null },
  ];
  const rows = (all: readonly FigureRow[]): string[][] =>
    partsOf({ manifest, figures: all }).filter((part) => part.startsWith("| Train loss"))
      .map((part) => part.split("\n"));
  assert.deepEqual(rows(figures), [[
    "| Train loss | Epoch | Step | Eval loss | Per token |",
    "|---|---|---|---|---|",
    "| no log | 0.50 | 1 | 3.0000 | NaN |",
    "| 2.5000 | 0.00 | 4 | 2.0000 | 1.0000 |",
    "| NaN | 2.00 | 6 | NaN | no log |",
  ]]);
  const parts = partsOf({ manifest, figures });
  assert.deepEqual(after(parts, "### Training results", 3).slice(1), [
    "The eval loss is `eval_loss`: the mean over examples. Train loss and per token are means over " +
    "supervised tokens.",
    "```sh\ndeno task train --seed 7\n```",
  ]);
  assert.deepEqual(rows(figures.slice(1, 3)), []);
  const many = Array.from({ length: 21 }, (_, step) => ({ step, eval_loss: 1 }));
  const [[, , first, ...others]] = rows(many);
  assert.match(first, /^\| no log \| 0\.00 \| 1 \|/);
  assert.equal(others.length, 19);
});

Deno.test("modelCard() shows what the model said last, in fences that no text ends", () => {
  const samples = [
    { step: 5, question: "early", think: "", answer: "a" },
    { step: 7, question: "q", think: "t", answer: "```\ncode\n````" },
    { step: 6, question: "between", think: "", answer: "a" },
    { step: 7, question: "r", think: "", answer: "`b`" },
  ];
  const card = modelCard({ repo: "me/mine", adapter: false, samples });
  const said = card.slice(card.indexOf("## What it says"), card.indexOf("\n\n## Use"));
  assert.equal(
    said,
    "## What it says to validation questions\n\n" +
      "`````text\nQuestion: q\n\nLLM:<think>\nt\n</think>\n\n```\ncode\n````\n`````\n\n" +
      "```text\nQuestion: r\n\nLLM:`b`\n```",
  );
});

Deno.test("modelCard() shows a single sample too", () => {
  const samples = [{ step: 5, question: "q", think: "", answer: "a" }];
  assert.deepEqual(after(partsOf({ samples }), "## What it says to validation questions", 2), [
    ...["```text\nQuestion: q", "LLM:a\n```"],
  ]);
});

Deno.test("modelCard() tells clients what they must send", () => {
  const chat = { eosTokenIds: [1] };
  const chatOf = (settings: Partial<NonNullable<ModelCardOptions["chat"]>>): string[] => {
    const parts = partsOf({ chat: { ...chat, ...settings } });
    return parts.slice(
      parts.indexOf("## Chat") < 0 ? Infinity : parts.indexOf("## Chat") + 1,
      parts.indexOf("## Use"),
    );
  };
  const system = [
    "It was trained below this system prompt, which a client must send as the first message " +
    "(`deno task inference` and `deno task serve` do):",
    "```text\nBe kind.\n```",
  ];
  const thinking =
    "It was trained without thinking: render its chat template with `enable_thinking=False`.";
  assert.deepEqual(chatOf({}), []);
  assert.deepEqual(chatOf({ enableThinking: true }), []);
  assert.deepEqual(chatOf({ system: "Be kind." }), system);
  assert.deepEqual(chatOf({ system: "" }), ["It was trained without a system prompt: send none."]);
  assert.deepEqual(chatOf({ system: "Be kind.", enableThinking: false }), [...system, thinking]);
});
