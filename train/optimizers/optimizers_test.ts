import assert from "node:assert/strict";
import { checkOptimizer } from "../../tests/support/check_optimizer.ts";
import { TRAINING_PRECISIONS } from "../training_precision.ts";
import { formatOf } from "./optimizer_description.ts";
import { findOptimizer, optimizers, optimizersHelp } from "./optimizers.ts";
import { stateBytes, type StateFormat } from "./state_format.ts";

Deno.test("torch's names for AdamW are one optimizer, which is taken where none is named", () => {
  for (const name of ["adamw", "adamw_torch", "adamw_torch_fused"]) {
    assert.equal(findOptimizer(name), findOptimizer());
  }
  const own = { ...findOptimizer(), title: "another" };
  assert.equal(findOptimizer(own), own);
  assert.throws(() => findOptimizer("guess"), {
    name: "RangeError",
    message: `Cannot find optimizer "guess": there are ${Object.keys(optimizers).join(", ")}`,
  });
});

Deno.test("optimizersHelp() tells of every optimizer that is not the usual one", () => {
  const help = optimizersHelp();
  for (const [name, row] of Object.entries(optimizers)) {
    assert.equal(`; ${help}`.includes(`; ${name}: `), row !== findOptimizer(), name);
  }
  assert.match(help, /; the others all mean AdamW$/);
});

Deno.test("every optimizer has a format at a precision, or says why not", () => {
  for (const [name, row] of Object.entries(optimizers)) {
    const formats = TRAINING_PRECISIONS.map((precision): StateFormat | undefined => {
      try {
        return formatOf(row, precision);
      } catch (error) {
        assert.match(String(error), /^RangeError: Cannot .*: .*--precision/, name);
      }
    });
    assert.ok(formats.some((each) => each !== undefined), name);
  }
});

Deno.test("only bf16 keeps a float32 copy of the weights that the model does not run on", () => {
  const kept = TRAINING_PRECISIONS.map((precision) => formatOf(findOptimizer(), precision));
  assert.deepEqual(kept, ["float32", "master", "bfloat16"]);
});

Deno.test("stochastic rounding keeps bfloat16 alone, and is nothing in float32", () => {
  const adamW = findOptimizer("adamw_bf16");
  assert.equal(formatOf(adamW, "bf16"), "bfloat16-stochastic");
  assert.throws(
    () => formatOf(adamW, "fp32"),
    /^RangeError: Cannot round stochastically in fp32: there is nothing to round; pass --precision bf16$/,
  );
});

Deno.test("8-bit moments belong to bfloat16 weights", () => {
  const adamW = findOptimizer("adamw_8bit");
  assert.equal(formatOf(adamW, "bf16"), "bfloat16-8bit");
  assert.equal(formatOf(adamW, "bf16-pure"), "bfloat16-8bit");
  assert.throws(
    () => formatOf(adamW, "fp32"),
    /^RangeError: Cannot keep 8-bit moments in fp32: .*--device cuda/,
  );
});

Deno.test("stateBytes() counts state, masters and scales of each trained number", () => {
  const bytes = (count: number): Record<StateFormat, number> => ({
    float32: stateBytes("float32", count),
    master: stateBytes("master", count),
    bfloat16: stateBytes("bfloat16", count),
    "bfloat16-stochastic": stateBytes("bfloat16-stochastic", count),
    "bfloat16-8bit": stateBytes("bfloat16-8bit", count),
  });
  assert.deepEqual(bytes(2), {
    float32: 8,
    master: 12,
    bfloat16: 4,
    "bfloat16-stochastic": 4,
    // Two bytes, and a float32 scale for each 256 of them.
    "bfloat16-8bit": 2 + 2 * 4 / 256,
  });
  assert.equal(bytes(0).master, 4);
});

for (const row of new Set(Object.values(optimizers))) {
  await checkOptimizer(
    Object.keys(optimizers).filter((name) => optimizers[name] === row).join(", "),
    row,
  );
}
