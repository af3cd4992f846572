/**
 * The frames of a zstd file (RFC 8878), of which there may be many: `pzstd` writes them, and joined
 * files have them. Node's decoder stops after the first.
 *
 * In: bytes. Out: the same bytes in pieces that end where frames do.
 */

/** Some bytes of a frame. */
export interface FramePiece {
  readonly bytes: Uint8Array;
  /** Whether the frame ends with them. */
  readonly last: boolean;
}

const SKIPPABLE = 0x184d2a5;
const RLE_BLOCK = 1;

/** What the next bytes of a file are: how many of them tell what comes after. */
interface Part {
  readonly bytes: number;
  /** The part after it; `undefined` where the frame ends. */
  readonly next: (bytes: Uint8Array) => Part | undefined;
}

/**
 * Splits bytes at the ends of frames; what is no zstd is left to the decoder to refuse.
 *
 * @throws {Error} where the last frame is cut
 */
export async function* splitZstdFrames(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<FramePiece, void, undefined> {
  let part = MAGIC;
  let head: number[] = [];
  /** Bytes of the current part that are left. */
  let left = part.bytes;
  for await (const chunk of chunks) {
    let start = 0;
    for (let at = 0; at < chunk.length;) {
      const taken = Math.min(left, chunk.length - at);
      // Only short parts are looked into.
      if (part.bytes <= HEAD_BYTES) head.push(...chunk.subarray(at, at + taken));
      at += taken;
      left -= taken;
      while (left === 0) {
        const next = part.next(Uint8Array.from(head));
        head = [];
        part = next ?? MAGIC;
        left = part.bytes;
        if (next !== undefined) continue;
        yield { bytes: chunk.slice(start, at), last: true };
        start = at;
      }
    }
    if (start < chunk.length) yield { bytes: chunk.slice(start), last: false };
  }
  // Node's decoder takes a frame that is cut for a whole one.
  if (part !== MAGIC || left < part.bytes) throw new Error("unexpected end of file");
}

/** Longest part whose bytes say what comes after it. */
const HEAD_BYTES = 4;

const MAGIC: Part = {
  bytes: 4,
  next: (bytes) =>
    littleEndian(bytes) >>> 4 === SKIPPABLE
      ? { bytes: 4, next: (size) => ({ bytes: littleEndian(size), next: () => undefined }) }
      : { bytes: 1, next: ([descriptor]) => frameHeader(descriptor) },
};

/** The rest of a frame's header, whose length its first byte tells. */
function frameHeader(descriptor: number): Part {
  const single = (descriptor >> 5 & 1) === 1;
  const window = single ? 0 : 1;
  const dictionary = [0, 1, 2, 4][descriptor & 3];
  const size = [single ? 1 : 0, 2, 4, 8][descriptor >> 6];
  const checksum = (descriptor >> 2 & 1) === 1;
  return { bytes: window + dictionary + size, next: () => blockHeader(checksum) };
}

function blockHeader(checksum: boolean): Part {
  return {
    bytes: 3,
    next: (bytes) => {
      const header = littleEndian(bytes);
      const size = (header >> 1 & 3) === RLE_BLOCK ? 1 : header >> 3;
      const isLast = (header & 1) === 1;
      const after = isLast
        ? checksum ? { bytes: 4, next: () => undefined } : undefined
        : blockHeader(checksum);
      return { bytes: size, next: () => after };
    },
  };
}

function littleEndian(bytes: Uint8Array): number {
  return bytes.reduceRight((sum, byte) => sum * 256 + byte, 0);
}
