import assert from "node:assert/strict";
import { tempFolder } from "../tests/support/temp_folder.ts";
import { trainedBase, trainedRounding, TRAINING_ARGS } from "./trained_base.ts";

Deno.test("the base that an adapter was trained on is read from its checkpoint", async () => {
  await using folder = await tempFolder();
  assert.equal(TRAINING_ARGS, "training_args.json");
  assert.equal(await trainedBase(folder.path), undefined);
  assert.equal(await trainedRounding(undefined), undefined);
  const rounded = (bits: number, block: number, compute: string) => ({ bits, block, compute });
  const args = (base_dtype: unknown, base_block_size?: unknown, base_compute?: unknown) => ({
    ...{ base_dtype, base_block_size, base_compute },
  });
  const cases: readonly (readonly [unknown, string?, unknown?])[] = [
    [args("int8", 128, "int8"), "int8", rounded(8, 128, "int8")],
    [args("int4", 32, "fp32"), "int4", rounded(4, 32, "fp32")],
    [args("int4", 64, "int8"), "int4", rounded(4, 64, "int8")],
    [args("fp32", 64, "int8")],
    [args("fp16", 64, "int8")],
    [args(undefined, 64, "int8")],
    [args("int8", 16, "int8")],
    [args("int8", undefined, "int8")],
    [args("int8", 64, "fp16")],
    [args("int8", 64)],
    [[]],
    [null],
    ["int8"],
  ];
  for (const [facts, name, quantization] of cases) {
    await folder.write(TRAINING_ARGS, JSON.stringify(facts));
    const expected = name && { name, quantization };
    assert.deepEqual(await trainedBase(folder.path), expected || undefined, JSON.stringify(facts));
    assert.deepEqual(await trainedRounding(folder.path), quantization);
  }
  await folder.write(TRAINING_ARGS, "{");
  await assert.rejects(trainedBase(folder.path), /copy it again from the checkpoint/);
});
