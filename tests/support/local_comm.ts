/**
 * Processes that train together, as tasks of one process. In: a number. Out: a `Comm` each, whose calls
 * wait for one another; sums go in the order of the ranks, so that all get the same bits.
 */

import type { Comm } from "../../comm/comm.ts";
import { soloComm } from "../../comm/solo_comm.ts";

type Values = Float32Array | Float64Array | Uint8Array;

/** What one rank brought to a meeting. */
interface Call {
  readonly kind: string;
  readonly values: Values;
  readonly done: () => void;
  readonly failed: (cause: Error) => void;
}

/** A call of one rank, for a test to look at. */
export interface LocalCall {
  readonly rank: number;
  readonly kind: string;
  readonly length: number;
}

/** Makes the processes; each call is told to `onCall`. */
export function localComms(size: number, onCall: (call: LocalCall) => void = () => {}): Comm[] {
  const meetings = new Map<number, Call[]>();
  const meet = (
    { rank, index, kind, values }: {
      rank: number;
      index: number;
      kind: string;
      values: Values;
    },
    work: (all: readonly Values[]) => void,
  ): Promise<void> => {
    onCall({ rank, kind, length: values.length });
    const calls = meetings.get(index) ?? [];
    meetings.set(index, calls);
    return new Promise((done, failed) => {
      calls[rank] = { kind, values, done, failed };
      if (Object.keys(calls).length < size) return;
      meetings.delete(index);
      const unlike = calls.find((call) =>
        call.kind !== kind || call.values.length !== values.length
      );
      if (unlike) {
        const words = calls.map((call) => `${call.kind} of ${call.values.length}`);
        const cause = new Error(`ranks call different things: ${words.join(", ")}`);
        return calls.forEach((call) => call.failed(cause));
      }
      work(calls.map((call) => call.values));
      calls.forEach((call) => call.done());
    });
  };
  return Array.from({ length: size }, (_, rank): Comm => {
    let index = 0;
    const next = () => ({ rank, index: index++ });
    const offsets = (counts: readonly number[]): number[] =>
      counts.map((_, i) => counts.slice(0, i).reduce((sum, each) => sum + each, 0));
    const sumInto = (all: readonly Values[], start: number, end: number): number[] => {
      return Array.from({ length: end - start }, (_, i) =>
        all.reduce((sum, each) => {
          const next = sum + each[start + i];
          return each instanceof Float32Array ? Math.fround(next) : next;
        }, 0));
    };
    return {
      rank,
      size,
      localRank: rank,
      localSize: size,
      name: "tasks of one process",
      traffic: soloComm().traffic,
      allReduceSum: (values) =>
        meet({ ...next(), kind: "allReduceSum", values }, (all) => {
          const sums = sumInto(all, 0, values.length);
          for (const each of all) each.set(sums);
        }),
      reduceScatterSum: (values, counts) =>
        meet({ ...next(), kind: `reduceScatterSum ${counts}`, values }, (all) => {
          const sums = offsets(counts).map((at, r) => sumInto(all, at, at + counts[r]));
          all.forEach((each, r) => {
            each.fill(NaN);
            each.set(sums[r], offsets(counts)[r]);
          });
        }),
      allGather: (values, counts) =>
        meet({ ...next(), kind: `allGather ${counts}`, values }, (all) => {
          const parts = offsets(counts).map((at, r) => all[r].slice(at, at + counts[r]));
          for (const each of all) {
            offsets(counts).forEach((at, r) => each.set(parts[r], at));
          }
        }),
      broadcast: (values, root = 0) =>
        meet({ ...next(), kind: `broadcast ${root}`, values }, (all) => {
          all.forEach((each) => each.set(all[root]));
        }),
      barrier: () => meet({ ...next(), kind: "barrier", values: new Uint8Array(0) }, () => {}),
      abort: (message): never => {
        throw new Error(message);
      },
      [Symbol.asyncDispose]: async () => {},
    };
  });
}
