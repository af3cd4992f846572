import assert from "node:assert/strict";
import { DEFAULT_LORA } from "../../lora/lora_options.ts";
import type { BaseDtype } from "../../model/base_storage.ts";
import { parseConfig } from "../../model/config.ts";
import { QWEN3_0_6B } from "../../tests/support/model_configs.ts";
import { parse } from "../../tests/support/parse_training_flags.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { createFileHasher } from "./file_hasher.ts";
import { hashFolder, hashSafetensors, runFacts } from "./collect_run_facts.ts";
import { sha256 } from "../checkpoints/checkpoint.ts";
import type { LoraArguments } from "./training_arguments.ts";
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

/** Answers the path of a file as its hash. */
const pathHasher = (path: string) => Promise.resolve({ bytes: 1, sha256: `of ${path}` });

Deno.test("runFacts() of a full run are all that shapes it, by their names in Hugging Face's arguments", async () => {
  const flags = ["--model=m", "--train-file=a.jsonl", "--max-length=512"];
  assert.deepEqual(await runFacts(derive(...flags), "aa", pathHasher), {
    method: "full",
    config_sha256: "of m/config.json",
    tokenizer_sha256: "of m/tokenizer.json",
    train_data_sha256: "aa",
    seed: 42,
    num_train_epochs: 2,
    max_steps: 0,
    compat: null,
    per_device_train_batch_size: 1,
    gradient_accumulation_steps: 4,
    packing: false,
    max_length: 512,
    learning_rate: 1e-4,
    lr_scheduler_type: "linear",
    warmup_steps: 0,
    weight_decay: 0,
    max_grad_norm: 1,
    logging_steps: 10,
  });
  const { precision } = await runFacts(derive(...flags, "--device=cuda"), "aa", pathHasher);
  assert.equal(precision, "bf16");
});

Deno.test("runFacts() of an adapter are its settings, the base's weights, and the adapter that it starts from", async () => {
  await using folder = await tempFolder();
  for (const name of ["model-2.safetensors", "model-1.safetensors"]) await folder.write(name, "");
  for (const name of ["optimizer.safetensors", "model.bin"]) await folder.write(name, "");
  await using adapter = await tempFolder();
  await adapter.write("adapter_model.safetensors", "");
  const { args } = derive("--model", folder.path, "--train-file", "a.jsonl", "--max-length=512");
  const full = await runFacts(deriveTraining(args, config), "aa", pathHasher);
  const { method: _, ...same } = full;
  const facts = (lora: Partial<LoraArguments>) =>
    runFacts(
      deriveTraining({ ...args, lora: { ...DEFAULT_LORA, ...lora } }, config),
      "aa",
      pathHasher,
    );
  const base = sha256(
    ["model-1", "model-2"].map((name) =>
      `${name}.safetensors of ${folder.path}/${name}.safetensors`
    ).join("\n"),
  );
  assert.equal(await hashSafetensors(folder.path, pathHasher), base);
  const plain = {
    ...same,
    method: "lora",
    base_sha256: base,
    lora_rank: 8,
    lora_alpha: 32,
    lora_dropout: 0.1,
    target_modules: "all-linear",
    use_rslora: false,
    use_dora: false,
    init_adapter_sha256: null,
  };
  assert.deepEqual(await facts({}), plain);
  assert.deepEqual(await facts({ loraPlusRatio: 1, initLoraWeights: "default" }), plain);
  const start = sha256(
    `adapter_model.safetensors of ${adapter.path}/adapter_model.safetensors`,
  );
  assert.deepEqual(
    await facts({
      ...{ rank: 4, alpha: 9, dropout: 0, rslora: true, loraPlusRatio: 16 },
      ...{ targetModules: ["v_proj", "down_proj"], layersToTransform: [1, 3] },
      ...{ baseDtype: "int4", baseBlockSize: 64, baseCompute: "fp32" },
      initAdapter: adapter.path,
    }),
    {
      ...plain,
      ...{ lora_rank: 4, lora_alpha: 9, lora_dropout: 0, use_rslora: true, lora_plus_ratio: 16 },
      ...{ target_modules: "down_proj,v_proj", lora_layers: '{"layersToTransform":[1,3]}' },
      ...{ base_dtype: "int4", base_block_size: 64, base_compute: "fp32" },
      init_adapter_sha256: start,
    },
  );
  assert.deepEqual(await facts({ dora: true }), { ...plain, use_dora: true });
  assert.deepEqual(await facts({ initLoraWeights: "pissa", dropout: 0 }), {
    ...plain,
    ...{ init_lora_weights: "pissa", lora_dropout: 0 },
  });
  assert.equal(
    await hashFolder(adapter.path, "adapter_config.json", pathHasher),
    sha256(start, `of ${adapter.path}/adapter_config.json`),
  );
});

Deno.test("createFileHasher() reads each file once", async () => {
  await using folder = await tempFolder();
  const [a, b] = [await folder.write("a", "one"), await folder.write("b", "three")];
  const hash = createFileHasher();
  const first = await hash(a);
  assert.deepEqual(first, { bytes: 3, sha256: sha256("one") });
  assert.deepEqual(await hash(b), { bytes: 5, sha256: sha256("three") });
  await Deno.writeTextFile(a, "other");
  assert.equal(await hash(a), first);
  assert.deepEqual(await createFileHasher()(a), { bytes: 5, sha256: sha256("other") });
});
