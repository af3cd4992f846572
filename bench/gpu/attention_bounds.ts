/**
 * What bounds the attention kernels on an H200, calculated: `deno run -A bench/gpu/attention_bounds.ts`. No GPU
 * is needed, and nothing is measured.
 *
 * In: how a block of each kernel divides its tile among warps, today and with 16 rows a warp as before. Out: a
 * table of loads and products, and one of what the workload's segments take, with what masks throw away and
 * with multiprocessors that run out of blocks.
 *
 * A turn takes a multiprocessor the cycles of its shared memory (pieces of operands that warps load, what they
 * exchange, and the tile that is copied in) or of its tensor cores, whichever is longer; a warp that sees
 * nothing of a turn takes none. Instructions, waits and what the second level of cache gives come on top.
 */

import { segmentBounds } from "../../ort/kernels/attention_kernels.ts";
import { batchesOfLengths } from "./workload.ts";

const MULTIPROCESSORS = 132;
const HERTZ = 1.75e9;
/** Of shared memory, bytes a cycle, and of one load of four 8×8 matrices. */
const SHARED_BYTES = 128, LOAD_BYTES = 512;
/** Of an m16n8k16, and of a multiprocessor in a cycle: mma.sync gives about 600 TFLOP/s, wgmma 989. */
const PRODUCT_FLOP = 4096, FLOP_A_CYCLE = 600e12 / MULTIPROCESSORS / HERTZ;

/** How a block of four warps divides its tile and one turn of what it walks. */
interface Division {
  /** Rows of the tile, and of what it walks in a turn. */
  readonly tile: number;
  readonly step: number;
  /** What a warp computes of tile and turn. */
  readonly rows: number;
  readonly columns: number;
  /** Products of a warp that end in scores, and that begin with them. */
  readonly compares: number;
  readonly mixes: number;
  /** Whether its own operand stays in registers. @default false */
  readonly held?: boolean;
  /** Bytes of scores that it writes for another warp, or reads of one, for each score. @default 0 */
  readonly exchanged?: number;
  /** Whether warps pass over what their rows do not see. @default false */
  readonly passes?: boolean;
  /** Blocks that a multiprocessor holds, by registers and shared memory. */
  readonly blocks: number;
}

type Kernel = "forward" | "queries" | "keys";

/** With 16 rows a warp, until 2026-11-28. */
const BEFORE = (headDim: number): Record<Kernel, Division> => {
  const own = { tile: 64, rows: 16 };
  const back = headDim === 64 ? 64 : 32;
  return {
    forward: { ...own, step: 64, columns: 64, compares: 1, mixes: 1, held: true, blocks: 3 },
    queries: {
      ...{ ...own, step: back, columns: back, compares: 2, mixes: 1 },
      blocks: headDim === 64 ? 4 : 3,
    },
    keys: {
      ...{ ...own, step: back, columns: back, compares: 2, mixes: 2 },
      blocks: headDim === 64 ? 3 : 2,
    },
  };
};

const NOW = (headDim: number): Record<Kernel, Division> => {
  const all = { rows: 32, passes: true, blocks: 2 };
  const back = headDim === 64 ? 64 : 32;
  return {
    forward: { ...all, tile: 128, step: 64, columns: 64, compares: 1, mixes: 1 },
    queries: { ...all, tile: 64, step: 64, columns: 32, compares: 2, mixes: 1 },
    // Of two warps one has weights and dV, the other slopes and dK.
    keys: { ...all, tile: 64, step: back, columns: back, compares: 1, mixes: 1, exchanged: 4 },
  };
};

/** Products of a whole kernel, counted as bench/gpu/roofline.ts does. */
const PRODUCTS: Record<Kernel, number> = { forward: 2, queries: 3, keys: 4 };

/** Of a warp's turn: loads of four matrices, and tensor-core products. */
function loadsOf({ rows, columns, compares, mixes, held }: Division, headDim: number): number {
  const compared = (held ? 0 : rows / 16) + columns / 16;
  return headDim / 16 * (compares * compared + mixes * columns / 16);
}

function productsOf({ rows, columns, compares, mixes }: Division, headDim: number): number {
  return headDim / 16 * (rows / 16) * (columns / 8) * (compares + mixes);
}

/** Bytes that a turn copies in, of two operands. */
const copiedBytes = ({ step }: Division, headDim: number): number => 2 * step * headDim * 2;

/** Cycles of a block's turn in which so many warps take part. */
function cyclesOf(division: Division, headDim: number, warps: number): number {
  const { rows, columns, exchanged = 0 } = division;
  const bytes = loadsOf(division, headDim) * LOAD_BYTES + rows * columns * exchanged;
  return Math.max(
    (copiedBytes(division, headDim) + warps * bytes) / SHARED_BYTES,
    warps * productsOf(division, headDim) * PRODUCT_FLOP / FLOP_A_CYCLE,
  );
}

const WARPS = 4;

/** FLOP a cycle of a multiprocessor whose warps all take part. */
function boundOf(division: Division, headDim: number): number {
  return WARPS * productsOf(division, headDim) * PRODUCT_FLOP /
    cyclesOf(division, headDim, WARPS);
}

/** Cycles of each block of one head, in the order they begin. */
function blocksOf(
  kernel: Kernel,
  division: Division,
  headDim: number,
  { starts, ends }: ReturnType<typeof segmentBounds>,
): number[] {
  const { tile, step, rows, columns, passes } = division;
  const tokens = starts.length;
  const across = step / columns, sharing = WARPS / across / (tile / rows);
  const blocks = Array.from({ length: Math.ceil(tokens / tile) }, (_, block) => {
    const first = block * tile, last = Math.min(first + tile, tokens) - 1;
    const [from, until] = kernel === "keys" ? [first, ends[last]] : [starts[first], last + 1];
    let cycles = 0;
    for (let at = from; at < until; at += step) {
      let warps = 0;
      for (let row = first; row < first + tile; row += rows) {
        for (let column = at; column < at + step; column += columns) {
          const sees = kernel === "keys"
            ? column + columns > row && starts[column] < row + rows
            : row < tokens && column < row + rows && column + columns > starts[row];
          if (!passes || sees) warps += sharing;
        }
      }
      cycles += cyclesOf(division, headDim, warps);
    }
    return cycles;
  });
  return kernel === "keys" ? blocks : blocks.reverse();
}

/** When the last block ends, if a multiprocessor's blocks share it equally and each takes the next free place. */
function lastEnd(blocks: readonly number[], places: number, share: number): number {
  const ends = new Float64Array(places);
  for (const block of blocks) {
    const next = ends.indexOf(Math.min(...ends));
    ends[next] += block * share;
  }
  return Math.max(...ends);
}

const tera = (flopACycle: number): string =>
  (flopACycle * MULTIPROCESSORS * HERTZ / 1e12).toFixed(0);

console.log(
  "| heads of, kernel | tile × turn | a warp's | loads a turn | products | FLOP a byte copied in | TFLOP/s by loads alone | with copies and exchange |",
);
console.log("|---|---|---|---|---|---|---|---|");
for (const headDim of [128, 64]) {
  const [before, now] = [BEFORE(headDim), NOW(headDim)];
  for (const kernel of Object.keys(now) as Kernel[]) {
    const cells = [before[kernel], now[kernel]].map((division) => {
      const { tile, step, rows, columns } = division;
      const loads = loadsOf(division, headDim), products = productsOf(division, headDim);
      const flop = products * PRODUCT_FLOP;
      return [
        `${tile} × ${step}`,
        `${rows} × ${columns}`,
        loads,
        products,
        (WARPS * flop / copiedBytes(division, headDim)).toFixed(0),
        tera(Math.min(FLOP_A_CYCLE, flop / (loads * LOAD_BYTES / SHARED_BYTES))),
        tera(boundOf(division, headDim)),
      ];
    });
    console.log(
      `| ${headDim}, ${kernel} | ${
        cells[0].map((cell, i) => `${cell} → ${cells[1][i]}`).join(" | ")
      } |`,
    );
  }
}

const [headDim, heads, kvHeads] = [128, 16, 8];
const lengthsOf = (examples: number): number[] =>
  batchesOfLengths({ examples, maxLength: 2048, batches: 1 })[0].map(({ tokens }) => tokens);
const CASES: Record<string, readonly number[]> = {
  "4 examples of the data set": lengthsOf(4),
  "16 of them": lengthsOf(16),
  "64 of them": lengthsOf(64),
  "2 segments of 1,024": [1024, 1024],
  "8 segments of 1,024": Array(8).fill(1024),
  "1 segment of 8,192": [8192],
};
console.log(
  "\n| segments, 16 heads of 128 over 8 | tokens | kernel | computed ÷ seen | TFLOP/s of what is seen | with places that stay empty |",
);
console.log("|---|---|---|---|---|---|");
for (const [name, lengths] of Object.entries(CASES)) {
  const tokens = lengths.reduce((sum, each) => sum + each, 0);
  const bounds = segmentBounds(
    Int32Array.from(lengths.flatMap((length, i) => Array(length).fill(i + 1))),
    tokens,
  );
  const pairs = lengths.reduce((sum, each) => sum + each * (each + 1) / 2, 0);
  for (const kernel of Object.keys(PRODUCTS) as Kernel[]) {
    const flop = PRODUCTS[kernel] * 2 * headDim * pairs * heads;
    const cells = [BEFORE, NOW].map((divisions) => {
      const division = divisions(headDim)[kernel];
      const perHead = blocksOf(kernel, division, headDim, bounds);
      const [rows, repeats] = kernel === "keys" ? [kvHeads, heads / kvHeads] : [heads, 1];
      const blocks = Array.from({ length: rows }, () => perHead).flat()
        .map((cycles) => cycles * repeats);
      const total = blocks.reduce((sum, each) => sum + each, 0);
      const end = lastEnd(blocks, MULTIPROCESSORS * division.blocks, division.blocks);
      return [
        (total * boundOf(division, headDim) / flop).toFixed(2),
        tera(flop / total),
        tera(flop / end / MULTIPROCESSORS),
      ];
    });
    console.log(
      `| ${name} | ${tokens} | ${kernel} | ${
        cells[0].map((cell, i) => `${cell} → ${cells[1][i]}`).join(" | ")
      } |`,
    );
  }
}
