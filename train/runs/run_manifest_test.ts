import assert from "node:assert/strict";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { hashFile } from "../checkpoints/checkpoint.ts";
import { createFileHasher } from "./file_hasher.ts";
import { RUN_MANIFEST } from "../track/find_runs.ts";
import { readManifest, startManifest } from "./run_manifest.ts";
import { DEFAULT_TRAINING } from "./training_arguments.ts";

const end = {
  type: "end",
  step: 3,
  epoch: 1,
  reason: "completed",
  tokens: 10,
  seconds: 2,
  trainLoss: NaN,
} as const;

/** What a manifest of a run in a folder is of. */
function given(directory: string, trainFile: string) {
  let clock = 0;
  const args = {
    ...DEFAULT_TRAINING,
    model: directory,
    trainFile,
    outputDir: directory,
    system: "",
    maxLength: 2048,
    seed: 7,
  };
  const options = {
    directory,
    hash: createFileHasher(),
    command: "deno task train",
    config: { model_type: "qwen3" },
    onnxRuntime: "1.30.0",
    threads: 2,
    resumed: false,
    now: () => new Date(1000 * clock++),
  };
  return { args, options };
}

Deno.test("run.json tells of the start, then of the end, and a resumed run of those before", async () => {
  await using folder = await tempFolder();
  const directory = folder.path;
  for (const name of ["config.json", "tokenizer.json", "model.safetensors", "train.jsonl"]) {
    await folder.write(name, name);
  }
  await folder.write("unrelated.bin", "");
  const trainFile = `${directory}/train.jsonl`;
  const { args, options } = given(directory, trainFile);
  const path = `${directory}/${RUN_MANIFEST}`;
  const started = await startManifest(args, options);
  const before = await readManifest(path);
  assert.deepEqual([before.status, before.ended, before.metrics], ["started", null, null]);
  assert.deepEqual(
    before.files.map((file) => file.path.slice(directory.length + 1)),
    ["train.jsonl", "config.json", "model.safetensors", "tokenizer.json"],
  );
  for (const { path, ...hashed } of before.files) {
    assert.deepEqual(hashed, await hashFile(path));
  }
  await started.end({ end, checkpoint: "output/checkpoint-3" });
  const after = await readManifest(path);
  assert.deepEqual([after.status, after.started, after.ended], [
    "completed",
    "1970-01-01T00:00:00.000Z",
    "1970-01-01T00:00:01.000Z",
  ]);
  assert.equal(after.metrics!.trainLoss, "NaN");
  assert.equal(after.checkpoint, "output/checkpoint-3");

  const third = await startManifest(args, { ...options, resumed: true });
  assert.equal((await readManifest(path)).rows, undefined);
  const [earlier, ...none] = (await readManifest(path)).earlier;
  assert.deepEqual([earlier.status, none.length], ["completed", 0]);
  await third.fail(new Error("the loss is NaN\0"), "failed");
  const failed = await readManifest(path);
  assert.deepEqual([failed.status, failed.error, failed.started === third.started], [
    "failed",
    "the loss is NaN\ufffd",
    true,
  ]);
  assert.ok(failed.ended! > failed.started);
  assert.deepEqual(failed.earlier, [earlier]);
  const names = await Array.fromAsync(Deno.readDir(directory), ({ name }) => name);
  assert.ok(!names.some((name) => name.startsWith(".staging")));
});

Deno.test("run.json that cannot be written is an error with a way out", async () => {
  await using folder = await tempFolder();
  const rows = await folder.write("train.jsonl", "{}");
  const { args, options } = given(folder.path, rows);
  await assert.rejects(
    startManifest(args, { ...options, directory: `${folder.path}/gone` }),
    /^Error: Cannot write .*gone\/run\.json: .*; free space or give another --output-dir$/,
  );
});

Deno.test({
  name: "run.json that may not be written is the error of the missing permission",
  permissions: { read: true, write: false },
  async fn() {
    const { args, options } = given(import.meta.dirname!, import.meta.filename!);
    await assert.rejects(startManifest(args, options), Deno.errors.NotCapable);
  },
});

function manifestWith(fields: Record<string, unknown>): string {
  const bare = { format: 1, arguments: {}, versions: {}, files: [], earlier: [] };
  return JSON.stringify({ ...bare, ...fields });
}

Deno.test("readManifest() refuses what is not a manifest", async () => {
  await using folder = await tempFolder();
  const path = `${folder.path}/run.json`;
  const cases = {
    "it is missing": undefined,
    "it is not valid JSON": "{",
    "it is not a manifest of format 1": "[]",
    "it has no arguments": '{"format":1}',
    "it has no versions": '{"format":1,"arguments":{}}',
    "it has no hashes of files": '{"format":1,"arguments":{},"versions":{},"files":[1]}',
    "it has no list of earlier runs": '{"format":1,"arguments":{},"versions":{},"files":[]}',
    "its checkpoint is number 3": manifestWith({ checkpoint: 3 }),
    'its checkpoint is string "a\\u0000b"': manifestWith({ checkpoint: "a\0b" }),
    "its status is null": manifestWith({ status: null }),
    "its config is array of 0": manifestWith({ config: [] }),
    "its versions is object": manifestWith({ versions: { deno: [] } }),
    "its metrics is array of 1": manifestWith({ metrics: [1] }),
    "its earlier is array of 1": manifestWith({ earlier: [null] }),
    "its best is null": manifestWith({ best: null }),
    "it has 1048577 bytes, more than 1048576": " ".repeat(2 ** 20 + 1),
  };
  for (const [state, text] of Object.entries(cases)) {
    if (text !== undefined) await folder.write("run.json", text);
    await assert.rejects(readManifest(path), {
      message: `Cannot read ${path}: ${state}; give the run.json of an output folder`,
    });
  }
});
