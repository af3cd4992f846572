import assert from "node:assert/strict";
import { toExampleList } from "../../data/examples/example_list.ts";
import { BASE_STORAGES } from "../../model/base_storage.ts";
import { parseDevice } from "../../ort/runtime/device.ts";
import { tinyConfig } from "../../tests/support/tiny_model.ts";
import { stubExample, trainerStub } from "../../tests/support/trainer_stub.ts";
import { type BaseComparison, describeBaseLoss, floatBaseLoss } from "./compare_base.ts";
import type { OpenedRun } from "./open_run.ts";

/** Examples whose tokens' losses are their targets, in hundredths. */
const listOf = (...targets: readonly (readonly number[])[]) => ({
  train: toExampleList(targets.map((each, n) => stubExample(n, each))),
});
const trainer = trainerStub({ tokenLoss: (target) => target / 100 });

Deno.test("describeBaseLoss() compares the mean loss of a token with that of float32", async () => {
  // (1.5 + 3 + 3) / 3
  const data = listOf([150], [300, 300]);
  const said = (comparison: BaseComparison, precision: OpenedRun["precision"] = "fp32") =>
    describeBaseLoss(
      comparison,
      trainer,
      { storage: BASE_STORAGES.int4, precision, padId: 0 },
      data,
    );
  const own = "base: loss of 2 rows before training 2.5000 in int4";
  const remark = "1.5 s";
  assert.equal(
    await said({ exact: 2, remark }),
    `${own}, 2.0000 in float32 (+25.00 %), which took 1.5 s to find out`,
  );
  assert.equal(
    await said({ exact: 2.5, remark }),
    `${own}, 2.5000 in float32 (+0.00 %), which took 1.5 s to find out`,
  );
  assert.equal(
    await said({ exact: 2.6, remark }),
    `${own}, 2.6000 in float32 (-3.85 %), which took 1.5 s to find out`,
  );
  assert.equal(await said({ exact: undefined, remark: "not compared" }), `${own}, not compared`);
});

Deno.test("describeBaseLoss() takes the first eight rows", async () => {
  const settings = { storage: BASE_STORAGES.int8, precision: "fp32", padId: 0 } as const;
  const eight = Array.from({ length: 8 }, () => [100]);
  const found = { exact: undefined, remark: "alone" };
  assert.equal(
    await describeBaseLoss(found, trainer, settings, listOf(...eight, [900])),
    "base: loss of 8 rows before training 1.0000 in int8, alone",
  );
  assert.equal(
    await describeBaseLoss(found, trainer, settings, listOf(...eight.slice(1), [900])),
    "base: loss of 8 rows before training 2.0000 in int8, alone",
  );
});

/** An opened run with a base in int8 on the host, whose runtime must not be asked for. */
function opened(change: Partial<OpenedRun> & { readonly lora?: object }): OpenedRun {
  const { lora = {}, ...others } = change;
  const args = {
    ...{ model: "m", perDeviceTrainBatchSize: 1, gradientAccumulationSteps: 1, maxLength: 8 },
    ...{ optim: "adamw_torch", seed: 1, lora },
  };
  return {
    ...{ args, config: tinyConfig(), storage: BASE_STORAGES.int8, padId: 0, precision: "fp32" },
    ...{ device: parseDevice("cpu"), layout: "similar-rows", found: [], notes: [], lines: [] },
    runtime: () => assert.fail("the runtime is asked for"),
    ...others,
  } as unknown as OpenedRun;
}

Deno.test("floatBaseLoss() compares nothing where the base is not rounded, or an adapter goes on", async () => {
  const data = listOf([1], [1]);
  for (const name of ["fp32", "fp16"] as const) {
    assert.equal(await floatBaseLoss(opened({ storage: BASE_STORAGES[name] }), data), undefined);
  }
  const lora = { initAdapter: "output/run" };
  assert.equal(await floatBaseLoss(opened({ lora }), data), undefined);
});

Deno.test("floatBaseLoss() says why it does not compare where there is no memory for it", async () => {
  const data = listOf([1], [1]);
  const weights = "whose weights take 20.3 KiB and what is free is";
  const found = await floatBaseLoss(opened({}), data, { available: 2048 });
  assert.equal(found?.exact, undefined);
  assert.equal(
    found?.remark.replace(/take [\d.]+ \w+/, "take 20.3 KiB"),
    `not compared with float32's, ${weights} 2.00 KiB`,
  );
});
