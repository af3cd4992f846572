/**
 * Hostile inputs for every reader. In: how many, and a seed. Out: counts a reader, and each input that
 * took over 2 s, over 512 MiB, ended the process, or met an error of JavaScript's own.
 */

import { FUZZ_TARGETS, type FuzzTargetName, WEIGHTS } from "./fuzz_targets.ts";
import { processUsage } from "../process_usage.ts";

/** Seconds of processor time that an input may take. */
const DEADLINE = 2;
/** Bytes that reading may add to a process. */
const MEMORY = 512 * 2 ** 20;
const LOOK = 50;
/** Inputs of a reader that are told apart; more say the same. */
const MAX_FINDINGS = 20;

/** An input that a reader did not deal with. */
export interface FuzzFinding {
  readonly target: FuzzTargetName;
  readonly kind: "hang" | "memory" | "crash" | "raw error";
  /** Which input of the target's. */
  readonly input: number;
  readonly detail: string;
}

/** What became of a reader's inputs. */
export interface FuzzCounts {
  readonly target: FuzzTargetName;
  readonly inputs: number;
  readonly accepted: number;
  readonly refused: number;
  readonly seconds: number;
  /** Most memory of its process, in bytes. */
  readonly peak: number;
}

/** What a campaign came to. */
export interface FuzzReport {
  readonly counts: readonly FuzzCounts[];
  readonly findings: readonly FuzzFinding[];
}

/** Options of {@linkcode fuzz}. */
export interface FuzzOptions {
  /** Inputs of all targets together. */
  readonly inputs: number;
  readonly seed: number;
  /** @default all */
  readonly targets?: readonly FuzzTargetName[];
  /** Told of each target when it is done. */
  readonly onTarget?: (counts: FuzzCounts) => void;
}

/** Runs the targets one after another. */
export async function fuzz(
  { inputs, seed, targets = FUZZ_TARGETS, onTarget = () => {} }: FuzzOptions,
): Promise<FuzzReport> {
  const counts: FuzzCounts[] = [];
  const findings: FuzzFinding[] = [];
  const weight = (target: FuzzTargetName): number => WEIGHTS[target] ?? 1;
  const all = targets.reduce((sum, target) => sum + weight(target), 0);
  for (const target of targets) {
    const own = Math.ceil(inputs * weight(target) / all);
    counts.push(await fuzzTarget(target, { inputs: own, seed, findings }));
    onTarget(counts.at(-1)!);
  }
  return { counts, findings };
}

async function fuzzTarget(
  target: FuzzTargetName,
  { inputs, seed, findings }: {
    readonly inputs: number;
    readonly seed: number;
    readonly findings: FuzzFinding[];
  },
): Promise<FuzzCounts> {
  const began = performance.now();
  let [accepted, refused, peak, next, found] = [0, 0, 0, 0, 0];
  while (next < inputs && found < MAX_FINDINGS) {
    const part = await readInputs(target, { seed, first: next, end: inputs });
    [accepted, refused, peak] = [
      accepted + part.accepted,
      refused + part.refused,
      Math.max(peak, part.peak),
    ];
    findings.push(...part.raw.slice(0, MAX_FINDINGS));
    if (part.finding) {
      findings.push(part.finding);
      found++;
    }
    next = part.next;
  }
  const seconds = (performance.now() - began) / 1000;
  return { target, inputs: next, accepted, refused, seconds, peak };
}

/** Reads inputs in one process, until they are done or one of them stops it. */
async function readInputs(
  target: FuzzTargetName,
  { seed, first, end }: { readonly seed: number; readonly first: number; readonly end: number },
): Promise<{
  accepted: number;
  refused: number;
  peak: number;
  next: number;
  raw: FuzzFinding[];
  finding?: FuzzFinding;
}> {
  const folder = await Deno.makeTempDir({ prefix: "ortune-fuzz-" });
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--quiet", "--no-prompt", "--no-check", "--cached-only"],
      ...[`--config=${new URL("../../deno.json", import.meta.url).pathname}`],
      ...[`--allow-read`, `--allow-write=${folder}`],
      new URL("./fuzz_worker.ts", import.meta.url).pathname,
      ...[folder, target, `${seed}`, `${first}`, `${end}`],
    ],
    env: { NO_COLOR: "1" },
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const raw: FuzzFinding[] = [];
  let [input, accepted, refused, done] = [first - 1, 0, 0, false];
  let verdict: Pick<FuzzFinding, "kind" | "detail"> | undefined;
  let [peak, base, since, at] = [0, 0, 0, -1];
  const look = async (): Promise<void> => {
    const usage = await processUsage(child.pid);
    if (usage === undefined || input < first || done) return;
    if (base === 0) base = usage.bytes;
    peak = Math.max(peak, usage.bytes);
    if (at !== input) [at, since] = [input, usage.seconds];
    else if (usage.seconds - since > DEADLINE) {
      verdict ??= { kind: "hang", detail: `over ${DEADLINE} s` };
    }
    if (usage.bytes - base > MEMORY) {
      verdict ??= { kind: "memory", detail: `${Math.round((usage.bytes - base) / 2 ** 20)} MiB` };
    }
    if (verdict) child.kill("SIGKILL");
  };
  const watch = setInterval(() => look().catch(() => {}), LOOK);
  const errors = new Response(child.stderr).text();
  let rest = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      if (line.startsWith("=")) {
        const [own, others, bytes] = line.slice(1).split(" ").map(Number);
        [accepted, refused, peak] = [own, others, Math.max(peak, bytes)];
        done = true;
      } else if (line.startsWith("!")) {
        const [, at, detail] = /^!(\d+) (.*)$/.exec(line)!;
        raw.push({ target, kind: "raw error", input: Number(at), detail });
      } else input = Number(line);
    }
  }
  const { code } = await child.status;
  clearInterval(watch);
  await Deno.remove(folder, { recursive: true });
  if (done) return { accepted, refused, peak, next: end, raw };
  verdict ??= { kind: "crash", detail: `exit code ${code}: ${(await errors).slice(0, 300)}` };
  if (input < first) throw new Error(`Cannot fuzz ${target}: ${verdict.detail}`);
  // Counts of a process that was stopped are lost; its inputs are counted as refused.
  const finding = { target, input, ...verdict };
  return { accepted: 0, refused: input - first + 1, peak, next: input + 1, raw, finding };
}
