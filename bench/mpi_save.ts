/**
 * A sharded checkpoint of Qwen3-0.6B's shapes between two ranks of this machine: weights and AdamW's state written
 * by both at their places of one file, beside the first rank that writes what the others send it. Prints a table.
 *
 *     deno run -A bench/mpi_save.ts                # 4 layers, 2.6 GB a checkpoint
 *     deno run -A bench/mpi_save.ts --layers 28
 */

import { parseArgs } from "node:util";
import { openComm } from "../comm/open_comm.ts";
import { parseConfig } from "../model/config.ts";
import { ParameterStore } from "../model/engine/parameter_store.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { writeSafetensors, writeSafetensorsSharded } from "../ort/tensor/safetensors_writer.ts";
import { findOptimizer } from "../train/optimizers/optimizers.ts";
import { environment } from "../tests/mpi/environment.ts";
import { mpirun, mpis } from "../tests/support/mpirun.ts";
import { tempFolder } from "../tests/support/temp_folder.ts";
import { median, peakMemory, QWEN3_06B, randomWeights } from "./measure.ts";

const RANKS = 2;
const ROUNDS = 3;
const WAYS = ["sent to the first", "each its part"] as const;

const { values } = parseArgs({
  options: {
    layers: { type: "string", default: "4" },
    // Of the processes that this starts: where they write, and how.
    folder: { type: "string" },
    way: { type: "string" },
  },
});

/** What a way came to. */
interface Measured {
  readonly name: string;
  readonly bytes: number;
  readonly seconds: number;
  /** MiB that the first rank's peak grew by. */
  readonly grown: number;
}

async function measure(directory: string): Promise<void> {
  await using comm = await openComm("mpi", { environment });
  using runtime = new Runtime({ threads: 1 });
  const config = parseConfig({ ...QWEN3_06B.raw, num_hidden_layers: Number(values.layers) });
  using parameters = randomWeights(runtime, config);
  using gradients = new ParameterStore(runtime, parameters.layout);
  using optimizer = findOptimizer().make({
    ...{ runtime, parameters, gradients, format: "float32", maxGradNorm: 1, comm },
    graphsOnly: false,
    shard: true,
  });
  const before = peakMemory();
  const seconds: number[] = [];
  let bytes = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const folder = `${directory}/${round}`;
    await comm.barrier();
    const began = performance.now();
    if (comm.rank === 0) {
      await Deno.mkdir(folder);
      const path = `${folder}/optimizer.state`;
      const together = values.way === WAYS[1] ? await optimizer.parts!.write(path) : undefined;
      const files = await writeSafetensorsSharded(folder, parameters);
      const state = await together?.file ?? await writeSafetensors(path, optimizer.state());
      bytes = files.reduce((sum, each) => sum + each.bytes, state.bytes);
    }
    await optimizer.parts!.settle();
    seconds.push((performance.now() - began) / 1000);
    if (comm.rank === 0) await Deno.remove(folder, { recursive: true });
  }
  const measured: Measured = {
    name: comm.name,
    bytes,
    seconds: median(seconds),
    grown: peakMemory() - before,
  };
  if (comm.rank === 0) console.log(JSON.stringify(measured));
}

async function compare(): Promise<void> {
  console.log("| ranks | way | GB | s | to the first way | first rank's peak, MiB more |");
  console.log("|---|---|---:|---:|---:|---:|");
  for (const mpi of mpis) {
    let first: number | undefined;
    for (const way of WAYS) {
      await using folder = await tempFolder();
      const args = ["--layers", values.layers, "--folder", folder.path, "--way", way];
      const options = { ranks: RANKS, args, permissions: ["--allow-all"] };
      const env = { MPIEXEC_TIMEOUT: "1800" };
      await using process = mpirun(mpi, "bench/mpi_save.ts", { ...options, env });
      const { code, text } = await process.ended();
      if (code !== 0) throw new Error(`Cannot measure: ${text}`);
      const m: Measured = JSON.parse(text.split("\n").find((line) => line.startsWith("{"))!);
      first ??= m.seconds;
      console.log(
        `| ${RANKS} by ${m.name} | ${way} | ${(m.bytes / 1e9).toFixed(2)} | ${
          m.seconds.toFixed(2)
        } | ${(m.seconds / first).toFixed(2)} | ${m.grown.toFixed(0)} |`,
      );
    }
  }
}

if (values.folder === undefined) await compare();
else await measure(values.folder);
