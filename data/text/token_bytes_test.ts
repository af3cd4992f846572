import assert from "node:assert/strict";
import { tokenByteCodec } from "./token_bytes.ts";

type Json = Record<string, unknown>;

const BLANK: Json = { type: "Replace", pattern: { String: "▁" }, content: " " };
const BYTES: Json = { type: "ByteFallback" };
const FUSE: Json = { type: "Fuse" };
const STRIP: Json = { type: "Strip", content: " ", start: 1, stop: 0 };
const META: Json = { type: "Metaspace", replacement: "▁" };
const sequence = (...decoders: unknown[]): Json => ({ type: "Sequence", decoders });

/** What a decoder makes of "▁▁a▁b", first and later, of `<0x41>`, and whether it drops a blank. */
function facts(decoder: unknown): unknown {
  const codec = tokenByteCodec(decoder);
  if (codec === undefined) return undefined;
  const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
  return [
    text(codec.firstBytesOf("▁▁a▁b")),
    text(codec.bytesOf("▁▁a▁b")),
    text(codec.bytesOf("<0x41>")),
    codec.isByte("<0x41>"),
    codec.dropsFirstBlank,
  ];
}

Deno.test("tokenByteCodec() reads SentencePiece's decoders", () => {
  const kept = ["  a b", "  a b", "<0x41>", false, false];
  const dropped = [" a b", "  a b", "<0x41>", false, true];
  const cases: [unknown, unknown][] = [
    [BLANK, kept],
    [sequence(BLANK), kept],
    [sequence(BLANK, FUSE), kept],
    [sequence(sequence(BLANK), sequence(FUSE)), kept],
    [sequence(BLANK, BYTES, FUSE), ["  a b", "  a b", "A", true, false]],
    // Llama 2's: only of a text that is fused already does Strip take one blank.
    [sequence(BLANK, FUSE, STRIP), dropped],
    [sequence(BLANK, BYTES, FUSE, STRIP), [" a b", "  a b", "A", true, true]],
    [sequence(FUSE, BLANK, STRIP), dropped],
    [sequence(BLANK, STRIP, FUSE), undefined],
    [sequence(BLANK, STRIP), undefined],
    [sequence(BLANK, FUSE, { ...STRIP, start: 2 }), undefined],
    [sequence(BLANK, FUSE, { ...STRIP, stop: 1 }), undefined],
    [sequence(BLANK, FUSE, { ...STRIP, content: "_" }), undefined],
    [sequence(BLANK, FUSE, { ...STRIP, start: 0, stop: 1 }), kept],
    [sequence(BLANK, FUSE, STRIP, { ...STRIP }), undefined],
    [sequence(BLANK, { type: "WordPiece" }), undefined],
    [sequence(BYTES, FUSE), undefined],
    [FUSE, undefined],
    [{ ...BLANK, content: "_" }, undefined],
    [{ ...BLANK, pattern: { String: "_" } }, undefined],
    [{ ...BLANK, pattern: "▁" }, undefined],
    [{ ...BLANK, type: "Odd" }, undefined],
    [null, undefined],
    [undefined, undefined],
    ["Fuse", undefined],
    [{ type: "Sequence" }, undefined],
    [{ type: "Sequence", decoders: 1 }, undefined],
    [sequence(null, BLANK), kept],
  ];
  for (const [decoder, expected] of cases) {
    assert.deepEqual(facts(decoder), expected, JSON.stringify(decoder));
  }
});

Deno.test("tokenByteCodec() reads Metaspace, which takes every mark out of the first token", () => {
  const dropped = ["ab", "  a b", "<0x41>", false, true];
  const kept = ["  a b", "  a b", "<0x41>", false, false];
  const cases: [unknown, unknown][] = [
    [META, dropped],
    [{ type: "Metaspace" }, dropped],
    [{ ...META, prepend_scheme: "first" }, dropped],
    [{ ...META, prepend_scheme: "never" }, kept],
    [{ ...META, add_prefix_space: true }, dropped],
    [{ ...META, add_prefix_space: false }, kept],
    [{ ...META, replacement: "_" }, ["▁▁a▁b", "▁▁a▁b", "<0x41>", false, true]],
    [sequence(BYTES, META), ["ab", "  a b", "A", true, true]],
    [sequence(META, FUSE), dropped],
    [sequence(FUSE, META), undefined],
    [sequence(META, STRIP), undefined],
  ];
  for (const [decoder, expected] of cases) {
    assert.deepEqual(facts(decoder), expected, JSON.stringify(decoder));
  }
  const codec = tokenByteCodec({ ...META, replacement: "_" })!;
  assert.deepEqual(codec.bytesOf("_a_"), new TextEncoder().encode(" a "));
  assert.deepEqual(codec.firstBytesOf("_a_"), new TextEncoder().encode("a"));
});

Deno.test("tokenByteCodec() reads the byte alphabet", () => {
  const level = { type: "ByteLevel" };
  for (const decoder of [level, sequence(level), sequence(level, FUSE), sequence(FUSE, level)]) {
    const codec = tokenByteCodec(decoder)!;
    // "Ġ" is the blank, "Ã©" the two bytes of é.
    for (const bytes of [codec.bytesOf, codec.firstBytesOf]) {
      assert.deepEqual([...bytes("ĠÃ©")], [0x20, 0xc3, 0xa9]);
    }
    assert.deepEqual([codec.isByte("<0x41>"), codec.dropsFirstBlank], [false, false]);
  }
  assert.equal(tokenByteCodec(sequence(level, STRIP)), undefined);
  assert.equal(tokenByteCodec(sequence(BYTES, level)), undefined);
});

Deno.test("tokenByteCodec() takes two digits of either case for a byte", () => {
  const { isByte, bytesOf } = tokenByteCodec(sequence(BLANK, BYTES, FUSE))!;
  for (const [token, byte] of [["<0x00>", 0], ["<0xfF>", 255], ["<0x0A>", 10]] as const) {
    assert.equal(isByte(token), true);
    assert.deepEqual([...bytesOf(token)], [byte]);
  }
  for (const token of ["<0x1>", "<0x123>", "<0xGG>", "a<0x41>", "<0x41>a", ""]) {
    assert.equal(isByte(token), false);
    assert.deepEqual(bytesOf(token), new TextEncoder().encode(token));
  }
});
