import assert from "node:assert/strict";
import { Command } from "commander";
import { DEFAULT_LORA } from "../../lora/lora_options.ts";
import { UsageError } from "../../internal/usage_error.ts";
import { quickstartFolder } from "../../tests/support/quickstart_folder.ts";
import { parse } from "../../tests/support/parse_training_flags.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { resolveTraining } from "../../train/runs/resolve_training.ts";
import type { TrainingArguments } from "../../train/runs/training_arguments.ts";
import { expandConfig } from "./config_file.ts";
import { addLoraFlags, loraArguments, type LoraFlags, loraFlags } from "./lora_flags.ts";
import { printConfig } from "./print_config.ts";
import { addTrainingFlags, type TrainingFlags } from "./training_flags.ts";

function trainingCommand({ lora = false } = {}): Command {
  const command = new Command("deno task train").exitOverride()
    .configureOutput({ writeErr: () => {} });
  addTrainingFlags(command);
  if (lora) addLoraFlags(command);
  return command;
}

/** What a file and flags beside it come to, but for --config. */
async function read(
  path: string,
  flags: readonly string[] = [],
  options: { readonly lora?: boolean } = {},
): Promise<Omit<TrainingFlags & LoraFlags, "config">> {
  const command = trainingCommand(options);
  const args = await expandConfig(["--config", path, ...flags], command);
  const { config, ...parsed } = command.parse(args, { from: "user" }).opts<
    TrainingFlags & LoraFlags
  >();
  assert.equal(config, path);
  return parsed;
}

Deno.test("--config reads keys in three spellings, switches, lists and numbers, and flags win", async () => {
  await using folder = await tempFolder();
  const path = await folder.write(
    "run.yaml",
    `# what is tried
train_file: data/rows.jsonl
learning-rate: 1e-5
maxSteps: 12
warmup_steps: 0.1
packing: true
logging_first_step: no
gradient_checkpointing: false
eval_strategy: no
report_to: [tensorboard, swanlab]
system: ""
run_name: null
bf16: true
`,
  );
  const flags = ["--max-steps", "3", "--logging-steps=2"];
  assert.equal((await read(path, flags)).precision, "bf16");
  assert.deepEqual(
    await read(path, flags),
    parse(
      ...["--train-file=data/rows.jsonl", "--learning-rate=1e-5", "--max-steps=3"],
      ...["--warmup-steps=0.1", "--packing", "--logging-first-step=false"],
      ...["--no-gradient-checkpointing", "--eval-strategy=no", "--system=", "--bf16"],
      ...["--logging-steps=2"],
    ),
  );
  await folder.write("columns.yaml", "columns: {question: Q, answer: A}\n");
  const { columns } = await read(`${folder.path}/columns.yaml`);
  assert.deepEqual(columns, { question: "Q", answer: "A" });
  await folder.write("schedule.yaml", "lr_scheduler_kwargs: {min_lr_rate: 0.1, num_cycles: 1}\n");
  const { lrSchedulerKwargs } = await read(`${folder.path}/schedule.yaml`);
  assert.deepEqual(lrSchedulerKwargs, { min_lr_rate: 0.1, num_cycles: 1 });
  await folder.write("none.yaml", "report_to: []\nresume_from_checkpoint: false\n");
  const { reportTo, resumeFromCheckpoint } = await read(`${folder.path}/none.yaml`);
  assert.deepEqual([reportTo, resumeFromCheckpoint], [[], undefined]);
});

Deno.test("a list of files in a file is one flag each, and gives way to files that are typed", async () => {
  await using folder = await tempFolder();
  const path = await folder.write("run.yaml", "train_file: [a.jsonl, b.csv]\nmix: [0.7, 0.3]\n");
  assert.deepEqual(
    await read(path),
    parse("--train-file=a.jsonl", "--train-file=b.csv", "--mix=0.7,0.3"),
  );
  assert.deepEqual((await read(path, ["--train-file", "c.jsonl"])).trainFile, ["c.jsonl"]);
});

Deno.test("a flag takes the place of the key that must not stand beside it", async () => {
  await using folder = await tempFolder();
  const path = await folder.write("a.yaml", "gradient_accumulation_steps: 4\nseed: 7\n");
  const { tokensPerStep, seed } = await read(path, ["--tokens-per-step", "4096"]);
  assert.deepEqual([tokensPerStep, seed], [4096, 7]);
});

Deno.test("--config names all keys that are no flags, with what was meant", async () => {
  await using folder = await tempFolder();
  const path = await folder.write(
    "run.yaml",
    "learning_rat: 1\nlr: 1e-4\nmodel_name_or_path: m\nlora_rank: 4\nquux: 1\nsystem: {a: 1}\nfp16: true\n",
  );
  await assert.rejects(read(path), (error: Error) => {
    assert.ok(error instanceof UsageError);
    assert.equal(
      error.message,
      `Cannot use ${path}:\n` +
        "  learning_rat: did you mean learning_rate?\n" +
        "  lr: it is learning_rate here\n" +
        "  model_name_or_path: it is model here\n" +
        "  lora_rank: it is a flag of deno task train:lora\n" +
        "  quux: no flag of deno task train\n" +
        "  system: it is an object, and a flag's value is text or a number\n" +
        "  fp16: float16 arithmetic is not there; --bf16 is, on cuda",
    );
    return true;
  });
});

Deno.test("--config refuses what is no file of flags, and values that no flag has", async () => {
  await using folder = await tempFolder();
  const file = (text: string) => folder.write("run.yaml", text);
  await assert.rejects(
    read(`${folder.path}/none.yaml`),
    /Cannot read .*none\.yaml: it is missing; give/,
  );
  await assert.rejects(
    read(await file("- a\n- b\n")),
    /it is array of 2; give a YAML file of flags/,
  );
  await assert.rejects(read(await file("a: [1")), /it is not YAML \(/);
  await assert.rejects(
    read(await file("max_steps: many\n")),
    /option '--max-steps <n>' argument 'many'/,
  );
  await assert.rejects(read(await file("packing: maybe\n")), /It must be true or false/);
});

Deno.test("--print-config and a run.json give --config the same run again", async (t) => {
  await using folder = await quickstartFolder();
  const path = (name: string) => `${folder.path}/${name}`;
  const usual = [`--model=${path("models/tiny")}`, `--train-file=${path("data/train.jsonl")}`];
  const cases: Readonly<Record<string, readonly string[]>> = {
    "the defaults": [],
    "what a run may be asked for": [
      ...["--warmup-ratio=0.1", "--adam-beta2=0.95", "--eval-strategy=epoch", "--save-steps=0.25"],
      ...["--packing", "--no-gradient-checkpointing", "--report-to=none", "--run-name=a: b"],
      ...["--system=\nyes", "--learning-rate=1e-7", "--save-only-model", "--max-length=300"],
      `--validation-file=${path("data/val.jsonl")}`,
    ],
    "tokens in place of accumulation": ["--tokens-per-step=4096"],
    "the seed's behaviour": ["--compat=seed", "--system="],
  };
  const resolve = async ({ flags, lora }: { flags: TrainingFlags & LoraFlags; lora: boolean }) => {
    const names = Object.keys(loraFlags(DEFAULT_LORA));
    const options = Object.entries(flags).filter(([name]) => !names.includes(name));
    const adapter = lora ? { lora: loraArguments(flags) } : {};
    return (await resolveTraining({ ...Object.fromEntries(options), ...adapter })).args;
  };
  // What is left open is not there, or undefined.
  const plain = (args: TrainingArguments) => JSON.parse(JSON.stringify(args));
  for (const lora of [false, true]) {
    for (const [what, flags] of Object.entries(cases)) {
      await t.step(`${what}${lora ? ", by LoRA" : ""}`, async () => {
        const more = lora
          ? ["--lora-rank=4", "--target-modules=q_proj,v_proj", "--use-rslora"]
          : [];
        const typed = trainingCommand({ lora })
          .parse([...usual, ...flags, ...more], { from: "user" }).opts<TrainingFlags & LoraFlags>();
        const args = await resolve({ flags: typed, lora });
        const config = await folder.write("run.yaml", printConfig(args));
        const manifest = await folder.write(
          "run.json",
          JSON.stringify({ format: 1, arguments: args }),
        );
        for (const file of [config, manifest]) {
          const again = await resolve({
            flags: await read(file, [], { lora }) as TrainingFlags & LoraFlags,
            lora,
          });
          assert.deepEqual(plain(again), plain(args), await Deno.readTextFile(file));
        }
      });
    }
  }
});
