/**
 * Tensors of which each process holds a part, for checkpoints: the first process reads the whole while the
 * others give their parts, or all write one file together.
 *
 * In: the parts and the processes. Out: a `TensorSource` of the whole, and files.
 */

import type { Comm } from "../../comm/comm.ts";
import { broadcastJson } from "../../comm/json_between_ranks.ts";
import type { WrittenBytes } from "../../ort/tensor/file_writer.ts";
import { checkTensorRange } from "../../ort/tensor/tensor_errors.ts";
import { tensorBytes, type TensorSource } from "../../ort/tensor/tensor_source.ts";
import type { StateParts } from "../optimizer.ts";
import { overlap, type Range } from "./buckets.ts";
import { segmentsOf, type TensorParts } from "./tensor_parts.ts";
import { createPartsFile, type PartsFile, writeParts } from "./write_parts.ts";

/** Bytes of one tensor. */
interface Asked extends Range {
  readonly name: string;
}

/** What the first process asks the others for; nothing when it needs no more. */
interface Request {
  readonly read?: Asked;
  /** The path of a file to be written together. */
  readonly write?: string;
}

/** The whole of all processes' parts. */
export class SharedTensors implements StateParts {
  readonly #parts: TensorParts;
  readonly #comm: Comm;
  /** Ends when the last read that was asked for has; the others follow one at a time. */
  #reading = Promise.resolve();

  /** Asks for nothing yet. */
  constructor(parts: TensorParts, comm: Comm) {
    this.#parts = parts;
    this.#comm = comm;
  }

  /** The whole, for the first process to read while the others wait in {@linkcode SharedTensors.settle}. */
  source(): TensorSource {
    const parts = this.#parts;
    return {
      names: () => parts.names(),
      info: (name) => parts.info(name),
      read: async (name: string, into: Uint8Array, start = 0): Promise<void> => {
        checkTensorRange(name, tensorBytes(parts.info(name)), into, start);
        const read = { name, start, length: into.byteLength };
        this.#reading = this.#reading.then(async () => {
          await this.#ask({ read });
          await this.#gather(read, into);
        });
        await this.#reading;
      },
    };
  }

  async settle(): Promise<void> {
    for (;;) {
      const { read, write } = await this.#ask({});
      if (read) await this.#gather(read, new Uint8Array(read.length));
      else if (write === undefined) return;
      // What fails there is told by the first process, and where processes are gone, the next call fails.
      else await this.#writeOwn(write).then((made) => made?.file).catch(() => {});
    }
  }

  async write(path: string): Promise<PartsFile | undefined> {
    const staged = `${path}.${crypto.randomUUID()}.tmp`;
    await createPartsFile(staged, this.#parts);
    await this.#ask({ write: staged });
    const made = await this.#writeOwn(staged);
    const finish = async (): Promise<WrittenBytes | undefined> => {
      const written = await made?.file;
      if (written) await Deno.rename(staged, path);
      else await Deno.remove(staged);
      return written;
    };
    if (!made) return void await finish();
    const file = finish();
    // Told of when it is asked for.
    file.catch(() => {});
    return { file };
  }

  #writeOwn(path: string): Promise<PartsFile | undefined> {
    return writeParts(path, this.#parts, this.#comm);
  }

  /** Answers what the first process asks for. */
  #ask(request: Request): Promise<Request> {
    return broadcastJson(this.#comm, request);
  }

  /** Puts bytes together from all processes' parts. */
  async #gather({ name, start, length }: Asked, into: Uint8Array): Promise<void> {
    const { rank, size } = this.#comm;
    let [from, until, last] = [0, 0, 0];
    let counts: number[] = Array(size).fill(0);
    const flush = async (): Promise<void> => {
      if (until > from) await this.#comm.allGather(into.subarray(from, until), counts);
      [from, last, counts] = [until, 0, Array(size).fill(0)];
    };
    for (const segment of segmentsOf(this.#parts, name, size)) {
      const part = overlap(segment, { start, length });
      if (part.length === 0) continue;
      // One call takes parts in the order of the processes.
      if (segment.rank < last) await flush();
      const at = part.start - start;
      if (segment.rank === rank) {
        this.#parts.readOwn(name, into.subarray(at, at + part.length), part.start);
      }
      counts[segment.rank] += part.length;
      until = at + part.length;
      last = segment.rank;
    }
    await flush();
  }
}
