import assert from "node:assert/strict";
import { soloComm } from "../../comm/solo_comm.ts";
import { toExampleList } from "../../data/examples/example_list.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { stubExample, trainerStub } from "../../tests/support/trainer_stub.ts";
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
