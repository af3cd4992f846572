/**
 * Runs collectives on a thread of its own, one after another, so that those that are queued go on while
 * the main thread computes.
 *
 * In: transfers by the addresses of their arrays. Out: a message at the end of each.
 */

import type { SLOTS } from "./heartbeat_worker.ts";
import type { MpiHandle } from "./mpi_handles.ts";
import type { MPI_SYMBOLS } from "./mpi_symbols.ts";
import type { Part } from "./parts.ts";
import type { WorkerPort } from "./start_worker.ts";

/** MPI functions of the worker. */
export const TRANSFER_FUNCTIONS = [
  "MPI_Allreduce",
  "MPI_Sendrecv",
  "MPI_Bcast",
  "MPI_Barrier",
  "reduceLocal",
] as const;

/** What the worker is started with. */
export interface TransferSetup {
  /** Path of the MPI library, and its functions as the family's handles need them. */
  readonly library: string;
  readonly symbols: Pick<typeof MPI_SYMBOLS, typeof TRANSFER_FUNCTIONS[number]>;
  /** A communicator that only transfers use. */
  readonly comm: MpiHandle;
  readonly sum: MpiHandle;
  readonly inPlace: bigint;
  readonly statusIgnore: bigint;
  readonly procNull: number;
  readonly rank: number;
  readonly size: number;
  readonly pieceBytes: number;
  /** Memory in which the heartbeats' worker sees what begins. */
  readonly slots: typeof SLOTS;
  readonly state: SharedArrayBuffer;
}

/** One collective. */
export interface Transfer {
  /** Its number from 1; 0 is none of the caller's. */
  readonly call: number;
  /** Its kind, as an index, for heartbeats. */
  readonly kind: number;
  readonly operation: "allReduce" | "reduceScatter" | "gather" | "broadcast" | "barrier";
  /** Of the array. */
  readonly address: bigint;
  /** Of an element. */
  readonly bytes: number;
  readonly type: MpiHandle;
  /** The whole array, or a part of it for each rank. */
  readonly parts: readonly Part[];
  readonly root: number;
}

/** How a transfer ended. */
export interface TransferEnd {
  readonly call: number;
  readonly seconds: number;
  /** Function and error code, where one failed. */
  readonly failed?: { readonly name: string; readonly code: number };
}

/** The worker's program: it must use nothing from outside of it. */
export function transferWorker(
  port: WorkerPort<Transfer, TransferEnd>,
  setup: TransferSetup,
): void {
  const TAG = 0;
  const { rank, size, comm, sum, pieceBytes, procNull, slots } = setup;
  const state = new BigInt64Array(setup.state);
  const { symbols: mpi } = Deno.dlopen(setup.library, setup.symbols);
  const inPlace = Deno.UnsafePointer.create(setup.inPlace);
  const statusIgnore = Deno.UnsafePointer.create(setup.statusIgnore);
  const none: Part = { start: 0, count: 0 };
  let buffers: readonly Uint8Array<ArrayBuffer>[] = [];
  let failed: TransferEnd["failed"];
  let tail = Promise.resolve();

  port.on("message", (transfer) => tail = tail.then(() => serve(transfer)));

  async function serve(transfer: Transfer): Promise<void> {
    const { call, kind } = transfer;
    const began = performance.now();
    if (failed === undefined) {
      if (call > 0) {
        Atomics.store(state, slots.kind, BigInt(kind));
        Atomics.store(state, slots.begun, BigInt(call));
      }
      await RUN[transfer.operation](transfer);
    }
    port.postMessage({ call, seconds: (performance.now() - began) / 1000, failed });
  }

  const RUN: Readonly<Record<Transfer["operation"], (transfer: Transfer) => void | Promise<void>>> =
    {
      allReduce({ address, bytes, type, parts: [whole] }) {
        for (const { start, count } of pieces(whole, bytes)) {
          const place = pointer(address, start * bytes);
          const code = mpi.MPI_Allreduce(inPlace, place, count, h(type), h(sum), h(comm));
          if (!check("MPI_Allreduce", code)) return;
        }
      },
      broadcast({ address, bytes, type, parts: [whole], root }) {
        for (const { start, count } of pieces(whole, bytes)) {
          const place = pointer(address, start * bytes);
          if (!check("MPI_Bcast", mpi.MPI_Bcast(place, count, h(type), root, h(comm)))) return;
        }
      },
      barrier() {
        check("MPI_Barrier", mpi.MPI_Barrier(h(comm)));
      },
      /** Each rank's part becomes the sum of all ranks', in rank order around the ring. */
      async reduceScatter({ address, bytes, type, parts }) {
        if (buffers.length === 0) {
          buffers = [new Uint8Array(pieceBytes), new Uint8Array(pieceBytes)];
        }
        const received = buffers.map((each) => Deno.UnsafePointer.of(each));
        let turn = 0;
        let adding = Promise.resolve(0);
        for (let step = 0; step < size - 1; step++) {
          for (const [out, into] of pairs(parts[left(step + 1)], parts[left(step + 2)], bytes)) {
            // One piece is added, on a thread of Deno's pool, while the next is under way.
            const buffer = received[turn];
            turn = 1 - turn;
            const sent = exchange(address, bytes, type, out, into, buffer);
            if (!check("MPI_Reduce_local", await adding) || !sent) return;
            adding = Promise.resolve(0);
            if (into.count === 0) continue;
            const place = pointer(address, into.start * bytes);
            adding = mpi.reduceLocal(buffer, place, into.count, h(type), h(sum));
          }
          if (!check("MPI_Reduce_local", await adding)) return;
          adding = Promise.resolve(0);
        }
      },
      /** Each rank's part goes around the ring, into its own place. */
      gather({ address, bytes, type, parts }) {
        for (let step = 0; step < size - 1; step++) {
          for (const [out, into] of pairs(parts[left(step)], parts[left(step + 1)], bytes)) {
            const place = pointer(address, into.start * bytes);
            if (!exchange(address, bytes, type, out, into, place)) return;
          }
        }
      },
    };

  /** A handle as the types have it: in MPICH it is a number. */
  function h(handle: MpiHandle): bigint {
    return handle as bigint;
  }

  function check(name: string, code: number): boolean {
    if (code !== 0) failed ??= { name, code };
    return failed === undefined;
  }

  function pointer(address: bigint, bytes: number): Deno.PointerValue {
    return Deno.UnsafePointer.create(address + BigInt(bytes));
  }

  /** The rank that many places to the left on the ring. */
  function left(places: number): number {
    return (rank - places + 2 * size) % size;
  }

  function pieces({ start, count }: Part, bytes: number): Part[] {
    const most = pieceBytes / bytes;
    return Array.from({ length: Math.ceil(count / most) }, (_, i) => ({
      start: start + i * most,
      count: Math.min(most, count - i * most),
    }));
  }

  /** Pieces of two parts side by side; the shorter one ends with empty pieces. */
  function pairs(out: Part, into: Part, bytes: number): (readonly [Part, Part])[] {
    const [sent, received] = [pieces(out, bytes), pieces(into, bytes)];
    return Array.from(
      { length: Math.max(sent.length, received.length) },
      (_, i) => [sent[i] ?? none, received[i] ?? none] as const,
    );
  }

  /** Sends a piece to the right and receives one from the left; an empty one has no message. */
  function exchange(
    address: bigint,
    bytes: number,
    type: MpiHandle,
    out: Part,
    into: Part,
    place: Deno.PointerValue,
  ): boolean {
    const code = mpi.MPI_Sendrecv(
      pointer(address, out.start * bytes),
      out.count,
      h(type),
      out.count === 0 ? procNull : left(-1),
      TAG,
      place,
      into.count,
      h(type),
      into.count === 0 ? procNull : left(1),
      TAG,
      h(comm),
      statusIgnore,
    );
    return check("MPI_Sendrecv", code);
  }
}
