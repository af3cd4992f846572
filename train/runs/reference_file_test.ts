import assert from "node:assert/strict";
import { soloComm } from "../../comm/solo_comm.ts";
import { toExampleList } from "../../data/examples/example_list.ts";
import { tempFolder } from "../../tests/support/temp_folder.ts";
import { stubExample, trainerStub } from "../../tests/support/trainer_stub.ts";
import { dpo } from "../objectives/dpo.ts";
import type { Trainer } from "../trainer.ts";
import { openReferences } from "./reference_file.ts";

/** Replies of one token, whose loss is the token's id. */
const TRAIN = [3, 4, 5, 6, 7, 8];
const VALIDATION = [10, 12];

const stub: Trainer = Object.assign(
  Object.create(trainerStub({ tokenLoss: (target) => target })),
  { pairs: dpo(0.1) },
);

Deno.test("openReferences() tells how far it is, keeps the numbers, and reads them where a run goes on", async () => {
  await using folder = await tempFolder();
  const list = (replies: readonly number[]) =>
    toExampleList(replies.map((reply) => stubExample(1, [reply])));
  const told: [number, number][] = [];
  const open = (trainer: Trainer, more: { readonly resumeFrom?: string; readonly model: string }) =>
    openReferences(trainer, {
      args: { perDeviceTrainBatchSize: 2 },
      data: { train: list(TRAIN), validation: list(VALIDATION), validationSha256: "v" },
      padId: 0,
      facts: { method: "full" },
      modelSha256: more.model,
      directory: folder.path,
      resumeFrom: more.resumeFrom,
      comm: soloComm(),
      onProgress: (done, all) => told.push([done, all]),
    });
  const made = await open(stub, { model: "m" });
  assert.deepEqual([...made!.examples], TRAIN.map((reply) => -reply));
  assert.deepEqual([...made!.evalExamples], VALIDATION.map((reply) => -reply));
  // Two pairs a batch.
  assert.deepEqual(told, [[4, 8], [6, 8], [8, 8]]);
  const broken: Trainer = Object.assign(Object.create(stub), {
    evaluate: () => Promise.reject(new Error("It is read, not computed")),
  });
  assert.deepEqual(await open(broken, { model: "m", resumeFrom: "checkpoint-1" }), made);
  await assert.rejects(
    open(broken, { model: "other", resumeFrom: "checkpoint-1" }),
    /^Error: Cannot resume from checkpoint-1: .*is of another model, adapter or other rows; start again/,
  );
  assert.equal(await open(trainerStub(), { model: "m" }), undefined);
});
