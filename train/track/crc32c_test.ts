import assert from "node:assert/strict";
import { crc32c, maskedCrc32c } from "./crc32c.ts";

Deno.test("crc32c() gives the check values of RFC 3720", () => {
  assert.equal(crc32c(new TextEncoder().encode("123456789")), 0xe3069283);
  assert.equal(crc32c(new Uint8Array(32)), 0x8a9136aa);
  assert.equal(crc32c(new Uint8Array(32).fill(0xff)), 0x62a8ab43);
  assert.equal(crc32c(new Uint8Array(0)), 0);
});

Deno.test("maskedCrc32c() rotates right by 15 bits and adds its constant", () => {
  // TFRecord of length 0: the checksum of eight zero bytes.
  assert.equal(maskedCrc32c(new Uint8Array(8)), 0x07980329);
  assert.equal(maskedCrc32c(new Uint8Array(0)), 0xa282ead8);
});
