/**
 * Writes a graph as an ONNX model.
 *
 * In: a `Graph`. Out: the bytes of a ModelProto, with field numbers from
 * https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3.
 *
 * @module
 */

import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { onnxDataType } from "../tensor/onnx_dtype.ts";
import {
  type Attribute,
  type Graph,
  IR_VERSION,
  KERNEL_DOMAIN,
  type Node,
  OPSET,
  type Value,
} from "./ir.ts";

type Write = (writer: BinaryWriter) => void;

function message(writer: BinaryWriter, field: number, write: Write): void {
  writer.tag(field, WireType.LengthDelimited).fork();
  write(writer);
  writer.join();
}

function text(writer: BinaryWriter, field: number, value: string): void {
  writer.tag(field, WireType.LengthDelimited).string(value);
}

function integer(writer: BinaryWriter, field: number, value: number | bigint): void {
  writer.tag(field, WireType.Varint).int64(value);
}

function writeAttribute(writer: BinaryWriter, name: string, value: Attribute): void {
  text(writer, 1, name);
  if (typeof value === "bigint") {
    integer(writer, 3, value);
    integer(writer, 20, 2); // INT
  } else if (typeof value === "number") {
    writer.tag(2, WireType.Bit32).float(value);
    integer(writer, 20, 1); // FLOAT
  } else if (typeof value === "string") {
    text(writer, 4, value);
    integer(writer, 20, 3); // STRING
  } else {
    for (const each of value) integer(writer, 8, each);
    integer(writer, 20, 7); // INTS
  }
}

function writeNode(writer: BinaryWriter, node: Node): void {
  if (node.domain === KERNEL_DOMAIN) {
    throw new Error(
      `Cannot write ${node.op} (${
        node.outputs[0].name
      }) as ONNX: it is a kernel of ortune's own; ` +
        "split the graph into subgraphs",
    );
  }
  for (const input of node.inputs) text(writer, 1, input?.name ?? "");
  for (const output of node.outputs) text(writer, 2, output.name);
  text(writer, 3, node.outputs[0].name);
  text(writer, 4, node.op);
  for (const [name, value] of Object.entries(node.attributes)) {
    message(writer, 5, (writer) => writeAttribute(writer, name, value));
  }
  const { body } = node;
  if (body) {
    message(writer, 5, (writer) => {
      text(writer, 1, "body");
      message(writer, 6, (writer) => writeGraph(writer, body, {}));
      integer(writer, 20, 5); // GRAPH
    });
  }
  if (node.domain) text(writer, 7, node.domain);
}

/** Where the elements of a tensor lie: a part of a file beside the .onnx file. */
export interface ExternalData {
  /** The file's name. */
  readonly location: string;
  /** Its first byte in the file. */
  readonly offset: number;
  /** Bytes of all elements. */
  readonly length: number;
}

/** Options of {@linkcode writeOnnx}. */
export interface WriteOnnxOptions {
  /**
   * Inputs by name that become weights of the model, with their elements in files of their own.
   * @default {none}
   */
  readonly external?: ReadonlyMap<string, ExternalData>;
  /** Version of ONNX's own operators. @default {@linkcode OPSET} */
  readonly opset?: number;
  /**
   * Writes the shape of every value: shape inference knows nothing of ONNX Runtime's own operators.
   * @default false
   */
  readonly shapes?: boolean;
}

/** DataLocation EXTERNAL. */
const EXTERNAL = 1;

/** The common part of a TensorProto: all but its elements. */
function writeTensorHead(writer: BinaryWriter, { name, dtype, shape }: Value): void {
  for (const dim of shape) integer(writer, 1, dim as number);
  integer(writer, 2, onnxDataType(dtype));
  text(writer, 8, name);
}

function writeExternalData(writer: BinaryWriter, data: ExternalData): void {
  for (const key of ["location", "offset", "length"] as const) {
    message(writer, 13, (writer) => {
      text(writer, 1, key);
      text(writer, 2, String(data[key]));
    });
  }
  integer(writer, 14, EXTERNAL);
}

function writeValueInfo(writer: BinaryWriter, { name, dtype, shape }: Value): void {
  text(writer, 1, name);
  message(writer, 2, (writer) =>
    message(writer, 1, (writer) => {
      integer(writer, 1, onnxDataType(dtype));
      message(writer, 2, (writer) => {
        for (const dim of shape) {
          message(writer, 1, (writer) => {
            if (typeof dim === "number") integer(writer, 1, dim);
            else text(writer, 2, dim);
          });
        }
      });
    }));
}

/**
 * A graph as the bytes of an .onnx file.
 *
 * @example
 * ```ts
 * import { Runtime } from "@ortune/ortune";
 * import { GraphBuilder, ops, writeOnnx } from "@ortune/ortune/unstable-graph";
 * import { Session } from "@ortune/ortune/unstable-ort";
 * import assert from "node:assert/strict";
 *
 * const b = new GraphBuilder("double");
 * const x = b.input("x", "float32", ["n"]);
 * b.output("y", ops.add(b, x, x));
 *
 * using runtime = new Runtime({ threads: 1 });
 * using session = new Session(runtime, writeOnnx(b.build()));
 * assert.deepEqual([session.inputs, session.outputs], [["x"], ["y"]]);
 * ```
 */
export function writeOnnx(
  graph: Graph,
  { external, opset = OPSET, shapes }: WriteOnnxOptions = {},
): Uint8Array<ArrayBuffer> {
  const writer = new BinaryWriter();
  integer(writer, 1, IR_VERSION);
  text(writer, 2, "ortune");
  message(writer, 7, (writer) => writeGraph(writer, graph, { external, shapes }));
  for (const [domain, version] of [["", opset], ["com.microsoft", 1]] as const) {
    message(writer, 8, (writer) => {
      if (domain) text(writer, 1, domain);
      integer(writer, 2, version);
    });
  }
  return writer.finish();
}

/** A GraphProto. */
function writeGraph(
  writer: BinaryWriter,
  graph: Graph,
  { external = new Map(), shapes = false }: Pick<WriteOnnxOptions, "external" | "shapes">,
): void {
  for (const node of graph.nodes) message(writer, 1, (writer) => writeNode(writer, node));
  text(writer, 2, graph.name);
  for (const { value, data } of graph.constants) {
    message(writer, 5, (writer) => {
      writeTensorHead(writer, value);
      writer.tag(9, WireType.LengthDelimited).bytes(data);
    });
  }
  for (const input of graph.inputs) {
    const data = external.get(input.name);
    if (!data) continue;
    message(writer, 5, (writer) => {
      writeTensorHead(writer, input);
      writeExternalData(writer, data);
    });
  }
  for (const input of graph.inputs) {
    if (!external.has(input.name)) message(writer, 11, (w) => writeValueInfo(w, input));
  }
  for (const output of graph.outputs) message(writer, 12, (w) => writeValueInfo(w, output));
  const answered = new Set(graph.outputs.map(({ name }) => name));
  const inner = shapes ? graph.nodes.flatMap(({ outputs }) => outputs) : [];
  for (const value of inner) {
    if (!answered.has(value.name)) message(writer, 13, (w) => writeValueInfo(w, value));
  }
}
