/**
 * A file of rows, opened.
 *
 * In: a path. Out: its format, recognised by its content, and its bytes, unpacked, as often as they
 * are asked for; of Parquet any part of them.
 */

import { open, stat } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { Readable, type Transform } from "node:stream";
import { createGunzip, createZstdDecompress } from "node:zlib";
import { findRegularFile, isAbsent } from "../../internal/regular_file.ts";
import { JsonlError } from "./jsonl_error.ts";
import {
  type Compression,
  describeFormat,
  nameContradiction,
  readCompression,
  recognizeFormat,
  type RowFormat,
} from "./row_format.ts";
import { splitZstdFrames } from "./zstd_frames.ts";

const CHUNK_BYTES = 64 * 1024;

/** A file of rows that is open; dispose of it to close it. */
export interface RowFile extends AsyncDisposable {
  /** The path as the caller gave it. */
  readonly path: string;
  readonly format: RowFormat;
  readonly compression: Compression | undefined;
  /** Bytes of the file. */
  readonly size: number;
  /**
   * Its bytes from the first on, unpacked. A chunk is valid until the next is asked for.
   *
   * @param onRead is told how many bytes of the file are read, after each piece of it
   */
  chunks(onRead?: (bytes: number) => void): AsyncGenerator<Uint8Array, void, undefined>;
  /** Bytes of the file from `start` to before `end`. */
  slice(start: number, end: number): Promise<ArrayBuffer>;
}

/** What a file of rows is, as a user should know it. */
export interface RowFileFacts {
  readonly format: RowFormat;
  /** A line on how it is read; `undefined` where its name says so. */
  readonly note: string | undefined;
}

/**
 * Opens a file of rows.
 *
 * @throws {JsonlError} if there is none, or it is of no format that is read
 */
export async function openRowFile(path: string): Promise<RowFile> {
  const handle = await openFile(path);
  try {
    const { size } = await handle.stat();
    const head = await readHead(rawChunks(handle));
    const compression = readCompression(head);
    const unpacked = compression === undefined
      ? head
      : await readHead(unpack(handle, { path, compression }));
    const format = recognizeFormat(unpacked, { path, compression });
    return {
      path,
      format,
      compression,
      size,
      chunks: (onRead) =>
        compression === undefined
          ? rawChunks(handle, onRead)
          : unpack(handle, { path, compression, onRead }),
      async slice(start: number, end: number): Promise<ArrayBuffer> {
        const bytes = new Uint8Array(Math.max(0, Math.min(end, size) - Math.max(0, start)));
        for (let filled = 0; filled < bytes.length;) {
          const { bytesRead } = await handle.read(
            ...[bytes, filled, bytes.length - filled, start + filled] as const,
          );
          if (bytesRead === 0) {
            throw new JsonlError({ file: path }, "the file was cut while it was read");
          }
          filled += bytesRead;
        }
        return bytes.buffer;
      },
      [Symbol.asyncDispose]: () => handle.close(),
    };
  } catch (cause) {
    await handle.close();
    throw cause;
  }
}

/** How a file will be read. */
export async function describeRowFile(path: string): Promise<RowFileFacts> {
  // Not by `using`, which Node 22 cannot read.
  const file = await openRowFile(path);
  await file[Symbol.asyncDispose]();
  const { format, compression } = file;
  const other = nameContradiction(path, { format, compression });
  const note = format.kind === "csv"
    ? `read as ${describeFormat(format)}; every cell is text, an empty one is null`
    : other && `read as ${describeFormat(format)}`;
  return { format, note: note && `${path}: ${[note, ...other ? [`it ${other}`] : []].join("; ")}` };
}

async function openFile(path: string): Promise<FileHandle> {
  const refused = (problem: string, cause?: unknown): JsonlError =>
    new JsonlError({ file: path }, problem, { cause });
  try {
    if ((await stat(path)).isDirectory()) {
      throw refused("expected a file of rows, got a directory; name a file in it");
    }
    // It is read more than once, and a pipe or a device may never end.
    const found = await findRegularFile(path, { root: null });
    if (found.path === undefined) {
      throw refused(`cannot open the file: it ${found.problem}; copy it to a file of its own`);
    }
    return await open(found.path, "r");
  } catch (cause) {
    if (cause instanceof JsonlError) throw cause;
    if (isAbsent(cause)) throw refused("expected a file of rows, got no such file", cause);
    throw refused(
      `cannot open the file: ${cause instanceof Error ? cause.message : String(cause)}`,
      cause,
    );
  }
}

async function* rawChunks(
  handle: FileHandle,
  onRead?: (bytes: number) => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  const chunk = new Uint8Array(CHUNK_BYTES);
  for (let at = 0;;) {
    const { bytesRead } = await handle.read(chunk, 0, CHUNK_BYTES, at);
    if (bytesRead === 0) return;
    yield chunk.subarray(0, bytesRead);
    at += bytesRead;
    onRead?.(at);
  }
}

async function* unpack(
  handle: FileHandle,
  { path, compression, onRead }: {
    readonly path: string;
    readonly compression: Compression;
    readonly onRead?: (bytes: number) => void;
  },
): AsyncGenerator<Uint8Array, void, undefined> {
  const chunks = rawChunks(handle, onRead);
  try {
    if (compression === "gzip") yield* decode(copies(chunks), createGunzip());
    else yield* unpackZstd(chunks);
  } catch (cause) {
    if (cause instanceof JsonlError) throw cause;
    throw new JsonlError(
      { file: path },
      `cannot unpack the ${compression} file: ${
        (cause as Error).message
      }; it is cut or damaged, fetch it again`,
      { cause },
    );
  } finally {
    await chunks.return();
  }
}

/** One decoder a frame. */
async function* unpackZstd(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const pieces = splitZstdFrames(chunks);
  let piece = await pieces.next();
  const frame = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
    for (let last = false; !last && !piece.done; piece = await pieces.next()) {
      last = piece.value.last;
      yield piece.value.bytes;
    }
  };
  while (!piece.done) yield* decode(frame(), createZstdDecompress());
}

async function* decode(
  pieces: AsyncIterable<Uint8Array>,
  decoder: Transform,
): AsyncGenerator<Uint8Array, void, undefined> {
  const source = Readable.from(pieces);
  source.on("error", (cause) => decoder.destroy(cause));
  source.pipe(decoder);
  try {
    for await (const chunk of decoder) yield chunk as Uint8Array;
  } finally {
    source.destroy();
    decoder.destroy();
  }
}

/** What a stream takes may wait in it, so that no buffer can be used again. */
async function* copies(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) yield chunk.slice();
}

/** The first bytes of a file; a copy. */
async function readHead(chunks: AsyncGenerator<Uint8Array>): Promise<Uint8Array> {
  for await (const chunk of chunks) return chunk.slice();
  return new Uint8Array(0);
}
