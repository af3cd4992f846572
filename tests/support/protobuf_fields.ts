/** Protobuf messages read back. In: bytes. Out: fields by number, in their order. */

import { BinaryReader } from "@bufbuild/protobuf/wire";

/** A number, or the bytes of a text or a message. */
export type ProtobufValue = number | Uint8Array;

/** Reads the fields of a message. */
export function protobufFields(bytes: Uint8Array): [number, ProtobufValue][] {
  const reader = new BinaryReader(bytes);
  const fields: [number, ProtobufValue][] = [];
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (type === 0) fields.push([field, Number(reader.int64())]);
    else if (type === 1) fields.push([field, reader.double()]);
    else if (type === 5) fields.push([field, reader.float()]);
    else fields.push([field, reader.bytes()]);
  }
  return fields;
}

/** Which fields of a message are messages, with theirs; others of bytes are texts. */
export interface ProtobufShape {
  readonly [field: number]: ProtobufShape;
}

/** A field and its value. */
export type ReadField = readonly [field: number, value: number | string | readonly ReadField[]];

/** Reads a message and those in it. */
export function readMessage(bytes: Uint8Array, shape: ProtobufShape): ReadField[] {
  return protobufFields(bytes).map(([field, value]): ReadField => {
    if (typeof value === "number") return [field, value];
    const inner = shape[field];
    return [field, inner ? readMessage(value, inner) : new TextDecoder().decode(value)];
  });
}
