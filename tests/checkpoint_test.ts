/** Checkpoints are whole or not there, whatever happens while they are written. */

import assert from "node:assert/strict";
import {
  listCheckpoints,
  sweepStaging,
  verifyCheckpoint,
} from "../train/checkpoints/checkpoint.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { openSafetensors } from "../ort/tensor/safetensors_file.ts";
import { createFullTrainer } from "../train/trainers/full_trainer.ts";
import { canMount, runMounted } from "./support/mounts.ts";
import { denoArgs, startDeno } from "./support/process.ts";
import { fixturePath } from "./support/parity_fixture.ts";
import { quickstartFolder } from "./support/quickstart_folder.ts";
import { draws } from "./support/random.ts";
import { repositoryPath, runDeno } from "./support/run_script.ts";
import { tempFolder } from "./support/temp_folder.ts";
import { trainCommand, trainFlags } from "./support/train_command.ts";

async function names(directory: string): Promise<string[]> {
  return (await Array.fromAsync(Deno.readDir(directory), ({ name }) => name)).sort();
}

Deno.test("20 kills of a process that saves all the time leave whole checkpoints, and lose none", async () => {
  await using folder = await tempFolder();
  const output = `${folder.path}/output`;
  const draw = draws(3);
  let seen = 0;
  for (let kill = 0; kill < 20; kill++) {
    await using child = startDeno(repositoryPath("tests/support/save_forever.ts"), {
      args: [output],
    });
    await child.waitFor(/saved/);
    await new Promise((resolve) => setTimeout(resolve, draw(0, 60)));
    child.kill("SIGKILL");
    const { text } = await child.ended();
    const checkpoints = await listCheckpoints(output);
    for (const { directory } of checkpoints) await verifyCheckpoint(directory);
    const saved = Number(text.matchAll(/saved (\d+)\./g).toArray().at(-1)![1]);
    // Between the two renames of a replacement it stands aside, for the next start to put back.
    const aside = (await names(output)).includes(`.staging-replaced-${saved}`);
    assert.ok(aside || checkpoints.at(-1)!.step >= saved, `${saved} is lost`);
    assert.ok(checkpoints.length >= 1);
    assert.ok(saved > seen);
    seen = saved;
  }
  await sweepStaging(output);
  assert.ok((await names(output)).every((name) => name === ".lock" || /^checkpoint/.test(name)));
});

Deno.test({
  name: "a full disk leaves earlier checkpoints whole, and the message names the file",
  ignore: !await canMount(),
  fn: async () => {
    await using folder = await tempFolder();
    // From where the first file does not fit to where a later one or the manifest does not.
    const sizes = [50, 400, 800, 1100, 1440, 1448, 2000, 2112];
    const disks = sizes.map((kilobytes) => `${folder.path}/${kilobytes}`);
    const mount = sizes.map((size, i) =>
      `mkdir ${disks[i]} && mount -t tmpfs -o size=${size}k tmpfs ${disks[i]}`
    ).join(" && ");
    const script = repositoryPath("tests/support/fill_disk.ts");
    const { code, stdout, stderr } = await runMounted(mount, denoArgs(script, { args: disks }));
    assert.equal(code, 0, stderr);
    const lines = stdout.split("\n");
    assert.equal(lines.length, sizes.length);
    for (const line of lines) {
      const { output, message, names } = JSON.parse(line);
      const saved = Math.floor(Number(/\d+$/.exec(output)![0]) / 704);
      const expected = Array.from({ length: saved }, (_, i) => `checkpoint-${i + 1}`);
      assert.deepEqual(names, expected, line);
      assert.ok(message.startsWith(`Cannot save checkpoint ${output}/checkpoint-${saved + 1}: `));
      assert.match(message, /No space left on device|the disk is full/, line);
      assert.match(message, /Free space or give another --output-dir, and resume$/);
    }
  },
});

Deno.test("a checkpoint holds what parity asks for, and generation can start from it", async () => {
  await using folder = await quickstartFolder();
  const output = `${folder.path}/output`;
  const result = await trainCommand([
    ...trainFlags(folder.path),
    ...["--validation-file", `${folder.path}/data/val.jsonl`, "--logging-steps", "1"],
  ]);
  assert.deepEqual(result, { code: 0, stderr: "" });
  assert.deepEqual(await names(output), [
    ".lock",
    "checkpoint-2",
    "metrics.jsonl",
    "run.json",
    "swanlog",
    "tensorboard",
    "tokens",
  ]);
  // TensorBoard shows a run by its folder's path.
  assert.deepEqual(await names(`${output}/tensorboard`), ["output"]);
  const checkpoint = `${output}/checkpoint-2`;
  assert.deepEqual(await names(checkpoint), [
    "chat_settings.json",
    "config.json",
    "generation_config.json",
    "manifest.json",
    "model.safetensors",
    "optimizer.state",
    "rng_state.json",
    "scheduler.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "trainer_state.json",
    "training_args.json",
  ]);
  const read = async (name: string): Promise<Record<string, unknown>> =>
    JSON.parse(await Deno.readTextFile(`${checkpoint}/${name}`));
  assert.equal((await read("config.json")).torch_dtype, "float32");

  const state = await read("trainer_state.json");
  assert.deepEqual(Object.keys(state), [
    "best_global_step",
    "best_metric",
    "best_model_checkpoint",
    "epoch",
    "eval_steps",
    "global_step",
    "is_hyper_param_search",
    "is_local_process_zero",
    "is_world_process_zero",
    "log_history",
    "logging_steps",
    "max_steps",
    "num_input_tokens_seen",
    "num_train_epochs",
    "save_steps",
    "stateful_callbacks",
    "total_flos",
    "train_batch_size",
    "trial_name",
    "trial_params",
  ]);
  assert.deepEqual((state.log_history as object[]).map((row) => Object.keys(row)), [
    ["epoch", "grad_norm", "learning_rate", "loss", "step"],
    ["epoch", "grad_norm", "learning_rate", "loss", "step"],
    ["epoch", "eval_loss", "eval_token_loss", "step"],
  ]);

  await using weights = await openSafetensors(`${checkpoint}/model.safetensors`);
  await using optimizer = await openSafetensors(`${checkpoint}/optimizer.state`);
  assert.equal(weights.metadata.get("format"), "pt");
  assert.ok(!weights.has("lm_head.weight"));
  assert.deepEqual(
    optimizer.names().toSorted(),
    weights.names().flatMap((name) => [`${name}.exp_avg`, `${name}.exp_avg_sq`]).toSorted(),
  );
  for (const name of weights.names()) {
    assert.deepEqual(optimizer.info(`${name}.exp_avg`), weights.info(name));
  }

  // The weights of a checkpoint are a model folder to start from.
  const next = await trainCommand([
    ...trainFlags(folder.path),
    ...["--model", checkpoint, "--output-dir", `${folder.path}/next`],
  ]);
  assert.deepEqual(next, { code: 0, stderr: "" });
});

Deno.test("a second trainer on an output folder is refused until the first is gone", async () => {
  await using folder = await quickstartFolder();
  const output = `${folder.path}/output`;
  const script = await folder.write(
    "hold.ts",
    `import { lockOutput } from "${repositoryPath("train/checkpoints/output_lock.ts")}";
    const lock = await lockOutput(${JSON.stringify(output)});
    console.log("locked", lock.directory);
    setInterval(() => {}, 1000);`,
  );
  await using holder = startDeno(script);
  await holder.waitFor(/locked/);
  const flags = trainFlags(folder.path);
  const second = await runDeno(denoArgs(repositoryPath("cli/commands/train.ts"), { args: flags }));
  assert.deepEqual(second, {
    code: 1,
    stdout: "",
    stderr: `error: Cannot train into ${output}: another trainer is writing there; ` +
      "wait for it or give another --output-dir",
  });
  assert.deepEqual(await names(output), [".lock"]);
  holder.kill("SIGKILL");
  await holder.ended();
  assert.deepEqual(await trainCommand(flags), { code: 0, stderr: "" });
});

Deno.test("a saved model is to the byte the one that transformers opened with the same logits", async () => {
  await using folder = await tempFolder();
  const runtime = new Runtime({ threads: 2 });
  await using trainer = await createFullTrainer(fixturePath("qwen3"), { runtime });
  const written = await trainer.save(folder.path);
  // tests/fixtures/parity/check_checkpoint.py opened this file; no arithmetic is in it, so its bytes
  // are the same on every machine.
  assert.equal(
    written.find(({ name }) => name === "model.safetensors")?.sha256,
    "1d269a100e77164f784688b955f647525efcd208505f904c3f046b5f58e76b2f",
  );
});
