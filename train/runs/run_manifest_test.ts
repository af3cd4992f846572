import assert from "node:assert/strict";
import { VERSION } from "../../internal/version.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { hashFile } from "../checkpoints/checkpoint.ts";
import { createFileHasher } from "./file_hasher.ts";
import { RUN_MANIFEST } from "../track/find_runs.ts";
import { currentVersions, readManifest, startManifest } from "./run_manifest.ts";
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

Deno.test("readManifest() takes each field as it may be, and no other", async () => {
  await using folder = await tempFolder();
  const file = { path: "p", bytes: 1, sha256: "s" };
  const fields: Readonly<Record<string, readonly [good: unknown[], bad: unknown[]]>> = {
    format: [[1], [2, "1"]],
    command: [["c", null], [1, "a\0"]],
    config: [[{}], [null, "c"]],
    baseModel: [["a/b"], [null, 1]],
    versions: [[{ a: "1", b: 2 }], [{ a: null }, { a: "\0" }, null]],
    status: [["anything"], [1, "\0"]],
    started: [["then"], [null, 1]],
    ended: [["then", null], [1]],
    checkpoint: [["c", null], [1]],
    best: [[{ step: 1, metric: "m" }, { step: "1", metric: "m" }], [
      ...[{ step: 1 }, { metric: "m" }, { step: 1, metric: 2 }, 1],
    ]],
    metrics: [[null, {}, { a: 1, b: "NaN" }], [{ a: null }, { a: "\0" }, 1]],
    error: [["why"], [null, "\0"]],
    rows: [[{ training: 1, validation: 2 }], [{ training: null }, 1]],
    earlier: [[[], [{}]], [null, [1], {}]],
    files: [[[], [file, file]], [
      ...[{}, [1], [{ ...file, path: 1 }], [{ ...file, path: "\0" }], [file, {
        ...file,
        bytes: "1",
      }]],
      [{ ...file, sha256: 1 }],
    ]],
    arguments: [[{ a: 1 }], [null, []]],
  };
  for (const [name, [good, bad]] of Object.entries(fields)) {
    for (const [values, taken] of [[good, true], [bad, false]] as const) {
      for (const value of values) {
        const path = await folder.write("run.json", manifestWith({ [name]: value }));
        const found = await readManifest(path).then(() => true, () => false);
        assert.equal(found, taken, `${name} ${JSON.stringify(value)}`);
      }
    }
  }
});

Deno.test("run.json holds all that a run was made of, and what came of it", async () => {
  await using folder = await tempFolder();
  const directory = folder.path;
  for (
    const name of [
      ...["config.json", "tokenizer.json", "model.safetensors", "model.safetensors.index.json"],
      ...[
        "model-00001.safetensors",
        "train.jsonl",
        "val.jsonl",
        "template.jinja",
        "amodel.safetensors",
      ],
      ...["adapter_config.json", "adapter_model.safetensors", "model.bin"],
    ]
  ) {
    await folder.write(name, name);
  }
  await Deno.mkdir(`${directory}/model.d.safetensors`);
  const { args: plain, options } = given(directory, `${directory}/train.jsonl`);
  const args = {
    ...plain,
    validationFile: [`${directory}/val.jsonl`, `${directory}/train.jsonl`],
    chatTemplate: `${directory}/template.jinja`,
    lora: { initAdapter: directory } as never,
  };
  const rows = { training: 1, validation: 2 };
  const comm = { name: "MPI", size: 2 };
  const { command: _, ...uncommanded } = options;
  const started = await startManifest(args, { ...uncommanded, rows, comm });
  const best = { step: 2, metric: "eval_loss", value: 0.5, directory: "d", loaded: true } as const;
  await started.end({
    end: { ...end, best, reason: "early-stopped" },
    evaluation: {
      ...{ type: "evaluate", step: 2, epoch: 1, evalLoss: 1.5, evalTokenLoss: Infinity },
      ...{ examples: 1, batches: 1, supervisedTokens: 1, seconds: 1 },
    },
  });
  const { files, arguments: written, ...manifest } = await readManifest(`${directory}/run.json`);
  assert.deepEqual(written, JSON.parse(JSON.stringify(args)));
  assert.deepEqual(files.map(({ path }) => path.slice(directory.length + 1)), [
    ...["train.jsonl", "val.jsonl", "template.jinja", "config.json", "model-00001.safetensors"],
    ...["model.safetensors", "model.safetensors.index.json", "tokenizer.json"],
    ...["adapter_config.json", "adapter_model.safetensors"],
  ]);
  const { step, epoch, tokens, seconds } = end;
  assert.deepEqual(manifest, {
    ...{ format: 1, command: null, config: { model_type: "qwen3" }, rows, earlier: [] },
    versions: {
      ...{ ortune: VERSION, deno: Deno.version.deno, onnxruntime: "1.30.0", threads: 2 },
      system: `${Deno.build.os}-${Deno.build.arch}`,
      ...{ cpus: navigator.hardwareConcurrency, mpi: "MPI", processes: 2 },
    },
    ...{ status: "early-stopped", checkpoint: null },
    ...{ started: "1970-01-01T00:00:00.000Z", ended: "1970-01-01T00:00:01.000Z" },
    best: { step: 2, metric: "eval_loss", value: 0.5 },
    metrics: {
      step,
      epoch,
      tokens,
      seconds,
      trainLoss: "NaN",
      evalLoss: 1.5,
      evalTokenLoss: "Infinity",
    },
  });
  const alone = currentVersions("1", 3);
  assert.deepEqual([alone.threads, alone.mpi, alone.processes], [3, undefined, undefined]);
  // What is no manifest is no earlier run.
  await folder.write("run.json", "{");
  await startManifest(args, { ...options, resumed: true });
  const { earlier, status } = await readManifest(`${directory}/run.json`);
  assert.deepEqual([earlier, status], [[], "started"]);
});
