import assert from "node:assert/strict";
import { layoutParameters, ParameterStore } from "../../model/engine/parameter_store.ts";
import * as ops from "../../ort/graph/ops.ts";
import { Runtime } from "../../ort/runtime/runtime.ts";
import { readAll } from "../../ort/tensor/tensor_source.ts";
import { numbersOf } from "../../tests/support/numbers.ts";
import { OptimizerState } from "./optimizer_state.ts";
import { type EvaluatedRule, RuleEvaluation } from "./rule_evaluation.ts";

const runtime = new Runtime({ threads: 2 });
const layout = layoutParameters([
  { name: "norm", shape: [3], decays: false },
  { name: "weight", shape: [2, 3], decays: true },
]);
/** p + 2·d. */
const RULE: EvaluatedRule = {
  state: { d: "z_minus_y" },
  evaluated: (b, { p, state: { d } }) => ops.add(b, p, ops.mul(b, d, b.float32(2))),
};

function setUp(owned: DisposableStack, copied: boolean) {
  const store = (first: number, dtype: "float32" | "bfloat16" = "float32") => {
    const made = owned.use(new ParameterStore(runtime, layout, { dtype }));
    if (dtype === "float32") set(made, first);
    return made;
  };
  const [parameters, gradients] = [store(1), store(50)];
  const copy = copied ? store(0, "bfloat16") : undefined;
  const state = owned.use(new OptimizerState(runtime, layout, { names: ["z_minus_y"] }));
  set(state.store("z_minus_y"), 20);
  const options = { runtime, parameters, gradients, copy, state };
  return { ...options, evaluation: owned.use(new RuleEvaluation(RULE, options)) };
}

/** Numbers that count up, over all tensors. */
function set(store: ParameterStore, first: number): void {
  let next = first;
  for (const name of store.names()) {
    store.tensor(name).float32().forEach((_, i, all) => all[i] = next++);
  }
}

function numbers(store: ParameterStore): number[] {
  return store.names().flatMap((name) => [...numbersOf(store.tensor(name))]);
}

async function trained({ evaluation }: { evaluation: RuleEvaluation }): Promise<number[]> {
  const source = evaluation.trained();
  const all = source.names().map((name) => readAll(source, name));
  return (await Promise.all(all)).flatMap((bytes) => [...new Float32Array(bytes.buffer)]);
}

const from = (first: number, step = 1) => Array.from({ length: 9 }, (_, i) => first + step * i);
/** 1 + i + 2 · (20 + i). */
const EVALUATED = from(41, 3);

Deno.test("what is evaluated takes the place of what is trained, which waits among the gradients", async () => {
  using owned = new DisposableStack();
  const made = setUp(owned, false);
  const { parameters, gradients, evaluation } = made;
  const source = evaluation.trained();
  assert.deepEqual(source.names(), ["norm", "weight"]);
  assert.deepEqual(source.info("weight"), { dtype: "float32", shape: [2, 3] });
  evaluation.leave();
  assert.deepEqual([numbers(parameters), numbers(gradients)], [from(1), from(50)]);
  assert.deepEqual(await trained(made), from(1));
  for (let times = 0; times < 2; times++) {
    evaluation.enter();
    assert.deepEqual([numbers(parameters), numbers(gradients)], [EVALUATED, from(1)]);
    assert.deepEqual(await trained(made), from(1));
  }
  const into = new Float32Array(2);
  await source.read("weight", new Uint8Array(into.buffer), 8);
  assert.deepEqual([...into], [6, 7]);
  for (let times = 0; times < 2; times++) {
    evaluation.leave();
    assert.deepEqual([numbers(parameters), numbers(gradients)], [from(1), from(1)]);
    set(gradients, 1);
  }
  set(gradients, 70);
  evaluation.leave();
  assert.deepEqual(numbers(parameters), from(1));
  evaluation.enter();
  assert.deepEqual(numbers(parameters), EVALUATED);
});

Deno.test("weights from elsewhere are both what is trained and what is evaluated, and forgotten where all is loaded", async () => {
  using owned = new DisposableStack();
  const made = setUp(owned, false);
  const { parameters, gradients, evaluation } = made;
  set(parameters, 300);
  evaluation.adopt();
  assert.deepEqual([numbers(parameters), numbers(gradients)], [from(300), from(300)]);
  // Nothing is evaluated anew.
  evaluation.enter();
  assert.deepEqual(numbers(parameters), from(300));
  set(parameters, 400);
  assert.deepEqual(await trained(made), from(300));
  evaluation.drop();
  assert.deepEqual(await trained(made), from(400));
  evaluation.leave();
  assert.deepEqual(numbers(parameters), from(400));
});

Deno.test("of a rounded copy only the copy is what is evaluated", async () => {
  using owned = new DisposableStack();
  const made = setUp(owned, true);
  const { parameters, gradients, copy, evaluation } = made;
  evaluation.enter();
  assert.deepEqual(numbers(copy!), EVALUATED);
  assert.deepEqual([numbers(parameters), numbers(gradients)], [from(1), from(50)]);
  assert.deepEqual(await trained(made), from(1));
  evaluation.leave();
  assert.deepEqual(numbers(copy!), from(1));
  evaluation.adopt();
  assert.deepEqual(numbers(gradients), from(50));
});
