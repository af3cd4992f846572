/**
 * Fields of protobuf messages, by number.
 *
 * In: a writer, a field's number and its value. Out: the field's bytes in the writer. As in
 * proto3, a field of value 0 or "" may be left out; these functions write what they are given.
 */

import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";

/** Writes the fields of a message. */
export type WriteFields = (writer: BinaryWriter) => void;

/** The bytes of a message. */
export function encodeMessage(write: WriteFields): Uint8Array<ArrayBuffer> {
  const writer = new BinaryWriter();
  write(writer);
  return writer.finish();
}

/** A message within a message. */
export function messageField(writer: BinaryWriter, field: number, write: WriteFields): void {
  writer.tag(field, WireType.LengthDelimited).fork();
  write(writer);
  writer.join();
}

/** Text; lone surrogates, which UTF-8 lacks, become U+FFFD. */
export function textField(writer: BinaryWriter, field: number, value: string): void {
  writer.tag(field, WireType.LengthDelimited).string(value.toWellFormed());
}

/** An int32, int64 or enum. */
export function integerField(writer: BinaryWriter, field: number, value: number): void {
  writer.tag(field, WireType.Varint).int64(value);
}

/** A double. */
export function doubleField(writer: BinaryWriter, field: number, value: number): void {
  writer.tag(field, WireType.Bit64).double(value);
}

/** A float. A double beyond its range becomes an infinity. */
export function floatField(writer: BinaryWriter, field: number, value: number): void {
  // The writer refuses what rounds to an infinity.
  writer.tag(field, WireType.Bit32).float(Math.fround(value));
}
