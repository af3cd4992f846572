/**
 * What `--device webgpu` does on this machine's GPU, beside the CPU in the same run. No network and no model
 * files are needed: weights are random. Nothing else should run meanwhile.
 *
 * In: flags, see `--help`. Out: tables on stdout and, as the last line, all of it as JSON; exit code 1, and a
 * line on stderr that says why, where there is no device or something failed.
 *
 *     deno run -A bench/webgpu.ts
 */

import { parseArgs } from "node:util";
import { openRuntime } from "../cli/process/open_runtime.ts";
import { COUNT, type NumberRange, POSITIVE } from "../internal/number_range.ts";
import { TimeBudget } from "./gpu/time_budget.ts";
import { runMain } from "./run_main.ts";
import type { Findings } from "./webgpu/findings.ts";
import { measureDevice } from "./webgpu/measure_device.ts";
import { SECTIONS } from "./webgpu/report.ts";

const USAGE = `usage: deno run -A bench/webgpu.ts [flags]

  --budget SECONDS  what it may take (default: 80)
  --memory GIB      of the GPU's memory that it may take (default: three quarters of what Vulkan says is
                    free; 6 where nothing is told)
  --threads N       of the CPU (default: all cores)
  --json            prints the JSON line alone`;

const OPTIONS = {
  budget: { type: "string", default: "80" },
  memory: { type: "string" },
  threads: { type: "string" },
  json: { type: "boolean", default: false },
  help: { type: "boolean", default: false },
} as const;

/** Bytes that are taken where no driver tells what is free. */
const UNTOLD_MEMORY = 6 * 2 ** 30;
/** Share of what is free: other programs draw on the screen. */
const MEMORY_SHARE = 0.75;
/** Kept of the budget for what is begun and cannot be stopped. */
const END_SHARE = 0.1;

function numberOf(flag: string, text: string, { what, holds }: NumberRange): number {
  const value = text.trim() === "" ? NaN : Number(text);
  if (Number.isFinite(value) && holds(value)) return value;
  throw new RangeError(`Cannot read --${flag} ${text}: give ${what}`);
}

async function main(): Promise<number> {
  const { values } = parseArgs({ options: OPTIONS });
  if (values.help) {
    console.log(USAGE);
    return 0;
  }
  const seconds = numberOf("budget", values.budget, POSITIVE);
  const threads = values.threads === undefined
    ? undefined
    : numberOf("threads", values.threads, COUNT);
  const began = performance.now();
  const budget = new TimeBudget(seconds * (1 - END_SHARE));
  using runtime = openRuntime({ device: "webgpu", threads });
  const free = runtime.toldMemory()?.free;
  const memory = values.memory !== undefined
    ? numberOf("memory", values.memory, POSITIVE) * 2 ** 30
    : free === undefined
    ? UNTOLD_MEMORY
    : free * MEMORY_SHARE;
  const findings: Findings = {
    date: new Date().toISOString(),
    onnxruntime: runtime.api.version,
    threads: runtime.threads,
    measured: [],
    skipped: [],
  };
  const folder = await Deno.makeTempDir({ prefix: "ortune-webgpu-" });
  const onFound = (what: keyof Findings): void => {
    if (!values.json) console.log(`${SECTIONS[what]!(findings)}\n`);
  };
  const end = (failure?: string): void => {
    Deno.removeSync(folder, { recursive: true });
    console.log(
      JSON.stringify({ ...findings, seconds: (performance.now() - began) / 1000, failure }),
    );
  };
  // Whoever ends this early still gets what was measured.
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, () => {
      end(`ended early by ${signal}`);
      Deno.exit(1);
    });
  }
  try {
    await measureDevice({ runtime, budget, memory, folder, onFound }, findings);
  } catch (error) {
    end(error instanceof Error ? error.message : String(error));
    throw error;
  }
  end();
  return 0; // an exit code, as the signals are listened to still
}

if (import.meta.main) await runMain(main);
