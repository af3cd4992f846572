/** What flags do to whole runs: longer ones, the optimizer's constants, what is saved. */

import assert from "node:assert/strict";
import { openSafetensors } from "../ort/tensor/safetensors_file.ts";
import { readFloat32 } from "../ort/tensor/tensor_source.ts";
import { folderHashes } from "./support/folder_hashes.ts";
import { quickstartFolder } from "./support/quickstart_folder.ts";
import { trainCommand, trainFlags } from "./support/train_command.ts";

/** Of a step, what float32 may miss of a weight near 1; 9.3e-5 is measured. */
const WHOLE = 1e-3;

Deno.test("a run that is made longer with --max-steps ends in the bytes of a long one", async () => {
  await using folder = await quickstartFolder();
  // A schedule that does not know the run's length.
  const flags = [...trainFlags(folder.path), "--lr-scheduler-type=constant", "--logging-steps=2"];
  const train = async (...more: string[]) =>
    assert.deepEqual(await trainCommand([...flags, ...more]), { code: 0, stderr: "" });
  const [whole, cut] = ["whole", "cut"].map((name) => `${folder.path}/${name}`);
  await train(`--output-dir=${whole}`, "--max-steps=5", "--save-steps=2");
  await train(`--output-dir=${cut}`, "--max-steps=3", "--save-steps=3");
  await train(`--output-dir=${cut}`, "--max-steps=5", "--save-steps=2", "--resume-from-checkpoint");
  assert.deepEqual(
    await folderHashes(`${cut}/checkpoint-5`),
    await folderHashes(`${whole}/checkpoint-5`),
  );
  const other = await trainCommand([
    ...flags,
    ...[`--output-dir=${cut}`, "--max-steps=7", "--learning-rate=1e-3", "--resume-from-checkpoint"],
  ]);
  assert.equal(other.code, 1);
  assert.match(
    other.stderr,
    /it is of another run\n {2}learning_rate: 0\.0001 there, 0\.001 here\nGive/,
  );
});

Deno.test("--adam-beta1, --adam-beta2 and --adam-epsilon reach the optimizer", async () => {
  await using folder = await quickstartFolder();
  const rate = 1e-3;
  const flags = [...trainFlags(folder.path), `--learning-rate=${rate}`, "--max-grad-norm=0"];
  /** By how much the last norm's weights change in two updates, in learning rates. */
  const changes = async (name: string, ...more: string[]) => {
    const output = `${folder.path}/${name}`;
    const args = [...flags, "--lr-scheduler-type=constant", `--output-dir=${output}`, ...more];
    assert.deepEqual(await trainCommand(args), { code: 0, stderr: "" });
    const weights = async (model: string) => {
      await using file = await openSafetensors(`${model}/model.safetensors`);
      return await readFloat32(file, "model.norm.weight");
    };
    const [before, after] = [
      await weights(`${folder.path}/models/tiny`),
      await weights(`${output}/checkpoint-2`),
    ];
    return Array.from(after, (weight, i) => Math.abs(weight - before[i]) / rate);
  };
  // Without memory of earlier gradients each update is a whole step, there and on or there and back.
  const whole = (steps: number) => Math.min(Math.abs(steps), Math.abs(steps - 2));
  const forgetful = ["--adam-beta1=0", "--adam-beta2=0", "--adam-epsilon=1e-12"];
  const signs = await changes("signs", ...forgetful);
  if (Deno.env.get("ORTUNE_REPORT")) console.log(Math.max(...signs.map(whole)));
  for (const steps of signs) {
    assert.ok(whole(steps) < WHOLE, `${steps} steps`);
  }
  assert.ok((await changes("usual")).some((steps) => whole(steps) > 100 * WHOLE));
  assert.ok((await changes("damped", "--adam-epsilon=10")).every((steps) => steps < 0.5));
});

Deno.test("--save-strategy no leaves no checkpoint, --save-only-model none to resume", async () => {
  await using folder = await quickstartFolder();
  const flags = trainFlags(folder.path);
  const names = async (path: string) =>
    (await Array.fromAsync(Deno.readDir(`${folder.path}/${path}`), ({ name }) => name)).sort();
  assert.deepEqual(await trainCommand([...flags, "--save-strategy=no"]), { code: 0, stderr: "" });
  assert.deepEqual((await names("output")).filter((name) => name.startsWith("checkpoint")), []);
  const { status, checkpoint } = JSON.parse(
    await Deno.readTextFile(`${folder.path}/output/run.json`),
  );
  assert.deepEqual([status, checkpoint], ["completed", null]);
  assert.deepEqual(await trainCommand([...flags, "--save-only-model"]), { code: 0, stderr: "" });
  const files = await names("output/checkpoint-2");
  assert.ok(files.includes("model.safetensors") && files.includes("tokenizer.json"), files.join());
  assert.ok(!files.some((name) => /optimizer|scheduler|rng_state/.test(name)), files.join());
  const { code, stderr } = await trainCommand([...flags, "--resume-from-checkpoint"]);
  assert.equal(code, 1);
  assert.match(
    stderr,
    /it was saved without the state of optimizer and data \(--save-only-model\)/,
  );
});
