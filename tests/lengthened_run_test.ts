/** A run of which more is asked on resume ends as one of which all was asked at once. */

import assert from "node:assert/strict";
import { folderHashes } from "./support/folder_hashes.ts";
import { quickstartFolder } from "./support/quickstart_folder.ts";
import { trainCommand, trainFlags } from "./support/train_command.ts";

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
