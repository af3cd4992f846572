import assert from "node:assert/strict";
import { affineModel, unknownOpModel } from "../../tests/support/onnx_models.ts";
import { Runtime } from "./runtime.ts";
import { Session, type TensorMap } from "./session.ts";
import { Tensor } from "./tensor.ts";

const runtime = new Runtime({ threads: 2 });

/** Tensors for the affine model with n rows; c = [10, 20], w swaps the columns. */
function affineTensors(
  owned: DisposableStack,
  n: number,
): { inputs: TensorMap; outputs: TensorMap } {
  const make = (shape: number[], data: number[]): Tensor =>
    owned.use(Tensor.from(runtime, "float32", shape, Float32Array.from(data)));
  return {
    inputs: {
      x: make([n, 2], Array.from({ length: 2 * n }, (_, i) => i)),
      w: make([2, 2], [0, 1, 1, 0]),
      c: make([2], [10, 20]),
    },
    outputs: {
      y: owned.use(Tensor.allocate(runtime, "float32", [n, 2])),
      twice: owned.use(Tensor.allocate(runtime, "float32", [n, 2])),
    },
  };
}

Deno.test("a session lists its inputs and outputs and runs on any number of rows", () => {
  using session = new Session(runtime, affineModel(), { name: "affine" });
  assert.deepEqual(session.inputs, ["x", "w", "c"]);
  assert.deepEqual(session.outputs, ["y", "twice"]);
  for (const n of [1, 3]) {
    using owned = new DisposableStack();
    const tensors = affineTensors(owned, n);
    session.run(tensors);
    const x = Array.from({ length: 2 * n }, (_, i) => i);
    assert.deepEqual([...tensors.outputs.y.float32()], x.map((_, i) => (i ^ 1) + [10, 20][i % 2]));
    assert.deepEqual([...tensors.outputs.twice.float32()], x.map((each) => 2 * each));
  }
});

Deno.test("a session reads a model file, and says so where there is none", async () => {
  const path = await Deno.makeTempFile({ suffix: ".onnx" });
  await Deno.writeFile(path, affineModel());
  using session = new Session(runtime, path);
  assert.equal(session.name, path);
  assert.deepEqual(session.inputs, ["x", "w", "c"]);
  await Deno.remove(path);
  assert.throws(() => new Session(runtime, path), (error: Error) => {
    assert.ok(
      error.message.startsWith(`Cannot compile graph ${path}: ONNX Runtime's CreateSession`),
    );
    return true;
  });
});

Deno.test("an invalid model's error names the graph, the call and what is wrong", () => {
  assert.throws(
    () => new Session(runtime, unknownOpModel(), { name: "unknown" }),
    /^Error: Cannot compile graph unknown: ONNX Runtime's CreateSessionFromArray says: .*NoSuchOp/,
  );
  assert.throws(
    () => new Session(runtime, Uint8Array.of(1, 2, 3), { name: "garbage" }),
    /^Error: Cannot compile graph garbage: ONNX Runtime's CreateSessionFromArray says: /,
  );
  assert.throws(
    () => new Session(runtime, new Uint8Array(0), { name: "empty" }),
    /^Error: Cannot compile graph empty: ONNX Runtime's CreateSessionFromArray says: /,
  );
});

Deno.test("missing inputs are named together, and so is a missing output", () => {
  using owned = new DisposableStack();
  const session = owned.use(new Session(runtime, affineModel(), { name: "affine" }));
  const { inputs, outputs } = affineTensors(owned, 1);
  assert.throws(() => session.bind({ inputs: { w: inputs.w }, outputs }), {
    message: "Cannot bind graph affine: no tensor for x, c",
  });
  assert.throws(() => session.bind({ inputs, outputs: { y: outputs.y } }), {
    message: "Cannot bind graph affine: no tensor for output twice",
  });
});

Deno.test("tensors of a wrong shape or dtype make an error that names the graph", () => {
  using owned = new DisposableStack();
  const session = owned.use(new Session(runtime, affineModel(), { name: "affine" }));
  const { inputs, outputs } = affineTensors(owned, 2);
  const allocate = (dtype: "float32" | "int64", shape: number[]): Tensor =>
    owned.use(Tensor.allocate(runtime, dtype, shape));
  const cases: [TensorMap, TensorMap][] = [
    [{ ...inputs, x: allocate("float32", [2, 3]) }, outputs],
    [{ ...inputs, x: allocate("float32", [2]) }, outputs],
    [{ ...inputs, x: allocate("int64", [2, 2]) }, outputs],
    [inputs, { ...outputs, y: allocate("float32", [3, 2]) }],
  ];
  for (const [given, into] of cases) {
    assert.throws(
      () => session.run({ inputs: given, outputs: into }),
      /^Error: Cannot run graph affine: ONNX Runtime's RunWithBinding says: /,
    );
  }
  session.run({ inputs, outputs });
});

Deno.test("a name that the graph does not have makes an error that names both", () => {
  using owned = new DisposableStack();
  const session = owned.use(new Session(runtime, affineModel(), { name: "affine" }));
  const tensors = affineTensors(owned, 1);
  const binding = owned.use(session.bind(tensors));
  assert.throws(() => {
    binding.input("nothing", tensors.inputs.x);
    binding.run();
  }, /^Error: Cannot (bind nothing of|run) graph affine: ONNX Runtime's /);
});

Deno.test("a binding runs again on changed memory, and takes another tensor in place of one", () => {
  using owned = new DisposableStack();
  const session = owned.use(new Session(runtime, affineModel()));
  const tensors = affineTensors(owned, 1);
  const binding = owned.use(session.bind(tensors));
  binding.run();
  tensors.inputs.x.float32().set([5, 6]);
  binding.run();
  assert.deepEqual([...tensors.outputs.twice.float32()], [10, 12]);
  const other = affineTensors(owned, 1);
  binding.output("twice", other.outputs.twice);
  binding.input("x", other.inputs.x);
  binding.run();
  assert.deepEqual([...other.outputs.twice.float32()], [0, 2]);
  assert.deepEqual([...tensors.outputs.twice.float32()], [10, 12]);
});

Deno.test("disposing twice is harmless, and what was disposed of cannot be used", () => {
  using owned = new DisposableStack();
  const session = new Session(runtime, affineModel(), { name: "affine" });
  const tensors = affineTensors(owned, 1);
  const binding = session.bind(tensors);
  binding[Symbol.dispose]();
  binding[Symbol.dispose]();
  const message = "Cannot use a binding of graph affine: it was disposed of";
  assert.throws(() => binding.run(), { name: "ReferenceError", message });
  assert.throws(() => binding.input("x", tensors.inputs.x), { name: "ReferenceError", message });
  session[Symbol.dispose]();
  session[Symbol.dispose]();
  assert.throws(() => session.bind(tensors), {
    name: "ReferenceError",
    message: "Cannot use graph affine: it was disposed of",
  });
});

Deno.test("a session on a device that the runtime was not opened for is refused", () => {
  const device = { kind: "cuda", index: 0 } as const;
  assert.throws(() => new Session(runtime, affineModel(), { device }), /Cannot use device cuda:0/);
});
