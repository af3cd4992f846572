/**
 * Ranks killed or stopped at random moments of a run, saves and evaluations among them.
 *
 *     deno run -A bench/reliability/rank_kills.ts [--kills 50] [--seed 1]
 *
 * Out: a row an MPI for RESULTS.md, and exit code 1 where processes were left, checkpoints lost, an end took
 * more than 30 s, or a run that went on ended in other bytes.
 */

import { parseArgs } from "node:util";
import { listCheckpoints } from "../../train/checkpoints/checkpoint.ts";
import { folderHashes } from "../../tests/support/folder_hashes.ts";
import { type Mpi, mpirun, mpis, rankProcesses } from "../../tests/support/mpirun.ts";
import type { RunningProcess } from "../../tests/support/process.ts";
import { quickstartFolder } from "../../tests/support/quickstart_folder.ts";
import { lostCheckpoints } from "./kills.ts";
import { type Random, seededRandom } from "./random.ts";

const RANKS = 3;
const STEPS = 12;
const MOST_SECONDS = 30;
/** One in so many is stopped in place of killed: that takes the others 20 s to notice. */
const STOPPED = 5;
const FLAGS =
  `--model models/tiny --train-file data/train.jsonl --validation-file data/val.jsonl --max-length 512 ` +
  `--max-steps ${STEPS} --save-steps 1 --save-total-limit 2 --eval-steps 3 --logging-steps 4 ` +
  "--prediction-samples 0 --report-to tensorboard --shard-optimizer";

const { values } = parseArgs({
  options: {
    kills: { type: "string", default: "50" },
    seed: { type: "string", default: "1" },
  },
});
const findings: string[] = [];

function start(
  mpi: Mpi,
  cwd: string,
  output: string,
  more: readonly string[] = [],
): RunningProcess {
  const args = [...FLAGS.split(" "), "--output-dir", output, ...more];
  return mpirun(mpi, "cli/commands/train.ts", {
    ranks: RANKS,
    permissions: ["--allow-all"],
    args,
    cwd,
  });
}

const weights = (folder: string, output: string) =>
  folderHashes(`${folder}/${output}/checkpoint-${STEPS}`);

/** Whether a checkpoint was being written when a run ended. */
async function isStaged(output: string): Promise<boolean> {
  // It may have ended before there was an output folder.
  const entries = await Array.fromAsync(Deno.readDir(output)).catch(() => []);
  return entries.some(({ name }) => name.startsWith(".staging-checkpoint-"));
}

/** Kills or stops a rank; answers how long the others took to end, or undefined where the run was over. */
async function harm(
  run: RunningProcess,
  folder: string,
  { after, random }: { readonly after: number; readonly random: Random },
): Promise<number | undefined> {
  const over = await Promise.race([
    run.ended().then(() => true),
    new Promise<false>((resolve) => setTimeout(() => resolve(false), after)),
  ]);
  const ranks = over ? [] : await rankProcesses(folder);
  if (ranks.length < RANKS) {
    await run.ended();
    return undefined;
  }
  // Before all have joined nobody can tell that one is stopped, but by a limit of minutes.
  const joined = /processes by/.test(run.text);
  const signal = random.oneIn(STOPPED) && joined ? "SIGSTOP" : "SIGKILL";
  const began = performance.now();
  try {
    Deno.kill(random.pick(ranks), signal);
  } catch {
    await run.ended();
    return undefined;
  }
  await run.ended();
  return (performance.now() - began) / 1000;
}

async function campaign(mpi: Mpi, kills: number, seed: number): Promise<void> {
  const random = seededRandom(seed, mpis.indexOf(mpi));
  await using folder = await quickstartFolder();
  const began = performance.now();
  {
    await using run = start(mpi, folder.path, "output/whole");
    const { code, text } = await run.ended();
    if (code !== 0) throw new Error(text);
  }
  let length = performance.now() - began;
  const whole = await weights(folder.path, "output/whole");
  let [done, saving, compared, slowest] = [0, 0, 0, 0];
  for (let chain = 0; done < kills; chain++) {
    const output = `output/${chain}`;
    const path = `${folder.path}/${output}`;
    for (let tries = 0;; tries++) {
      const resume = (await listCheckpoints(path)).length > 0 ? ["--resume-from-checkpoint"] : [];
      await using run = start(mpi, folder.path, output, resume);
      // Of a chain the last run is left alone.
      const left = done === kills || tries > 4;
      const after = left ? Infinity : (0.25 + 0.75 * random.below(1000) / 1000) * length;
      const seconds = left ? undefined : await harm(run, folder.path, { after, random });
      const { code, text } = await run.ended();
      const there = await rankProcesses(folder.path);
      if (there.length > 0) {
        await new Promise((resolve) => setTimeout(resolve, 2000));
        const still = await rankProcesses(folder.path);
        if (still.length > 0) findings.push(`${mpi.name}: processes ${still} are left`);
        for (const each of still) Deno.kill(each, "SIGKILL");
      }
      findings.push(...await lostCheckpoints(path, text));
      if (seconds === undefined) {
        if (code !== 0) findings.push(`${mpi.name}: exit code ${code}: ${text.slice(-400)}`);
        // It was over before its moment came: runs have become faster.
        if (!left) length *= 0.8;
        break;
      }
      done++;
      if (await isStaged(path)) saving++;
      slowest = Math.max(slowest, seconds);
      if (seconds > MOST_SECONDS) findings.push(`${mpi.name}: an end took ${seconds} s`);
      if (code === 0) findings.push(`${mpi.name}: exit code 0 though a rank was killed`);
      if ((await listCheckpoints(path)).at(-1)?.step === STEPS) break;
    }
    const made = await weights(folder.path, output).catch(() => ({}));
    const names = Object.keys({ ...whole, ...made });
    const other = names.filter((name) => (made as Record<string, string>)[name] !== whole[name]);
    if (other.length > 0) findings.push(`${mpi.name}: other bytes in ${other.join(", ")}`);
    compared++;
    await Deno.remove(path, { recursive: true });
  }
  const seconds = (performance.now() - began) / 1000;
  console.log(
    `| ${RANKS} ranks by ${mpi.name} | ${done} | ${saving} | ${compared} | ${
      slowest.toFixed(1)
    } | ${seconds.toFixed(0)} |`,
  );
}

console.log(
  "| Killed or stopped | kills | in a save | compared | slowest end, s | seconds |\n|---|---:|---:|---:|---:|---:|",
);
for (const mpi of mpis) {
  await campaign(mpi, Math.ceil(Number(values.kills) / mpis.length), Number(values.seed));
}
console.log(`\n${findings.length} findings`);
for (const finding of findings) console.log(`- ${finding}`);
if (findings.length > 0) Deno.exitCode = 1;
