/**
 * Kills, damaged checkpoints, hostile inputs and a server under load:
 * `deno task bench:reliability [--kills 500] [--targets full,lora,merge,export] [--damages 2000]
 * [--fuzz 200000] [--minutes 2] [--seed 1]`.
 *
 * Out: figures for RESULTS.md, and exit code 1 where anything was lost, hung or went unnoticed. An
 * input of the fuzz is made again from seed, reader and number.
 */

import { parseArgs } from "node:util";
import { damage } from "./damages.ts";
import { fuzz } from "./fuzz.ts";
import { kill, KILL_TARGETS, type KillTarget } from "./kills.ts";

const { values } = parseArgs({
  options: {
    kills: { type: "string", default: "500" },
    targets: { type: "string", default: Object.keys(KILL_TARGETS).join(",") },
    damages: { type: "string", default: "2000" },
    fuzz: { type: "string", default: "200000" },
    minutes: { type: "string", default: "2" },
    seed: { type: "string", default: "1" },
  },
});
const [kills, damages, inputs, minutes, seed] = [
  values.kills,
  values.damages,
  values.fuzz,
  values.minutes,
  values.seed,
].map((text) => {
  const number = Number(text);
  if (!Number.isFinite(number) || number < 0) {
    throw new RangeError(`Cannot run ${text} of anything: give a number from 0 on`);
  }
  return number;
});

const targets = values.targets.split(",").map((name) => {
  if (Object.hasOwn(KILL_TARGETS, name)) return name as KillTarget;
  throw new RangeError(`Cannot kill ${name}: there are ${Object.keys(KILL_TARGETS).join(", ")}`);
});
const findings: string[] = [];

if (kills > 0) {
  console.log("\n| Killed | kills | compared | seconds |\n|---|---:|---:|---:|");
  const report = await kill({
    kills,
    seed,
    targets,
    onTarget: ({ target, kills, compared, seconds }) =>
      console.log(`| ${target} | ${kills} | ${compared} | ${seconds.toFixed(0)} |`),
  });
  findings.push(...report.findings);
}

if (damages > 0) {
  const report = await damage({ damages, seed });
  findings.push(...report.findings);
  const noticed = damages - report.findings.length;
  console.log(`\n${noticed} of ${damages} damages noticed, ${report.seconds.toFixed(0)} s`);
}

if (inputs > 0) {
  console.log(
    "\n| Reader | inputs | accepted | refused | seconds | peak MiB |\n|---|---:|---:|---:|---:|---:|",
  );
  const report = await fuzz({
    inputs,
    seed,
    onTarget: ({ target, inputs, accepted, refused, seconds, peak }) =>
      console.log(
        `| ${target} | ${inputs} | ${accepted} | ${refused} | ${seconds.toFixed(1)} | ` +
          `${(peak / 2 ** 20).toFixed(0)} |`,
      ),
  });
  findings.push(
    ...report.findings.map(({ target, kind, input, detail }) =>
      `${target}: ${kind} at input ${input}: ${detail}`
    ),
  );
}

if (minutes > 0) {
  console.log("");
  const { code } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--quiet", "--allow-all", new URL("../serve_soak.ts", import.meta.url).pathname],
      ...["--minutes", `${minutes}`],
    ],
    stdout: "inherit",
    stderr: "inherit",
  }).output();
  if (code !== 0) findings.push(`the server under load: exit code ${code}`);
}

console.log(`\n${findings.length} findings`);
for (const finding of findings) console.log(`- ${finding}`);
if (findings.length > 0) Deno.exitCode = 1;
