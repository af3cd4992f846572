/**
 * A safetensors file that all processes write together, each what it holds, at its place: no process holds or
 * sends more. In: tensors in parts, and a file on a file system that all of them share. Out: the file, with the
 * bytes that one process would have written.
 *
 * The last process reads the file once when all are done, for its hash, and finds out whether it holds what
 * each wrote: a file system between machines may lose bytes of two that write into one block.
 */

import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import type { Comm } from "../../comm/comm.ts";
import { gatherJson } from "../../comm/json_between_ranks.ts";
import { writeError, type WrittenBytes } from "../../ort/tensor/file_writer.ts";
import { planSafetensors, type SafetensorsPlan } from "../../ort/tensor/safetensors_writer.ts";
import { overlap } from "./buckets.ts";
import { type Segment, segmentsOf, type TensorParts } from "./tensor_parts.ts";

/** Bytes read or written at a time. */
const CHUNK = 1 << 23;

/** A file whose parts are on the disk. */
export interface PartsFile {
  /** Its length and hash when it was read; undefined where it does not hold what was written. */
  readonly file: Promise<WrittenBytes | undefined>;
}

/** What a process did. */
interface Outcome {
  /** Why it failed. */
  readonly error?: string;
  /** Of the bytes that it wrote, in their order. */
  readonly checksum?: number;
}

/** What the last process read. */
interface ReadBack {
  readonly error?: string;
  readonly whole?: WrittenBytes;
}

/** Bytes of a file, and who writes them. */
interface FileSegment extends Segment {
  readonly name: string;
  /** The first one in the tensor. */
  readonly offset: number;
}

/**
 * Makes the file for all to write into: its header, and room for the rest.
 *
 * @throws {Error} where the disk is full or the path cannot be written
 */
export async function createPartsFile(path: string, parts: TensorParts): Promise<void> {
  try {
    const { header, bytes } = planSafetensors(path, parts);
    using file = await Deno.open(path, { write: true, createNew: true });
    await writeAll(file, header);
    // In its full size, so that no process makes it longer under the others' hands.
    await file.truncate(bytes);
  } catch (cause) {
    throw writeError(path, 0, cause);
  }
}

/**
 * Writes this process's parts. All processes call it, and all get the same answer.
 *
 * @param path a file that {@linkcode createPartsFile} made for the first process, under a name that no other
 *   file has: who finds it shares its file system
 * @returns undefined where a process does not find it
 * @throws {Error} naming the process whose write failed, on all
 */
export async function writeParts(
  path: string,
  parts: TensorParts,
  comm: Comm,
): Promise<PartsFile | undefined> {
  using file = await findFile(path);
  const found = await gatherJson(comm, file !== undefined);
  if (file === undefined || found.includes(false)) return undefined;
  const plan = planSafetensors(path, parts);
  const segments = fileSegments(plan, parts, comm.size);
  const own = segments.filter(({ rank }) => rank === comm.rank);
  const outcomes = await gatherJson(comm, await writeOwn(file, path, parts, own));
  const failed = outcomes.findIndex(({ error }) => error !== undefined);
  if (failed >= 0) throw new Error(`rank ${failed}: ${outcomes[failed].error}`);
  const read = async (): Promise<WrittenBytes | undefined> => {
    const last = comm.rank === comm.size - 1;
    const checksums = outcomes.map(({ checksum }) => checksum!);
    const result = last ? await readBack(path, segments, checksums) : {};
    const { error, whole } = (await gatherJson<ReadBack>(comm, result))[comm.size - 1];
    if (error !== undefined) throw new Error(`rank ${comm.size - 1}: ${error}`);
    return whole;
  };
  return { file: read() };
}

async function findFile(path: string): Promise<Deno.FsFile | undefined> {
  try {
    // Not to be read: of a block that was read NFS would write back more than was changed.
    return await Deno.open(path, { write: true });
  } catch {
    return undefined;
  }
}

/** Segments of the file, in their order. */
function fileSegments(
  { tensors }: SafetensorsPlan,
  parts: TensorParts,
  size: number,
): readonly FileSegment[] {
  return tensors.flatMap(({ name, start }) =>
    segmentsOf(parts, name, size).map((segment) => ({
      ...segment,
      name,
      offset: segment.start,
      start: start + segment.start,
    }))
  );
}

async function writeOwn(
  file: Deno.FsFile,
  path: string,
  parts: TensorParts,
  own: readonly FileSegment[],
): Promise<Outcome> {
  const buffer = new Uint8Array(
    Math.min(CHUNK, own.reduce((most, { length }) => Math.max(most, length), 0)),
  );
  let written = 0;
  let checksum = 0;
  try {
    for (const { name, start, offset, length } of own) {
      await file.seek(start, Deno.SeekMode.Start);
      for (let done = 0; done < length;) {
        const bytes = buffer.subarray(0, Math.min(buffer.byteLength, length - done));
        parts.readOwn(name, bytes, offset + done);
        checksum = crc32(bytes, checksum);
        await writeAll(file, bytes);
        done += bytes.byteLength;
        written += bytes.byteLength;
      }
    }
    await file.sync();
    return { checksum };
  } catch (cause) {
    return { error: writeError(path, written, cause).message };
  }
}

async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.byteLength;) done += await file.write(bytes.subarray(done));
}

async function readBack(
  path: string,
  segments: readonly FileSegment[],
  expected: readonly number[],
): Promise<ReadBack> {
  const hash = createHash("sha256");
  const checksums = expected.map(() => 0);
  let bytes = 0;
  let next = 0;
  try {
    using file = await Deno.open(path);
    const buffer = new Uint8Array(CHUNK);
    for (let count; (count = await file.read(buffer)) !== null; bytes += count) {
      const chunk = { start: bytes, length: count };
      hash.update(buffer.subarray(0, count));
      for (; next < segments.length; next++) {
        const segment = segments[next];
        const { start, length } = overlap(segment, chunk);
        const from = start - bytes;
        checksums[segment.rank] = crc32(
          buffer.subarray(from, from + length),
          checksums[segment.rank],
        );
        // The rest of it, and what follows, are in the next chunk.
        if (segment.start + segment.length > bytes + count) break;
      }
    }
  } catch (cause) {
    return { error: `Cannot read ${path}: ${(cause as Error).message}` };
  }
  const isWhole = checksums.every((each, rank) => each === expected[rank]);
  return isWhole ? { whole: { bytes, sha256: hash.digest("hex") } } : {};
}
