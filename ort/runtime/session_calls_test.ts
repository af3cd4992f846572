/** Sessions over an API of the test's: what is asked of it, in which order. */

import assert from "node:assert/strict";
import { recordedRuntime } from "../../tests/support/recorded_runtime.ts";
import { cpu, parseDevice } from "./device.ts";
import { Session, type SessionOptions } from "./session.ts";
import { SpareTensors } from "./spare_tensors.ts";
import { Tensor } from "./tensor.ts";

const GPU = parseDevice("cuda:0");
const MODEL = Uint8Array.of(8, 9, 10);

/** An API whose sessions have these inputs and outputs. */
function runtimeOf(
  options: Parameters<typeof recordedRuntime>[1] = {},
  device = GPU,
  { inputs = ["x", "w"], outputs = ["y"] } = {},
) {
  // Names live as long as somebody may read them.
  const texts = new Map(
    [...inputs, ...outputs].map((name) => [name, new TextEncoder().encode(`${name}\0`)]),
  );
  return recordedRuntime(device, {
    ...options,
    does(call) {
      const made = options.does?.(call);
      if (made) return made;
      const [, kind, what] = /^SessionGet(Input|Output)(Count|Name)$/.exec(call.name) ?? [];
      if (kind === undefined) return;
      const names = kind === "Input" ? inputs : outputs;
      const out = call.args.at(-1) as BigUint64Array;
      out[0] = what === "Count" ? BigInt(names.length) : Deno.UnsafePointer.value(
        Deno.UnsafePointer.of(texts.get(names[call.args[1] as number])!),
      );
    },
  });
}

/** Calls without the lists of names, whose texts lie somewhere. */
const shown = (lines: string[]): string[] =>
  lines.filter((line) => !/^(?:SessionGet|AllocatorFree)/.test(line));

function open(options: SessionOptions = {}, device = GPU) {
  const recorded = runtimeOf({}, device);
  const session = new Session(recorded.runtime, MODEL, options);
  return { ...recorded, session, calls: recorded.take() };
}

Deno.test("a session is compiled with the device's options, and lists its names", () => {
  const { session, calls, take } = open({ name: "g" });
  assert.deepEqual([session.name, session.device, session.inputs, session.outputs], [
    "g",
    GPU,
    ["x", "w"],
    ["y"],
  ]);
  assert.equal(Deno.UnsafePointer.value(session.runOptions), 7n);
  assert.equal(Deno.UnsafePointer.value(session.pointer), 0x100n);
  assert.deepEqual(shown(calls), [
    "CreateSessionFromArray (compile graph g) @1 [8,9,10] 3 @6",
  ]);
  assert.deepEqual(
    calls.slice(1).map((line) => line.replace(/ (?:@[\da-f]{9,}|\[\d*\])$/, "")),
    [
      "SessionGetInputCount (list the inputs of graph g) @100",
      ...[0, 1].flatMap((i) => [
        `SessionGetInputName (list the inputs of graph g) @100 ${i} @2`,
        "AllocatorFree (free a name) @2",
      ]),
      "SessionGetOutputCount (list the outputs of graph g) @100",
      "SessionGetOutputName (list the outputs of graph g) @100 0 @2",
      "AllocatorFree (free a name) @2",
    ].map((line) => line),
  );
  session[Symbol.dispose]();
  session[Symbol.dispose]();
  assert.deepEqual(take(), ["ReleaseSession @100"]);
});

Deno.test("a session runs on the runtime's device or another, by bytes or by a path, and has a name", () => {
  const onHost = open({ device: cpu });
  assert.deepEqual(shown(onHost.calls), [
    "CreateSessionFromArray (compile graph graph) @1 [8,9,10] 3 @5",
  ]);
  assert.equal(onHost.session.runOptions, null);
  const { runtime, take } = runtimeOf();
  assert.equal(new Session(runtime, "a/b.onnx").name, "a/b.onnx");
  assert.deepEqual(shown(take()), ['CreateSession (compile graph a/b.onnx) @1 "a/b.onnx" @6']);
});

Deno.test("weights that are given, or not reordered, take options of the session's own", () => {
  const { runtime, take } = runtimeOf();
  const weight = Tensor.allocate(runtime, "float32", [2]);
  const other = Tensor.allocate(runtime, "float32", [3]);
  take();
  const added = [
    'AddInitializer (compile graph g) @100 "a" @700',
    'AddInitializer (compile graph g) @100 "b" @701',
  ];
  const clone = "CloneSessionOptions (compile graph g) @6";
  const plain = 'AddSessionConfigEntry (set session options) @100 "session.disable_prepacking" "1"';
  const compiled = "CreateSessionFromArray (compile graph g) @1 [8,9,10] 3 @100";
  const initializers = { a: weight, b: other };
  for (
    const [options, expected] of [
      [{ prepacking: false }, [clone, plain, compiled]],
      [{ initializers }, [clone, ...added, compiled]],
      [{ initializers, prepacking: false }, [clone, plain, ...added, compiled]],
    ] as const
  ) {
    const { runtime, take } = runtimeOf();
    new Session(runtime, MODEL, { name: "g", ...options });
    assert.deepEqual(shown(take()), [...expected, "ReleaseSessionOptions @100"]);
  }
  // They are released where the graph is refused, and the runtime's own are not.
  for (const prepacking of [false, true]) {
    const { runtime, take } = runtimeOf({
      does: ({ name }) => {
        if (name === "CreateSessionFromArray") throw new Error("no graph");
      },
    });
    assert.throws(() => new Session(runtime, MODEL, { prepacking }), /^Error: no graph$/);
    assert.equal(take().includes("ReleaseSessionOptions @100"), !prepacking);
  }
});

Deno.test("inputs and outputs are bound by name, in the model's order, and run on the device", () => {
  const { runtime, take, session } = open({ name: "g" });
  const [x, w, y] = [1, 2, 3].map((size) => Tensor.allocate(runtime, "float32", [size]));
  take();
  const binding = session.bind({ inputs: { w, x }, outputs: { y } });
  binding.run();
  binding.run();
  binding[Symbol.dispose]();
  binding[Symbol.dispose]();
  const run = ["RunWithBinding (run graph g) @100 @7 @101", "errors (run graph g)"];
  assert.deepEqual(take(), [
    "CreateIoBinding (bind graph g) @100",
    'BindInput (bind x of graph g) @101 "x" @700',
    'BindInput (bind w of graph g) @101 "w" @701',
    'BindOutput (bind y of graph g) @101 "y" @702',
    ...run,
    ...run,
    "ReleaseIoBinding @101",
  ]);
  session.run({ inputs: { x, w }, outputs: { y } });
  assert.deepEqual(take().slice(-2), ["errors (run graph g)", "ReleaseIoBinding @102"]);
  w[Symbol.dispose]();
  take();
  assert.throws(() => session.bind({ inputs: { x, w }, outputs: { y } }), ReferenceError);
  assert.equal(take().at(-1), "ReleaseIoBinding @103");
  assert.throws(() => session.bind({ inputs: {}, outputs: {} }), {
    message: "Cannot bind graph g: no tensor for x, w, output y",
  });
});

Deno.test("an output that no graph may write in place is written elsewhere, and copied after a run", () => {
  const { runtime, take, session } = open({ name: "g" });
  const outputs = [1, 2].map(() => Tensor.allocate(runtime, "bfloat16", [3]));
  using spares = SpareTensors.of(runtime);
  const inputs = Object.fromEntries(
    ["x", "w"].map((name) => [name, Tensor.allocate(runtime, "float32", [1])]),
  );
  const binding = session.bind({ inputs, outputs: { y: outputs[0] } });
  take();
  binding.outputByCopy("y", outputs[0], spares);
  assert.deepEqual(take(), [
    "allocate uint8 [6] (allocate a uint8 tensor of shape [6])",
    "CreateTensorWithDataAsOrtValue (view a bfloat16 tensor of shape [3]) @4 @9000 6 [3] 1 16",
    'BindOutput (bind y of graph g) @101 "y" @102',
    "ReleaseValue @102",
  ]);
  binding.run();
  assert.deepEqual(take(), [
    "RunWithBinding (run graph g) @100 @7 @101",
    "errors (run graph g)",
    "copy 9000+0 of 6 from 9000+0 of 6: 6",
  ]);
  // Another output at the same time needs another buffer; the same one takes its own again.
  binding.outputByCopy("z", outputs[1], spares);
  binding.outputByCopy("y", outputs[1], spares);
  assert.equal(spares.bytes, 12);
  assert.equal(take().filter((line) => line.startsWith("allocate")).length, 1);
  binding.run();
  assert.equal(take().filter((line) => line.startsWith("copy")).length, 2);
  // Bound as it is, it is copied no more.
  binding.output("y", outputs[0]);
  binding.output("z", outputs[1]);
  take();
  binding.run();
  assert.deepEqual(take().length, 2);
});

Deno.test("a run that is refused copies nothing, and is explained by the device", () => {
  const refusal = new Error("refused");
  const does = ({ name }: { readonly name: string }) => {
    if (name === "RunWithBinding") throw refusal;
  };
  const explained = new Error("no memory");
  for (const explainShortage of [undefined, () => undefined, () => explained]) {
    const { runtime, take } = runtimeOf({ does, explainShortage }, GPU, {
      inputs: [],
      outputs: ["y"],
    });
    const session = new Session(runtime, MODEL, { name: "g" });
    const y = Tensor.allocate(runtime, "float32", [1]);
    using spares = SpareTensors.of(runtime);
    using binding = session.bind({ inputs: {}, outputs: { y } });
    binding.outputByCopy("y", y, spares);
    take();
    const expected = explainShortage?.() ?? refusal;
    assert.throws(() => binding.run(), (error) => error === expected);
    assert.deepEqual(take(), [
      "RunWithBinding (run graph g) @100 @7 @101",
      `errors (run graph g): ${expected.message}`,
    ]);
  }
});
