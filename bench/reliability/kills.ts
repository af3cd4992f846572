/**
 * Commands killed at random moments. In: how many kills, and a seed. Out: counts, and what was lost,
 * damaged or different from commands that nobody killed.
 */

import { writeQuickstartData } from "../../examples/quickstart/write_dataset.ts";
import { writeQuickstartModel } from "../../examples/quickstart/quickstart_model.ts";
import { listCheckpoints, verifyCheckpoint } from "../../train/checkpoints/checkpoint.ts";
import { folderHashes } from "../../tests/support/folder_hashes.ts";
import { type Random, seededRandom } from "./random.ts";

const STEPS = 12;
const COMMON = "--model models/tiny --threads 2";
const TRAINING = `${COMMON} --train-file data/train.jsonl --max-length 512 --max-steps ${STEPS} ` +
  "--gradient-accumulation-steps 1 --save-steps 2 --save-total-limit 2 --logging-steps 4 " +
  "--prediction-max-new-tokens 1 --report-to tensorboard,swanlab";

/** What is killed, by name: the script and its flags. */
export const KILL_TARGETS = {
  full: { script: "train.ts", flags: TRAINING, resumes: true },
  lora: { script: "train_lora.ts", flags: TRAINING, resumes: true },
  merge: { script: "merge.ts", flags: `${COMMON} --adapter output/adapter`, resumes: false },
  export: {
    script: "export.ts",
    flags: `${COMMON} --no-parity --dtype fp32,q4`,
    resumes: false,
  },
} as const;

/** The name of what is killed. */
export type KillTarget = keyof typeof KILL_TARGETS;

/** What became of one command's kills. */
export interface KillCounts {
  readonly target: KillTarget;
  readonly kills: number;
  /** Runs that came to their end between the kills, and were compared. */
  readonly compared: number;
  readonly seconds: number;
}

/** What a campaign came to. */
export interface KillReport {
  readonly counts: readonly KillCounts[];
  /** A sentence for each fault. */
  readonly findings: readonly string[];
}

/** Options of {@linkcode kill}. */
export interface KillOptions {
  /** Kills of all commands together. */
  readonly kills: number;
  readonly seed: number;
  /** Which commands; all of them by default. */
  readonly targets?: readonly KillTarget[];
  /** Told of each command when it is done. */
  readonly onTarget?: (counts: KillCounts) => void;
}

/** Runs the campaign in a folder of its own. */
export async function kill(
  {
    kills,
    seed,
    targets = Object.keys(KILL_TARGETS) as KillTarget[],
    onTarget = () => {},
  }: KillOptions,
): Promise<KillReport> {
  const folder = await Deno.makeTempDir({ prefix: "ortune-kills-" });
  try {
    await writeQuickstartModel(`${folder}/models/tiny`, 1);
    await writeQuickstartData(`${folder}/data`);
    await run(folder, "lora", ["--output-dir", "output/adapter", "--max-steps", "2"]);
    const counts: KillCounts[] = [];
    const findings: string[] = [];
    for (const target of targets) {
      const random = seededRandom(seed, Object.keys(KILL_TARGETS).indexOf(target));
      const each = Math.ceil(kills / targets.length);
      counts.push(await killTarget(folder, target, { kills: each, random, findings }));
      onTarget(counts.at(-1)!);
    }
    return { counts, findings };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function killTarget(
  folder: string,
  target: KillTarget,
  { kills, random, findings }: { kills: number; random: Random; findings: string[] },
): Promise<KillCounts> {
  const began = performance.now();
  const { resumes } = KILL_TARGETS[target];
  const { milliseconds } = await run(folder, target, ["--output-dir", `output/${target}-whole`]);
  const whole = await result(folder, target, `${target}-whole`);
  let [done, compared] = [0, 0];
  for (let n = 0; done < kills; n++) {
    const output = `${target}-${n}`;
    const path = `${folder}/output/${output}`;
    const args = ["--output-dir", `output/${output}`];
    for (let tries = 0;; tries++) {
      const again = resumes && (await listCheckpoints(path)).length > 0;
      const resume = again ? ["--resume-from-checkpoint"] : [];
      // Of a chain of runs the last one is left alone.
      const last = done === kills || tries > 8;
      // Folders that are made in one go are written near the end of their commands.
      const [from, range] = resumes ? [0.2, 1] : [0.5, 0.6];
      const after = last ? undefined : (from + range * random.below(1000) / 1000) * milliseconds;
      const ended = await run(folder, target, [...args, ...resume], after);
      if (ended.killed) {
        done++;
        findings.push(
          ...resumes
            ? await lostCheckpoints(path, ended.text)
            : await partFolder(path, target, whole),
        );
        // What was done when it was killed is not done again.
        const whatIs = resumes
          ? (await listCheckpoints(path)).at(-1)?.step === STEPS
          : await isThere(path);
        if (!whatIs) continue;
        break;
      }
      if (ended.code !== 0) {
        findings.push(`${target}: exit code ${ended.code}: ${ended.text.slice(-300)}`);
      }
      break;
    }
    const made = await result(folder, target, output);
    const different = differences(whole, made);
    if (different.length > 0) findings.push(`${target}: other bytes in ${different.join(", ")}`);
    compared++;
    if (await isThere(path)) await Deno.remove(path, { recursive: true });
  }
  for await (const { name } of Deno.readDir(`${folder}/output`)) {
    if (name.startsWith(".")) findings.push(`${target}: ${name} is left over`);
  }
  return { target, kills: done, compared, seconds: (performance.now() - began) / 1000 };
}

/** Checkpoints that are damaged, or were told of and are not there. */
export async function lostCheckpoints(path: string, text: string): Promise<string[]> {
  const found = await listCheckpoints(path);
  const findings: string[] = [];
  for (const { directory } of found) {
    await verifyCheckpoint(directory).catch((cause) => findings.push(cause.message));
  }
  const told = Math.max(
    0,
    ...[...text.matchAll(/saved \S+checkpoint-(\d+) /g)].map(([, n]) => Number(n)),
  );
  const newest = found.at(-1)?.step ?? 0;
  if (newest < told) findings.push(`${path}: checkpoint-${told} is lost, the newest is ${newest}`);
  return findings;
}

/** A folder that is there and is not the whole one. */
async function partFolder(
  path: string,
  target: KillTarget,
  whole: Record<string, string>,
): Promise<string[]> {
  if (!await isThere(path)) return [];
  const different = differences(whole, await folderHashes(path));
  return different.length === 0 ? [] : [`${target}: a part is there: ${different.join(", ")}`];
}

async function result(
  folder: string,
  target: KillTarget,
  output: string,
): Promise<Record<string, string>> {
  const path = `${folder}/output/${output}`;
  return await folderHashes(KILL_TARGETS[target].resumes ? `${path}/checkpoint-${STEPS}` : path);
}

function differences(one: Record<string, string>, other: Record<string, string>): string[] {
  return Object.keys({ ...one, ...other }).filter((name) => one[name] !== other[name]);
}

async function isThere(path: string): Promise<boolean> {
  return await Deno.lstat(path).then(() => true, () => false);
}

/** Runs a command, and kills it after a time if it has not ended. */
async function run(
  folder: string,
  target: KillTarget,
  args: readonly string[],
  after?: number,
): Promise<{ code: number; killed: boolean; text: string; milliseconds: number }> {
  const { script, flags } = KILL_TARGETS[target];
  const began = performance.now();
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--quiet", "--no-prompt", "--no-check", "--cached-only", "--allow-all"],
      ...[`--config=${new URL("../../deno.json", import.meta.url).pathname}`],
      new URL(`../../cli/commands/${script}`, import.meta.url).pathname,
      ...flags.split(" "),
      ...args,
    ],
    cwd: folder,
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  let killed = false;
  const timer = after === undefined ? undefined : setTimeout(() => {
    killed = true;
    try {
      child.kill("SIGKILL");
    } catch {
      killed = false;
    }
  }, after);
  const text = await new Response(child.stderr).text();
  const { code, signal } = await child.status;
  clearTimeout(timer);
  const milliseconds = performance.now() - began;
  if (code !== 0 && after === undefined && args.includes("output/adapter")) throw new Error(text);
  return { code, killed: killed && signal !== null, text, milliseconds };
}
