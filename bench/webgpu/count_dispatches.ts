/** How much a GPU is sent for one run of a graph. In: the bytes of an ONNX model. Out: dispatches. */

import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";

// Field numbers of onnx.proto3.
const MODEL_GRAPH = 7;
const GRAPH_NODE = 1;
const NODE_OP = 4;

/** Operations that give the same bytes another shape: ONNX Runtime runs no kernel for them. */
const NO_DISPATCH: ReadonlySet<string> = new Set(["Reshape", "Unsqueeze", "Squeeze", "Flatten"]);

/**
 * Nodes of the model, but for those that only change a shape. It is an estimate: ONNX Runtime runs some
 * operations as two kernels, such as one that writes into a copy.
 */
export function countDispatches(model: Uint8Array): number {
  let count = 0;
  for (const graph of fields(model, MODEL_GRAPH)) {
    for (const node of fields(graph, GRAPH_NODE)) {
      for (const op of fields(node, NODE_OP)) {
        if (!NO_DISPATCH.has(new TextDecoder().decode(op))) count++;
      }
    }
  }
  return count;
}

/** The length-delimited fields of one number. */
function* fields(message: Uint8Array, wanted: number): Generator<Uint8Array> {
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const [field, wire] = reader.tag();
    if (field === wanted && wire === WireType.LengthDelimited) yield reader.bytes();
    else reader.skip(wire, field);
  }
}
