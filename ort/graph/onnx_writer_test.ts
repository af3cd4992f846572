import assert from "node:assert/strict";
import { BinaryReader } from "@bufbuild/protobuf/wire";
import { GraphBuilder } from "./builder.ts";
import type { Graph } from "./ir.ts";
import { writeOnnx } from "./onnx_writer.ts";
import * as ops from "./ops.ts";

/** A message as its fields in order: bytes, or a number for what is a number on the wire. */
type Field = readonly [number: number, value: Uint8Array | bigint | number];

function fields(bytes: Uint8Array): Field[] {
  const reader = new BinaryReader(bytes);
  const found: Field[] = [];
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (type === 0) found.push([field, BigInt(reader.int64())]);
    else if (type === 2) found.push([field, reader.bytes()]);
    else if (type === 5) found.push([field, reader.float()]);
    else throw new Error(`field ${field} has wire type ${type}`);
  }
  return found;
}

const all = (from: readonly Field[], field: number): (Uint8Array | bigint | number)[] =>
  from.filter(([number]) => number === field).map(([, value]) => value);
const one = (from: readonly Field[], field: number): Uint8Array | bigint | number | undefined => {
  const found = all(from, field);
  assert.ok(found.length < 2, `field ${field} stands ${found.length} times`);
  return found[0];
};
const message = (value: Uint8Array | bigint | number | undefined): Field[] =>
  fields(value as Uint8Array);
const text = (value: Uint8Array | bigint | number | undefined): string | undefined =>
  value === undefined ? undefined : new TextDecoder().decode(value as Uint8Array);

/** AttributeProto: name 1, f 2, i 3, s 4, ints 8, type 20. */
function attribute(bytes: Uint8Array): [string, unknown] {
  const from = fields(bytes);
  const byType = { 1: one(from, 2), 2: one(from, 3), 3: text(one(from, 4)), 7: all(from, 8) };
  return [text(one(from, 1))!, byType[Number(one(from, 20)) as keyof typeof byType]];
}

/** NodeProto: input 1, output 2, name 3, op_type 4, attribute 5, domain 7. */
function node(bytes: Uint8Array): unknown {
  const from = fields(bytes);
  return {
    inputs: all(from, 1).map(text),
    outputs: all(from, 2).map(text),
    name: text(one(from, 3)),
    op: text(one(from, 4)),
    domain: text(one(from, 7)) ?? "",
    attributes: Object.fromEntries(all(from, 5).map((each) => attribute(each as Uint8Array))),
  };
}

/** ValueInfoProto: name 1, type 2 → tensor_type 1 → elem_type 1, shape 2 → dim 1 → size 1, name 2. */
function valueInfo(bytes: Uint8Array): unknown {
  const from = fields(bytes);
  const tensor = message(one(message(one(from, 2)), 1));
  const dims = all(message(one(tensor, 2)), 1).map((dim) => message(dim));
  return {
    name: text(one(from, 1)),
    type: one(tensor, 1),
    shape: dims.map((dim) => text(one(dim, 2)) ?? Number(one(dim, 1))),
  };
}

function everyAttribute(): Graph {
  const b = new GraphBuilder("everything");
  const x = b.input("x", "float32", ["rows", 3]);
  const table = b.input("table", "bfloat16", [2]);
  b.input("dead", "float32", []);
  const y = b.node("Strange", [x, undefined, table, b.int64([-1, 7])], [x, x], {
    domain: "com.microsoft",
    attributes: { i: -5n, f: 0.5, s: "né", list: [2n, 0n, -1n] },
  });
  b.output("y", y[0]);
  b.output("z", ops.mul(b, y[1], b.float32(-2.5)));
  return b.build();
}

Deno.test("writeOnnx() writes the model that the graph describes, field by field", () => {
  // ModelProto: ir_version 1, producer_name 2, graph 7, opset_import 8 (domain 1, version 2).
  const model = fields(writeOnnx(everyAttribute()));
  assert.equal(one(model, 1), 10n);
  assert.equal(text(one(model, 2)), "ortune");
  const opsets = all(model, 8).map((each) => message(each));
  assert.deepEqual(
    opsets.map((opset) => [text(one(opset, 1)) ?? "", one(opset, 2)]),
    [["", 21n], ["com.microsoft", 1n]],
  );

  // GraphProto: node 1, name 2, initializer 5, input 11, output 12.
  const graph = message(one(model, 7));
  assert.equal(text(one(graph, 2)), "everything");
  assert.deepEqual(all(graph, 1).map((each) => node(each as Uint8Array)), [
    {
      inputs: ["x", "", "table", "const_0"],
      outputs: ["y", "Strange_0.1"],
      name: "y",
      op: "Strange",
      domain: "com.microsoft",
      attributes: { i: -5n, f: 0.5, s: "né", list: [2n, 0n, -1n] },
    },
    {
      inputs: ["Strange_0.1", "const_1"],
      outputs: ["z"],
      name: "z",
      op: "Mul",
      domain: "",
      attributes: {},
    },
  ]);
  assert.deepEqual(all(graph, 11).map((each) => valueInfo(each as Uint8Array)), [
    { name: "x", type: 1n, shape: ["rows", 3] },
    { name: "table", type: 16n, shape: [2] },
  ]);
  assert.deepEqual(all(graph, 12).map((each) => valueInfo(each as Uint8Array)), [
    { name: "y", type: 1n, shape: ["rows", 3] },
    { name: "z", type: 1n, shape: ["rows", 3] },
  ]);

  // value_info 13: of what is neither input nor output, where shapes are asked for.
  assert.deepEqual(all(graph, 13), []);
  const shaped = message(one(fields(writeOnnx(everyAttribute(), { shapes: true })), 7));
  assert.deepEqual(all(shaped, 13).map((each) => valueInfo(each as Uint8Array)), [
    { name: "Strange_0.1", type: 1n, shape: ["rows", 3] },
  ]);

  // TensorProto: dims 1, data_type 2, name 8, raw_data 9.
  const tensors = all(graph, 5).map((each) => message(each));
  assert.deepEqual(
    tensors.map((tensor) => [text(one(tensor, 8)), one(tensor, 2), all(tensor, 1)]),
    [["const_0", 7n, [2n]], ["const_1", 1n, []]],
  );
  const data = tensors.map((tensor) => (one(tensor, 9) as Uint8Array).slice().buffer);
  assert.deepEqual([...new BigInt64Array(data[0])], [-1n, 7n]);
  assert.deepEqual([...new Float32Array(data[1])], [-2.5]);
});

Deno.test("writeOnnx() makes external inputs weights that lie in another file", () => {
  const b = new GraphBuilder("external");
  const x = b.input("x", "float32", ["n", 4]);
  const w = b.input("w", "float32", [8, 4]);
  b.output("y", ops.linear(b, x, w));
  const place = { location: "model.onnx_data", offset: 4096, length: 128 };
  const graph = message(
    one(fields(writeOnnx(b.build(), { external: new Map([["w", place]]) })), 7),
  );
  assert.deepEqual(all(graph, 11).map((each) => text(one(message(each), 1))), ["x"]);
  const tensor = message(one(graph, 5));
  assert.deepEqual(all(tensor, 1), [8n, 4n]);
  assert.equal(text(one(tensor, 8)), "w");
  assert.equal(one(tensor, 9), undefined);
  assert.equal(one(tensor, 14), 1n);
  const entries = all(tensor, 13).map((entry) => [1, 2].map((at) => text(one(message(entry), at))));
  assert.deepEqual(Object.fromEntries(entries), {
    location: "model.onnx_data",
    offset: "4096",
    length: "128",
  });
});

Deno.test("writeOnnx() writes a node's body as an attribute that is a graph, without its values' shapes", () => {
  const inner = new GraphBuilder("inner");
  const step = inner.input("step", "float32", [2]);
  inner.output("next", ops.mul(inner, ops.exp(inner, step), inner.float32(3)));
  const b = new GraphBuilder("outer");
  const x = b.input("x", "float32", ["n", 2]);
  const [y] = b.node("Scan", [x], [x], { attributes: { count: 2n }, body: inner.build() });
  b.output("y", y);
  const graph = message(one(fields(writeOnnx(b.build(), { shapes: true })), 7));
  const attributes = all(message(one(graph, 1)), 5).map((each) => message(each));
  assert.equal(attributes.length, 2);
  assert.deepEqual(attribute(all(message(one(graph, 1)), 5)[0] as Uint8Array), ["count", 2n]);
  // AttributeProto: name 1, g 6, type 20 (GRAPH 5).
  const [, body] = attributes;
  assert.deepEqual(body.map(([field]) => field), [1, 6, 20]);
  assert.equal(text(one(body, 1)), "body");
  assert.equal(one(body, 20), 5n);
  const written = message(one(body, 6));
  assert.equal(text(one(written, 2)), "inner");
  assert.deepEqual(all(written, 1).map((each) => (node(each as Uint8Array) as { op: string }).op), [
    ...["Exp", "Mul"],
  ]);
  assert.deepEqual(all(written, 5).map((each) => text(one(message(each), 8))), ["const_0"]);
  assert.deepEqual(all(written, 11).map((each) => valueInfo(each as Uint8Array)), [
    { name: "step", type: 1n, shape: [2] },
  ]);
  assert.deepEqual(all(written, 12).map((each) => valueInfo(each as Uint8Array)), [
    { name: "next", type: 1n, shape: [2] },
  ]);
  assert.deepEqual(all(written, 13), []);
});

Deno.test("writeOnnx() writes the opset that is asked for, and ONNX Runtime's as 1", () => {
  const versions = (opset?: number): unknown[] =>
    all(fields(writeOnnx(everyAttribute(), { opset })), 8).map((each) => {
      const from = message(each);
      return [text(one(from, 1)), one(from, 2)];
    });
  assert.deepEqual(versions(), [[undefined, 21n], ["com.microsoft", 1n]]);
  assert.deepEqual(versions(17), [[undefined, 17n], ["com.microsoft", 1n]]);
});

Deno.test("writeOnnx() writes constants before weights in other files, and each tensor's whole head", () => {
  const b = new GraphBuilder("external");
  const x = b.input("x", "float32", ["n", 3]);
  const w = b.input("w", "bfloat16", [3]);
  const v = b.input("v", "int64", [2, 3]);
  b.output("y", b.node("All", [x, w, v, b.int32([7, 8])], [x])[0]);
  const external = new Map(
    ["v", "w"].map((name, i) => [name, { location: `${name}.data`, offset: 10 * i, length: 48 }]),
  );
  const graph = message(one(fields(writeOnnx(b.build(), { external })), 7));
  const tensors = all(graph, 5).map((each) => message(each));
  // TensorProto: dims 1, data_type 2, name 8, raw_data 9, external_data 13, data_location 14.
  assert.deepEqual(
    tensors.map((each) => [text(one(each, 8)), all(each, 1), one(each, 2), one(each, 14)]),
    [
      ["const_0", [2n], 6n, undefined],
      ["w", [3n], 16n, 1n],
      ["v", [2n, 3n], 7n, 1n],
    ],
  );
  assert.deepEqual([...one(tensors[0], 9) as Uint8Array], [7, 0, 0, 0, 8, 0, 0, 0]);
  assert.deepEqual(
    tensors.slice(1).map((each) =>
      all(each, 13).map((entry) => [1, 2].map((at) => text(one(message(entry), at))))
    ),
    [
      [["location", "w.data"], ["offset", "10"], ["length", "48"]],
      [["location", "v.data"], ["offset", "0"], ["length", "48"]],
    ],
  );
  assert.deepEqual(all(graph, 11).map((each) => valueInfo(each as Uint8Array)), [
    { name: "x", type: 1n, shape: ["n", 3] },
  ]);
});
