/**
 * What collectives between two ranks of this machine take, by each MPI that is installed. GB/s is the
 * array's bytes by the seconds of a call.
 *
 *     deno run -A bench/mpi_sums.ts                 # 2 ranks
 *     deno run -A bench/mpi_sums.ts --ranks 4
 */

import { openComm } from "../comm/open_comm.ts";
import { mpirun, mpis } from "../tests/support/mpirun.ts";
import { environment } from "../tests/mpi/environment.ts";

const MEGABYTES = [16, 64, 256];
const SMALL_BYTES = 1000;
const SMALL_CALLS = 300;
const TURNS = 9;

async function asRank(): Promise<void> {
  await using comm = await openComm("mpi", { environment });
  const { rank, size } = comm;
  const say = (line: string): void => {
    if (rank === 0) console.log(line);
  };
  say(`${comm.name}, ${size} ranks`);
  const median = async (turns: number, call: () => Promise<void>): Promise<number> => {
    const times: number[] = [];
    for (let turn = 0; turn <= turns; turn++) {
      await comm.barrier();
      const began = performance.now();
      await call();
      if (turn > 0) times.push(performance.now() - began);
    }
    return times.sort((a, b) => a - b)[turns >> 1];
  };
  const small = new Float32Array(SMALL_BYTES / 4);
  const latency = await median(SMALL_CALLS, () => comm.allReduceSum(small));
  say(`  allReduceSum      1 kB  ${(latency * 1000).toFixed(0).padStart(7)} µs`);
  for (const megabytes of MEGABYTES) {
    const values = new Float32Array(megabytes * 1e6 / 4);
    const bytes = new Uint8Array(values.buffer);
    const counts = Array.from({ length: size }, (_, each) => {
      const [start, end] = [each, each + 1].map((at) => Math.floor(values.length * at / size));
      return end - start;
    });
    for (
      const [name, call] of [
        ["allReduceSum", () => comm.allReduceSum(values)],
        ["reduceScatterSum", () => comm.reduceScatterSum(values, counts)],
        ["allGather", () => comm.allGather(values, counts)],
        ["broadcast", () => comm.broadcast(bytes)],
      ] as const
    ) {
      const time = await median(TURNS, call);
      say(
        `  ${name.padEnd(16)} ${`${megabytes}`.padStart(3)} MB ${time.toFixed(1).padStart(7)} ms ` +
          `${(megabytes / time).toFixed(2).padStart(6)} GB/s`,
      );
    }
  }
}

if (Deno.args[0] === "rank") await asRank();
else {
  const at = Deno.args.indexOf("--ranks");
  const ranks = at < 0 ? 2 : Number(Deno.args[at + 1]);
  if (mpis.length === 0) throw new Error("Cannot measure: apt install openmpi-bin mpich");
  for (const mpi of mpis) {
    const run = mpirun(mpi, "bench/mpi_sums.ts", { ranks, args: ["rank"] });
    const { code, text } = await run.ended();
    console.log(text.trimEnd());
    if (code !== 0) Deno.exit(code);
  }
}
