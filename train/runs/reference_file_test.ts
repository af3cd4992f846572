import assert from "node:assert/strict";
import type { Comm } from "../../comm/comm.ts";
import { soloComm } from "../../comm/solo_comm.ts";
import { toExampleList } from "../../data/examples/example_list.ts";
import { localComms } from "../../tests/support/local_comm.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { stubExample, trainerStub } from "../../tests/support/trainer_stub.ts";
import { sha256 } from "../checkpoints/checkpoint.ts";
import type { RunFacts } from "../checkpoints/run_facts.ts";
import { dpo } from "../objectives/dpo.ts";
import type { Trainer } from "../trainer.ts";
import { openReferences, REFERENCE_FILE } from "./reference_file.ts";

/** Replies of one token, whose loss is the token's id. */
const TRAIN = [3, 4, 5, 6, 7, 8];
const VALIDATION = [10, 12];

const stub: Trainer = Object.assign(
  Object.create(trainerStub({ tokenLoss: (target) => target })),
  { pairs: dpo(0.1) },
);

/** Opens them in a folder, with `told` of how far it is. */
function open(
  trainer: Trainer,
  { directory, told = [], model = "m", resumeFrom }: {
    readonly directory: string;
    readonly told?: [number, number][];
    readonly model?: string;
    readonly resumeFrom?: string;
  },
): ReturnType<typeof openReferences> {
  const list = (replies: readonly number[]) =>
    toExampleList(replies.map((reply) => stubExample(1, [reply])));
  return openReferences(trainer, {
    args: { perDeviceTrainBatchSize: 2 },
    data: { train: list(TRAIN), validation: list(VALIDATION), validationSha256: "v" },
    padId: 0,
    facts: { method: "full" },
    modelSha256: model,
    directory,
    resumeFrom,
    comm: soloComm(),
    onProgress: (done, all) => told.push([done, all]),
  });
}

const broken: Trainer = Object.assign(Object.create(stub), {
  evaluate: () => Promise.reject(new Error("It is read, not computed")),
});

Deno.test("openReferences() tells how far it is, keeps the numbers, and reads them where a run goes on", async () => {
  await using folder = await tempFolder();
  const directory = folder.path;
  const told: [number, number][] = [];
  const made = await open(stub, { directory, told });
  assert.deepEqual([...made!.examples], TRAIN.map((reply) => -reply));
  assert.deepEqual([...made!.evalExamples], VALIDATION.map((reply) => -reply));
  // Two pairs a batch.
  assert.deepEqual(told, [[4, 8], [6, 8], [8, 8]]);
  assert.deepEqual(await open(broken, { directory, resumeFrom: "checkpoint-1" }), made);
  await assert.rejects(
    open(broken, { directory, model: "other", resumeFrom: "checkpoint-1" }),
    /^Error: Cannot resume from checkpoint-1: .*is of another model, adapter or other rows; start again/,
  );
  assert.equal(await open(trainerStub(), { directory }), undefined);
});

Deno.test("openReferences() goes on from no file that is not whole", async () => {
  await using folder = await tempFolder();
  const directory = folder.path;
  const path = `${directory}/${REFERENCE_FILE}`;
  const rejects = (why: RegExp) =>
    assert.rejects(open(broken, { directory, resumeFrom: "checkpoint-1" }), why);
  await rejects(/which is missing; start again/);
  await open(stub, { directory });
  const whole = JSON.parse(await Deno.readTextFile(path));
  const short = "does not hold a number for each reply";
  const cases = [
    ["{", "is no valid JSON"],
    ["[]", "holds no object"],
    [JSON.stringify({ ...whole, train: whole.train.slice(1) }), short],
    [JSON.stringify({ ...whole, validation: [...whole.validation, 1] }), short],
    [JSON.stringify({ ...whole, train: [null, ...whole.train.slice(1)] }), short],
    [JSON.stringify({ ...whole, validation: {} }), short],
  ];
  for (const [text, why] of cases) {
    await Deno.writeTextFile(path, text);
    await rejects(new RegExp(`, which ${why}; start again`));
  }
});

/** Opens them with other facts, sizes or processes. */
function openWith(
  directory: string,
  { facts = {}, validation = VALIDATION, args = { perDeviceTrainBatchSize: 1 }, ...options }: {
    readonly facts?: RunFacts;
    readonly validation?: readonly number[];
    readonly args?: Parameters<typeof openReferences>[1]["args"];
    readonly comm?: Comm;
    readonly resumeFrom?: string;
    readonly onProgress?: (done: number, all: number) => void;
    readonly signal?: AbortSignal;
    readonly trainer?: Trainer;
  } = {},
): ReturnType<typeof openReferences> {
  const list = (replies: readonly number[]) =>
    toExampleList(replies.map((reply) => stubExample(1, [reply])));
  return openReferences(options.trainer ?? stub, {
    args,
    data: { train: list(TRAIN), validation: list(validation), validationSha256: "v" },
    padId: 0,
    facts,
    modelSha256: "m",
    directory,
    comm: soloComm(),
    ...options,
  });
}

Deno.test("the file holds a fingerprint of the model, its adapter and the rows, and the numbers", async () => {
  await using folder = await tempFolder();
  const names = [
    ...["method", "config_sha256", "tokenizer_sha256", "train_data_sha256", "precision"],
    ...["base_dtype", "base_block_size", "base_compute", "init_lora_weights"],
    "init_adapter_sha256",
  ];
  const facts = Object.fromEntries(names.map((name, i) => [name, `${name} ${i}`]));
  const path = `${folder.path}/reference.json`;
  for (const given of [facts, {}]) {
    await openWith(folder.path, { facts: { ...given, seed: 7 } });
    const hashed = {
      ...Object.fromEntries(names.map((name) => [name, given[name] ?? null])),
      ...{ model_sha256: "m", validation_sha256: "v" },
    };
    assert.equal(
      await Deno.readTextFile(path),
      JSON.stringify({
        fingerprint: sha256(JSON.stringify(hashed)),
        train: TRAIN.map((reply) => -reply),
        validation: VALIDATION.map((reply) => -reply),
      }) + "\n",
    );
  }
});

Deno.test("validation rows go in batches of their own size, and there may be none", async () => {
  await using folder = await tempFolder();
  const progress = async (
    args: Parameters<typeof openReferences>[1]["args"],
    validation?: readonly number[],
  ) => {
    const told: [number, number][] = [];
    const onProgress = (done: number, all: number) => void told.push([done, all]);
    await openWith(folder.path, { args, validation, onProgress });
    return told;
  };
  const four = [10, 12, 13, 14];
  const first = [[2, 10], [4, 10], [6, 10]];
  assert.deepEqual(await progress({ perDeviceTrainBatchSize: 1 }, four), [
    ...first,
    ...[[8, 10], [10, 10]],
  ]);
  assert.deepEqual(
    await progress({ perDeviceTrainBatchSize: 1, perDeviceEvalBatchSize: 2 }, four),
    [...first, [10, 10]],
  );
  assert.deepEqual(await progress({ perDeviceTrainBatchSize: 3 }, []), [[6, 6]]);
});

Deno.test("of several processes the first one writes and reads the file, and all have its numbers", async () => {
  await using folder = await tempFolder();
  await using elsewhere = await tempFolder();
  const run = (resumeFrom?: string) =>
    Promise.all(
      localComms(2).map((comm) =>
        openWith([folder.path, elsewhere.path][comm.rank], { comm, resumeFrom })
      ),
    );
  const expected = {
    examples: Float64Array.from(TRAIN, (reply) => -reply),
    evalExamples: Float64Array.from(VALIDATION, (reply) => -reply),
  };
  assert.deepEqual(await run(), [expected, expected]);
  assert.deepEqual(await Array.fromAsync(Deno.readDir(elsewhere.path)), []);
  assert.deepEqual(await run("checkpoint-1"), [expected, expected]);
});

Deno.test("a file that cannot be read is told of whole, and a run that is to end computes nothing", async () => {
  await using folder = await tempFolder();
  const path = `${folder.path}/${REFERENCE_FILE}`;
  const message = (why: string) => ({
    message:
      `Cannot resume from checkpoint-1: what its run compares replies with is kept in ${path}, ` +
      `which ${why}; start again with --overwrite-output-dir, or from the checkpoint's weights with ` +
      "--model",
  });
  await assert.rejects(
    openWith(folder.path, { resumeFrom: "checkpoint-1" }),
    message("is missing"),
  );
  await Deno.mkdir(path);
  await assert.rejects(
    openWith(folder.path, { resumeFrom: "checkpoint-1" }),
    /, which cannot be read \(.+\); start again/,
  );
  const trainer = Object.assign(Object.create(stub), {
    evaluate: (_: unknown, signal?: AbortSignal) => Promise.reject(signal?.reason),
  });
  const signal = AbortSignal.abort(new Error("enough"));
  await assert.rejects(openWith(folder.path, { trainer, signal }), { message: "enough" });
});
