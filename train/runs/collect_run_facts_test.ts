import assert from "node:assert/strict";
import { DEFAULT_LORA } from "../../lora/lora_options.ts";
import type { BaseDtype } from "../../model/base_storage.ts";
import { parseConfig } from "../../model/config.ts";
import { QWEN3_0_6B } from "../../tests/support/model_configs.ts";
import { parse } from "../../tests/support/parse_training_flags.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { createFileHasher } from "./file_hasher.ts";
import { runFacts } from "./collect_run_facts.ts";
import { deriveTraining } from "./resolve_training.ts";
import type { TrainingArguments } from "./training_arguments.ts";

const config = parseConfig(QWEN3_0_6B);
const derive = (...flags: string[]) => deriveTraining(parse(...flags) as TrainingArguments, config);

Deno.test("runFacts() differ by what shapes a run, and not by paths and reporting", async () => {
  await using folder = await tempFolder();
  await folder.write("config.json", "{}");
  await folder.write("tokenizer.json", "{}");
  const base = ["--model", folder.path, "--train-file", "a.jsonl"];
  const facts = (...flags: string[]) =>
    runFacts(derive(...base, ...flags), "aa", createFileHasher());
  const same = await facts();
  assert.deepEqual(
    await facts(
      ...["--train-file", "b.jsonl", "--output-dir", "elsewhere", "--eval-steps", "7"],
      ...["--save-steps", "9", "--save-total-limit", "1", "--optim", "adamw"],
    ),
    same,
  );
  const changes: Readonly<Record<string, string[]>> = {
    seed: ["--seed", "7"],
    num_train_epochs: ["--num-train-epochs", "3"],
    max_steps: ["--max-steps", "5"],
    per_device_train_batch_size: ["--per-device-train-batch-size", "2"],
    gradient_accumulation_steps: ["--gradient-accumulation-steps", "1"],
    packing: ["--packing"],
    max_length: ["--max-length", "64"],
    learning_rate: ["--learning-rate", "1"],
    lr_scheduler_type: ["--lr-scheduler-type", "cosine"],
    warmup_steps: ["--warmup-steps", "1"],
    weight_decay: ["--weight-decay", "0.1"],
    max_grad_norm: ["--max-grad-norm", "0"],
    logging_steps: ["--logging-steps", "1"],
  };
  for (const [name, flags] of Object.entries(changes)) {
    const other = await facts(...flags);
    const differing = Object.keys(same).filter((key) => same[key] !== other[key]);
    assert.deepEqual(differing, [name]);
  }
  const others = await facts("--adam-beta1=0.8", "--adam-epsilon=1e-6", "--warmup-ratio=0.1");
  assert.deepEqual(others, { ...same, adam_beta1: 0.8, adam_epsilon: 1e-6, warmup_ratio: 0.1 });
  // What is only there where it is asked for; what it brings along is there too.
  const asked:
    readonly (readonly [flags: readonly string[], facts: Readonly<Record<string, unknown>>])[] = [
      [["--tokens-per-step=4096"], { tokens_per_step: 4096, packing: true }],
      [["--loss=dft"], { loss: "dft" }],
      [["--loss=cross_entropy"], {}],
      [["--loss=dpo"], { loss: "dpo", beta: 0.1 }],
      [["--loss=orpo", "--beta=0.5"], { loss: "orpo", beta: 0.5 }],
      [["--train-layers=last:2"], { train_layers: 2 }],
      [["--neftune-noise-alpha=5"], { neftune_noise_alpha: 5 }],
      [["--neftune-noise-alpha=0"], {}],
      [["--label-smoothing-factor=0.1"], { label_smoothing_factor: 0.1 }],
      [["--label-smoothing-factor=0"], {}],
      [["--compat=seed"], { compat: "seed" }],
      [["--adam-beta2=0.9"], { adam_beta2: 0.9 }],
      [["--optim=lion"], { optim: "lion" }],
      // Whatever order the settings come in.
      [
        ["--lr-scheduler-type=polynomial", '--lr-scheduler-kwargs={"power":2,"lr_end":1e-9}'],
        { lr_scheduler_type: "polynomial", lr_scheduler_kwargs: '{"lr_end":1e-9,"power":2}' },
      ],
    ];
  for (const [flags, more] of asked) assert.deepEqual(await facts(...flags), { ...same, ...more });
  const lora = async (baseDtype?: BaseDtype) => {
    const { args } = derive(...base);
    return await runFacts(
      deriveTraining({ ...args, lora: { ...DEFAULT_LORA, baseDtype } }, config),
      "aa",
      createFileHasher(),
    );
  };
  assert.deepEqual(await lora("fp16"), { ...await lora(), base_dtype: "fp16" });
  assert.deepEqual(await lora("fp32"), await lora());
  const other = await runFacts(derive(...base), "bb", createFileHasher());
  assert.deepEqual([same.train_data_sha256, other.train_data_sha256], ["aa", "bb"]);
  await folder.write("config.json", "{ }");
  assert.notEqual((await facts()).config_sha256, same.config_sha256);
});
