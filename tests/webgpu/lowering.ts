/**
 * What `lowerForWebGpu` writes, on the device; and the faults of the provider's that it gets round. A
 * test of a fault that fails here means that this release of ONNX Runtime has mended it: take its row
 * out of `ort/graph/lower_webgpu.ts`.
 */

import assert from "node:assert/strict";
import { GraphBuilder } from "../../ort/graph/builder.ts";
import type { Graph } from "../../ort/graph/ir.ts";
import { linearRecurrence } from "../../ort/graph/linear_recurrence.ts";
import { lowerForWebGpu } from "../../ort/graph/lower_webgpu.ts";
import * as ops from "../../ort/graph/ops.ts";
import { writeOnnx } from "../../ort/graph/onnx_writer.ts";
import { cpu, type Device } from "../../ort/runtime/device.ts";
import { Session } from "../../ort/runtime/session.ts";
import { Tensor } from "../../ort/runtime/tensor.ts";
import { assertClose } from "../../ort/tensor/assert_close.ts";
import { draws } from "../support/random.ts";
import { dense, type DenseMap, interpret } from "../support/reference_interpreter.ts";
import { runGraph } from "../support/run_graph.ts";
import { runtime } from "../support/webgpu_runtime.ts";

const draw = draws(3);
const random = (...shape: number[]) => dense(shape, () => draw(-2, 2));

// Measured on lavapipe: at most 4e-7.
const TOLERANCE = 5e-6;

function assertRight(graph: Graph, inputs: DenseMap): void {
  const expected = interpret(graph, inputs);
  const actual = runGraph(runtime, graph, inputs);
  for (const [name, { data }] of Object.entries(expected)) {
    assertClose(actual[name].data, data, { label: name, relativeToMax: TOLERANCE });
  }
}

function assertNoKernel(graph: Graph): void {
  const lacking =
    /assigned to the default CPU EP, but fallback to CPU EP has been explicitly disabled/;
  assert.throws(() => new Session(runtime, writeOnnx(graph)), lacking, graph.name);
}

function product(transA: boolean, transB: boolean): Graph {
  const b = new GraphBuilder("product");
  const x = b.input("x", "float32", transA ? [2, 33, 7] : [2, 7, 33]);
  const y = b.input("y", "float32", transB ? [2, 65, 33] : [2, 33, 65]);
  b.output("z", ops.matmul(b, x, y, { transA, transB, alpha: 0.3 }));
  return b.build();
}

Deno.test("FusedMatMul has no kernel, and is right lowered", () => {
  assertNoKernel(product(false, true));
  for (const transA of [false, true]) {
    for (const transB of [false, true]) {
      assertRight(product(transA, transB), {
        x: transA ? random(2, 33, 7) : random(2, 7, 33),
        y: transB ? random(2, 65, 33) : random(2, 33, 65),
      });
    }
  }
});

Deno.test("LogSoftmax of float32 has no kernel, and is right lowered, of large logits too", () => {
  const b = new GraphBuilder("log_softmax");
  b.output("y", ops.logSoftmax(b, b.input("x", "float32", [5, 2000])));
  const graph = b.build();
  assertNoKernel(graph);
  assertRight(graph, { x: dense([5, 2000], () => draw(-200, 200)) });
});

Deno.test("Scan has no kernel, and is refused by lowering", () => {
  const b = new GraphBuilder("recurrence");
  const { before } = linearRecurrence(b, {
    transitions: b.input("transitions", "float32", [3, 2, 4, 4]),
    additions: b.input("additions", "float32", [3, 2, 4, 5]),
    initial: b.input("initial", "float32", [2, 4, 5]),
  });
  b.output("before", before);
  const graph = b.build();
  assertNoKernel(graph);
  assert.throws(() => lowerForWebGpu(graph), /Cannot lower Scan/);
});

function norm(width: number): Graph {
  const b = new GraphBuilder("norm");
  const x = b.input("x", "float32", [6, width]);
  const [y, inv] = ops.rmsNorm(b, x, b.input("w", "float32", [width]), 1e-6);
  b.output("y", y);
  b.output("inv", inv);
  return b.build();
}

Deno.test("RMSNorm's second output is wrong, and is right lowered", () => {
  for (const width of [37, 64, 1024]) {
    const graph = norm(width);
    const inputs = { x: random(6, width), w: random(width) };
    assertRight(graph, inputs);
    using session = new Session(runtime, writeOnnx(graph));
    using x = Tensor.from(runtime, "float32", [6, width], Float32Array.from(inputs.x.data));
    using w = Tensor.from(runtime, "float32", [width], Float32Array.from(inputs.w.data));
    using y = Tensor.allocate(runtime, "float32", [6, width]);
    using inv = Tensor.allocate(runtime, "float32", [6, 1]);
    session.run({ inputs: { x, w }, outputs: { y, inv } });
    const wanted = interpret(graph, inputs).inv.data;
    const near = inv.hostFloat32().some((value, i) => Math.abs(value / wanted[i] - 1) < 0.01);
    assert.ok(!near, "the fault is mended");
  }
});

/** Attention of a prompt, in one operation; outputs of the CPU's kernel or of the device's. */
function fusedAttention(length: number, device: Device): Float32Array {
  const [heads, kvHeads, width, capacity] = [4, 2, 32, 64];
  const b = new GraphBuilder("attention");
  const input = (name: string, count: number) =>
    b.input(name, "float32", [1, length, count * width]);
  const cache = (name: string) => b.input(name, "float32", [1, kvHeads, capacity, width]);
  const [cacheK, cacheV] = [cache("past_key"), cache("past_value")];
  const [y, presentK, presentV] = ops.groupQueryAttention(b, {
    q: input("q", heads),
    k: input("k", kvHeads),
    v: input("v", kvHeads),
    cacheK,
    cacheV,
    lastIndex: b.input("last_index", "int32", [1]),
    totalLength: b.input("total_length", "int32", []),
    heads,
    kvHeads,
    scale: width ** -0.5,
  });
  b.output("y", y);
  b.output("present_key", presentK, { inPlaceOf: cacheK });
  b.output("present_value", presentV, { inPlaceOf: cacheV });
  const graph = b.build();
  const same = draws(5);
  using owned = new DisposableStack();
  const inputs = Object.fromEntries(graph.inputs.map(({ name, dtype, shape }) => {
    const sizes = shape as readonly number[];
    if (dtype === "int32") {
      const value = Int32Array.of(name === "last_index" ? length - 1 : length);
      const where = name === "last_index" ? device : cpu;
      return [name, owned.use(Tensor.from(runtime, dtype, sizes, value, where))];
    }
    const count = sizes.reduce((product, size) => product * size, 1);
    const values = Float32Array.from({ length: count }, () => name.startsWith("past") ? 0 : same());
    return [name, owned.use(Tensor.from(runtime, dtype, sizes, values, device))];
  }));
  const result = owned.use(
    Tensor.allocate(runtime, "float32", [1, length, heads * width], device),
  );
  using session = new Session(runtime, writeOnnx(graph), { device });
  const [present_key, present_value] = [inputs.past_key, inputs.past_value];
  session.run({ inputs, outputs: { y: result, present_key, present_value } });
  return result.hostFloat32().slice();
}

Deno.test("GroupQueryAttention is right for a prompt of 17 tokens, and wrong for 40 on a software adapter", () => {
  const errorOf = (length: number): number => {
    const [wanted, got] = [cpu, runtime.device].map((device) => fusedAttention(length, device));
    return wanted.reduce((worst, value, i) => Math.max(worst, Math.abs(value - got[i])), 0);
  };
  assert.ok(errorOf(40) > 0.01, "the fault is mended, or this adapter does not have it");
  assert.ok(errorOf(17) < 1e-5);
});
