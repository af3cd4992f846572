import assert from "node:assert/strict";
import type { TrainingPrecision } from "../training_precision.ts";
import {
  assertSeveral,
  formatOf,
  keptNumbers,
  type OptimizerDescription,
} from "./optimizer_description.ts";
import { findOptimizer, optimizers, optimizersHelp } from "./optimizers.ts";

const adamW = findOptimizer();
const PRECISIONS: readonly TrainingPrecision[] = ["fp32", "bf16", "bf16-pure"];
const REFUSED_BF16 = "Cannot round stochastically in fp32: there is nothing to round; pass " +
  "--precision bf16";
const REFUSED_8BIT =
  "Cannot keep 8-bit moments in fp32: their weights are bfloat16; pass --device " +
  "cuda and --precision bf16";
const STOCHASTIC = ["bfloat16-stochastic", "bfloat16-stochastic"];

Deno.test("the default optimizer is AdamW, of which torch's names are the same", () => {
  assert.deepEqual(Object.keys(optimizers), [
    ...["adamw", "adamw_torch", "adamw_torch_fused", "adamw_bf16", "adamw_8bit", "lion"],
    ...["lion_32bit", "adafactor", "muon", "schedule_free_adamw"],
  ]);
  assert.equal(adamW, optimizers.adamw);
  assert.equal(findOptimizer("adamw_torch_fused"), adamW);
  assert.equal(findOptimizer("lion_32bit"), optimizers.lion);
  const own = { ...adamW };
  assert.equal(findOptimizer(own), own);
});

Deno.test("the help of --optim has all names that do not mean AdamW", () => {
  const help = optimizersHelp();
  assert.ok(help.endsWith("; the others all mean AdamW"), help);
  const names = help.split("; ").flatMap((each) => /^(\w+): /.exec(each)?.[1] ?? []);
  assert.deepEqual(names, [
    ...["adamw_bf16", "adamw_8bit", "lion", "lion_32bit", "adafactor", "muon"],
    "schedule_free_adamw",
  ]);
});

Deno.test("an optimizer has a format at each precision, or says which to take", () => {
  const of = (name: string) =>
    PRECISIONS.map((precision) => {
      try {
        return formatOf(optimizers[name], precision);
      } catch (error) {
        assert.ok(error instanceof RangeError);
        return error.message;
      }
    });
  const usual = ["float32", "master", "bfloat16"];
  for (const name of ["adamw", "lion", "adafactor", "muon", "schedule_free_adamw"]) {
    assert.deepEqual(of(name), usual, name);
  }
  assert.deepEqual(of("adamw_bf16"), [REFUSED_BF16, ...STOCHASTIC]);
  assert.deepEqual(of("adamw_8bit"), [REFUSED_8BIT, "bfloat16-8bit", "bfloat16-8bit"]);
  const own: OptimizerDescription = {
    ...adamW,
    title: "Own",
    formats: { fp32: "float32", "bf16-pure": "bfloat16" },
  };
  assert.throws(() => formatOf(own, "bf16"), {
    name: "RangeError",
    message: "Cannot train with Own in bf16: pass --precision fp32 or bf16-pure",
  });
});

Deno.test("several processes, and a share of the state for each, are for optimizers that go by them", () => {
  const can = (name: string, size: number, shard: boolean) => {
    try {
      assertSeveral(optimizers[name], { size, shard });
      return true;
    } catch (error) {
      assert.ok(error instanceof RangeError);
      return false;
    }
  };
  const table = Object.fromEntries(
    Object.keys(optimizers).map((name) => [
      name,
      [can(name, 1, false), can(name, 1, true), can(name, 2, false), can(name, 2, true)],
    ]),
  );
  const all = [true, true, true, true];
  const whole = [true, true, true, false];
  const { adafactor, muon, ...others } = table;
  assert.deepEqual(others, {
    adamw: all,
    adamw_torch: all,
    adamw_torch_fused: all,
    adamw_bf16: all,
    adamw_8bit: all,
    lion: all,
    lion_32bit: all,
    schedule_free_adamw: whole,
  });
  assert.deepEqual([adafactor, muon], [whole, whole]);
  const own: OptimizerDescription = { ...adamW, title: "Own" };
  const { several: _several, sharded: _sharded, ...alone } = own;
  assertSeveral(alone, { size: 1, shard: true });
  assert.throws(() => assertSeveral(alone, { size: 2, shard: true }), {
    name: "RangeError",
    message: "Cannot train with 2 processes and Own: it knows of one alone; start one, or choose " +
      "another optimizer",
  });
  const { sharded: _, ...several } = own;
  assertSeveral(several, { size: 3, shard: false });
  assert.throws(() => assertSeveral(several, { size: 3, shard: true }), {
    name: "RangeError",
    message:
      "Cannot shard Own: each process keeps all of its state; leave --shard-optimizer out, or " +
      "choose AdamW",
  });
});

Deno.test("an optimizer keeps as many numbers as its state has for each parameter", () => {
  const parameters = [
    { name: "model.embed_tokens.weight", shape: [7, 4], decays: true },
    { name: "model.layers.0.mlp.up_proj.weight", shape: [5, 4], decays: true },
    { name: "model.norm.weight", shape: [4], decays: false },
  ];
  const of = (name: string) => keptNumbers(optimizers[name], parameters);
  const all = 28 + 20 + 4;
  assert.equal(of("adamw"), 2 * all);
  assert.equal(of("lion"), all);
  assert.equal(of("schedule_free_adamw"), 2 * all);
  // A momentum of the matrix, and both moments of embeddings and norms.
  assert.equal(of("muon"), 20 + 2 * (28 + 4));
  // Means of rows and of columns of matrices, and one moment of the norm.
  assert.equal(of("adafactor"), 7 + 4 + 5 + 4 + 4);
  assert.equal(keptNumbers({ state: [] }, parameters), 0);
  assert.equal(keptNumbers(adamW, []), 0);
  const some = { state: ["a"], shapes: () => ({ a: [3], b: undefined, c: [2, 5] }) };
  assert.equal(keptNumbers(some as unknown as OptimizerDescription, parameters), 3 * 13);
});
