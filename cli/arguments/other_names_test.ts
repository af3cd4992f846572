import assert from "node:assert/strict";
import { Command } from "commander";
import { executeCommand } from "../process/run_command.ts";
import { CONFIGURABLE } from "./configurable.ts";
import { addLoraFlags } from "./lora_flags.ts";
import { OTHER_NAMES, otherName } from "./other_names.ts";
import { addTrainingFlags } from "./training_flags.ts";

function flagsOf(...add: ((command: Command) => void)[]): Set<string> {
  const command = new Command();
  for (const each of add) each(command);
  return new Set(command.options.map((option) => option.name()));
}

const TRAIN = flagsOf(addTrainingFlags);
const LORA = flagsOf(addTrainingFlags, addLoraFlags);

/** What a command says of flags, and its exit code. */
async function say(
  args: readonly string[],
  flags: (command: Command) => void = addTrainingFlags,
): Promise<{ code: number; text: string }> {
  let text = "";
  const code = await executeCommand({
    name: "deno task train",
    description: "",
    flags,
    ...CONFIGURABLE,
    run: () => Promise.reject(new Error("not to be reached")),
  }, { args, printError: (line) => text += `${line}\n` });
  return { code, text: text.split("\n")[0] };
}

Deno.test(`${OTHER_NAMES.length} flags of other trainers lead to flags that there are, and are none of ours`, () => {
  assert.ok(OTHER_NAMES.length >= 100);
  for (const name of OTHER_NAMES) {
    const found = otherName(name)!;
    assert.ok(!TRAIN.has(name), name);
    if ("same" in found) {
      assert.ok(LORA.has(found.same), `${name}: ${found.same}`);
      assert.ok(!LORA.has(name), name);
    }
    // Flags and tasks that an answer names.
    const named = "answer" in found
      ? found.answer.matchAll(/(?<!deno task \S+ )--([a-z][a-z0-9-]+)/g)
      : [];
    for (const [, flag] of named) assert.ok(LORA.has(flag), `${name}: --${flag}`);
  }
});

Deno.test("flags of TRL, LLaMA-Factory, Unsloth, mlx-lm and Axolotl are answered with ours", async () => {
  const same: Readonly<Record<string, string>> = {
    "--lr": "--learning-rate",
    "--epochs": "--num-train-epochs",
    "--num_epochs": "--num-train-epochs",
    "--batch-size": "--per-device-train-batch-size",
    "--micro_batch_size": "--per-device-train-batch-size",
    "--iters": "--max-steps",
    "--model_name_or_path": "--model",
    "--dataset": "--train-file",
    "--max-seq-length": "--max-length",
    "--cutoff_len": "--max-length",
    "--output": "--output-dir",
    "--evaluation-strategy": "--eval-strategy",
    "--grad-checkpoint": "--gradient-checkpointing",
  };
  for (const [flag, ours] of Object.entries(same)) {
    assert.deepEqual(await say([flag, "1"]), {
      code: 2,
      text: `error: unknown option '${flag.replaceAll("_", "-")}': it is ${ours} here`,
    });
  }
  const lora = (command: Command) => (addTrainingFlags(command), addLoraFlags(command));
  const error = "error: unknown option '--lora-r': it is --lora-rank here";
  assert.deepEqual(await say(["--lora-r=8"], lora), { code: 2, text: error });
  assert.deepEqual(await say(["--lora-r=8"]), {
    code: 2,
    text: `${error}, of deno task train:lora`,
  });
  assert.equal(
    (await say(["--lora-rank=8"])).text,
    "error: unknown option '--lora-rank': it is a flag of deno task train:lora",
  );
  assert.equal(
    (await say(["--fp16"])).text,
    "error: unknown option '--fp16': float16 arithmetic is not there; --bf16 is, on cuda",
  );
});

Deno.test("a misspelt flag is answered with the nearest, one that is near to none without", async () => {
  assert.equal(
    (await say(["--learning-rat", "1"])).text,
    "error: unknown option '--learning-rat': did you mean --learning-rate?",
  );
  assert.equal((await say(["--quux"])).text, "error: unknown option '--quux'");
});
