/**
 * The checksum of TensorBoard's records.
 *
 * In: bytes. Out: their CRC-32C (Castagnoli), plain or masked as TFRecord files want it:
 * https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/lib/hash/crc32c.h
 *
 * zlib's crc32 has another polynomial, so this is our own.
 */

/** The polynomial, its bits reversed. */
const POLYNOMIAL = 0x82f63b78;
const MASK_DELTA = 0xa282ead8;

/** What each byte adds. */
const TABLE: Uint32Array = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? value >>> 1 ^ POLYNOMIAL : value >>> 1;
  return value;
});

/** CRC-32C as an unsigned number. */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = TABLE[(crc ^ byte) & 0xff] ^ crc >>> 8;
  return ~crc >>> 0;
}

/** CRC-32C, rotated and shifted, so that the checksum of data that holds checksums is sound. */
export function maskedCrc32c(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return ((crc >>> 15 | crc << 17) + MASK_DELTA) >>> 0;
}
