/**
 * A full fine-tuning step at Qwen3-0.6B's shapes on this machine: one process of all cores beside several of
 * a share each, by each MPI that is installed. Prints a table; bytes are those of the arrays handed to
 * collectives, an update.
 *
 *     deno run -A bench/mpi_step.ts                # 2 ranks, 12 layers, about 6 GB a rank
 *     deno run -A bench/mpi_step.ts --ranks 4 --layers 28 --rows 8 --shard-only
 */

import { parseArgs } from "node:util";
import type { Comm, CommTraffic } from "../comm/comm.ts";
import { openComm } from "../comm/open_comm.ts";
import { processorShare } from "../comm/processor_share.ts";
import { soloComm } from "../comm/solo_comm.ts";
import type { Batch } from "../data/batches/collator.ts";
import { parseConfig } from "../model/config.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { assembleTrainer } from "../train/trainers/assemble_trainer.ts";
import { environment } from "../tests/mpi/environment.ts";
import { mpirun, mpis } from "../tests/support/mpirun.ts";
import { median, peakMemory, QWEN3_06B, randomWeights } from "./measure.ts";

const STEPS = 3;

const { values } = parseArgs({
  options: {
    ranks: { type: "string", default: "2" },
    layers: { type: "string", default: "12" },
    rows: { type: "string", default: "4" },
    length: { type: "string", default: "512" },
    "shard-only": { type: "boolean", default: false },
    // Of the processes that this starts.
    rank: { type: "string" },
    shard: { type: "boolean", default: false },
  },
});

const LENGTH = Number(values.length);

/** What a way of training took. */
interface Measured {
  readonly name: string;
  readonly threads: number;
  /** Seconds of a step, the middle of some. */
  readonly step: number;
  /** The same where collectives do nothing: what computing alone takes. */
  readonly alone: number;
  /** Seconds in collectives, an update. */
  readonly inside: number;
  /** Bytes handed to them, an update. */
  readonly bytes: number;
  readonly parameters: number;
  readonly peak: number;
}

function batches(): Batch[] {
  return Array.from({ length: Number(values.rows) }, (_, row) => {
    const id = (i: number): number => (i * 293 + row * 31) % 151936;
    const counted = Array.from({ length: LENGTH }, (_, i) => i);
    return {
      rows: 1,
      length: LENGTH,
      inputIds: BigInt64Array.from(counted, (i) => BigInt(id(i))),
      positionIds: BigInt64Array.from(counted, BigInt),
      segmentIds: new Int32Array(LENGTH).fill(1),
      targets: Int32Array.from(counted, (i) => id(i + 1)),
      examples: 1,
      tokens: LENGTH,
      supervised: LENGTH,
    };
  });
}

/** The same processes, whose collectives do nothing. */
function silent({ rank, size }: Comm): Comm {
  const nothing = () => Promise.resolve();
  const collectives = { allReduceSum: nothing, reduceScatterSum: nothing, allGather: nothing };
  return { ...soloComm(), ...collectives, rank, size };
}

const sum = (traffic: CommTraffic, of: "bytes" | "seconds"): number =>
  Object.values(traffic).reduce((total, each) => total + each[of], 0);

async function measure(): Promise<void> {
  await using comm = values.rank === "one" ? soloComm() : await openComm("mpi", { environment });
  const { threads } = await processorShare(comm);
  using runtime = new Runtime({ threads });
  const config = parseConfig({ ...QWEN3_06B.raw, num_hidden_layers: Number(values.layers) });
  const rows = batches();
  const times: Record<"with" | "without", number[]> = { with: [], without: [] };
  let traffic = { bytes: 0, seconds: 0 };
  let parameters = 0;
  for (const way of comm.size > 1 ? ["without", "with"] as const : ["with"] as const) {
    const store = randomWeights(runtime, config);
    parameters = store.layout.length;
    await using trainer = await assembleTrainer({
      method: "full",
      config,
      store,
      weights: store,
      save: () => Promise.reject(new Error("Cannot save: this only measures")),
      load: () => Promise.resolve(),
      [Symbol.dispose]: () => store[Symbol.dispose](),
    }, {
      runtime,
      format: "float32",
      comm: way === "with" ? comm : silent(comm),
      shardOptimizer: values.shard,
    });
    for (let step = 0; step <= STEPS; step++) {
      await comm.barrier();
      const before = {
        ...traffic,
        bytes: sum(comm.traffic, "bytes"),
        seconds: sum(comm.traffic, "seconds"),
      };
      const began = performance.now();
      await trainer.trainStep(rows, { learningRate: 1e-6 });
      // The first step compiles the graphs.
      if (step > 0) times[way].push((performance.now() - began) / 1000);
      if (way === "with") {
        traffic = {
          bytes: sum(comm.traffic, "bytes") - before.bytes,
          seconds: sum(comm.traffic, "seconds") - before.seconds,
        };
      }
    }
  }
  const measured: Measured = {
    name: comm.name,
    threads,
    step: median(times.with),
    alone: median(comm.size > 1 ? times.without : times.with),
    inside: traffic.seconds,
    bytes: traffic.bytes,
    parameters,
    peak: peakMemory(),
  };
  if (comm.rank === 0) console.log(JSON.stringify(measured));
}

async function run(command: string, args: string[]): Promise<Measured> {
  const { stdout, stderr, code } = await new Deno.Command(command, { args }).output();
  const decoder = new TextDecoder();
  if (code !== 0) throw new Error(`Cannot measure: ${decoder.decode(stderr)}`);
  return JSON.parse(decoder.decode(stdout).split("\n").find((line) => line.startsWith("{"))!);
}

async function compare(): Promise<void> {
  const { ranks, layers, rows, length } = values;
  const sizes = ["--ranks", ranks, "--layers", layers, "--rows", rows, "--length", length];
  const own = new URL(import.meta.url).pathname;
  const one = await run(Deno.execPath(), ["run", "-A", own, ...sizes, "--rank", "one"]);
  console.log(`${one.parameters} parameters, ${rows} rows of ${LENGTH} tokens an update`);
  console.log(
    "| processes | step, s | to one | computing alone, s | in collectives, s | waited for, s | hidden | GB an update | MiB a process |",
  );
  console.log("|---|---:|---:|---:|---:|---:|---:|---:|---:|");
  console.log(
    `| 1 of ${one.threads} threads | ${one.step.toFixed(2)} | 1 | | | | | | ${
      one.peak.toFixed(0)
    } |`,
  );
  for (const mpi of mpis) {
    for (const shard of values["shard-only"] ? [true] : [false, true]) {
      const args = [...sizes, "--rank", "one of several", ...shard ? ["--shard"] : []];
      await using process = mpirun(mpi, "bench/mpi_step.ts", {
        ranks: Number(ranks),
        args,
        permissions: ["--allow-all"],
        env: { MPIEXEC_TIMEOUT: "3600" },
      });
      const { code, text } = await process.ended();
      if (code !== 0) throw new Error(`Cannot measure: ${text}`);
      const m: Measured = JSON.parse(text.split("\n").find((line) => line.startsWith("{"))!);
      const waited = Math.max(0, m.step - m.alone);
      console.log(
        `| ${ranks} of ${m.threads} by ${m.name}${shard ? ", sharded" : ""} | ${
          m.step.toFixed(2)
        } | ` +
          `${(m.step / one.step).toFixed(2)} | ${m.alone.toFixed(2)} | ${m.inside.toFixed(2)} | ` +
          `${waited.toFixed(2)} | ${(100 * Math.max(0, 1 - waited / m.inside)).toFixed(0)} % | ` +
          `${(m.bytes / 1e9).toFixed(3)} | ${m.peak.toFixed(0)} |`,
      );
    }
  }
}

if (values.rank === undefined) await compare();
else await measure();
