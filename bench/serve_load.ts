/**
 * Whether a server stays awake under many clients:
 * `deno run --allow-all bench/serve_load.ts [--clients 200] [--seconds 120] [--threads N] [--model DIR]`.
 *
 * Out: how long /health takes on a new connection, in milliseconds and in decoding steps; chats
 * answered, left and stuck; the drift of the server's resident memory; the machine's load. The exit
 * code is 1 where a goal is missed. Linux: memory and load are read from /proc.
 */

import { parseArgs } from "node:util";
import { writeQuickstartModel } from "../examples/quickstart/quickstart_model.ts";
import type { Probe } from "./health_probe.ts";
import { memoryByTenths, QUESTIONS, startServer } from "./server_process.ts";

/** Steps that 99 of 100 answers of /health may take. */
const GOAL_STEPS = 3;
/** Per cent that resident memory may grow from the second tenth of the time to the last. */
const GOAL_DRIFT = 5;
/** Milliseconds without news after which a chat counts as stuck. */
const STUCK = 60_000;

const { values } = parseArgs({
  options: {
    clients: { type: "string", default: "200" },
    seconds: { type: "string", default: "120" },
    threads: { type: "string" },
    model: { type: "string" },
  },
});
const clients = Number(values.clients);
const seconds = Number(values.seconds);

const folder = await Deno.makeTempDir({ prefix: "ortune-load-" });
const model = values.model ?? `${folder}/model`;
if (values.model === undefined) await writeQuickstartModel(model, 42);
const server = await startServer(
  model,
  [
    ...["--max-new-tokens", "400", "--max-queue", `${clients}`],
    ...(values.threads === undefined ? [] : ["--threads", values.threads]),
  ],
  { ORT_GQA_DISABLE_FLASH_ATTENTION: "1" },
);

let good = false;
try {
  good = await measure();
} finally {
  const began = performance.now();
  const code = await server.interrupt();
  console.log(`Ctrl-C: exit code ${code} after ${(performance.now() - began).toFixed(0)} ms`);
  await Deno.remove(folder, { recursive: true });
}
Deno.exit(good ? 0 : 1);

async function measure(): Promise<boolean> {
  const { url } = server;
  const outcomes = new Map<string, number>();
  const end = performance.now() + 1000 * seconds;
  const ticks: { readonly at: number; readonly steps: number; readonly memory: number }[] = [];
  const watch = async (): Promise<void> => {
    while (performance.now() < end) {
      const [memory, steps] = [await server.resident(), await stepsOf(url)];
      ticks.push({ at: Date.now(), steps, memory });
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
  };
  let asked = 0;
  const client = async (): Promise<void> => {
    while (performance.now() < end) {
      const outcome = await chat(url, asked++);
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
  };
  const probes: Probe[] = [];
  const failures: string[] = [];
  const probe = new Worker(import.meta.resolve("./health_probe.ts"), { type: "module" });
  probe.onmessage = ({ data }: MessageEvent<Probe | { readonly failed: string }>) => {
    if ("failed" in data) failures.push(data.failed);
    else probes.push(data);
  };
  const work = Promise.all([watch(), ...Array.from({ length: clients }, client)]);
  probe.postMessage(Number(new URL(url).port));
  await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
  probe.terminate();
  await work;
  // The counting reply ends with its client.
  await new Promise((resolve) => setTimeout(resolve, 1000));

  const inSteps = probes.flatMap(({ steps }) => steps === undefined ? [] : [steps]);
  const times = probes.map(({ milliseconds }) => milliseconds);
  const [first, last] = [ticks[1], ticks[ticks.length - 1]];
  const step = (last.at - first.at) / (last.steps - first.steps);
  console.log(`load of the machine: ${Deno.loadavg().map((each) => each.toFixed(1)).join(" ")}`);
  console.log(
    `${clients} clients, ${seconds} s, a step takes ${step.toFixed(1)} ms: ` +
      [...outcomes].map(([outcome, count]) => `${count} ${outcome}`).join(", "),
  );
  const figures = (values: readonly number[], unit: string): string =>
    [0.5, 0.99, 1].map((part) =>
      `${part === 1 ? "most" : `p${100 * part}`} ${quantile(values, part).toFixed(1)}`
    ).join(", ") + ` ${unit}`;
  console.log(
    `/health, ${times.length} probes, ${failures.length} failed: ${figures(times, "ms")}; ` +
      `in steps, ${inSteps.length} counted: ${figures(inSteps, "steps")}`,
  );
  const { text: memory, drift } = memoryByTenths(ticks.map(({ memory }) => memory));
  console.log(memory);
  const text = await (await fetch(`${url}/metrics`)).text();
  const left = ["running", "waiting"].map((each) =>
    Number(new RegExp(`^ortune_replies_${each} (\\S+)$`, "m").exec(text)![1])
  );
  const errors = [...text.matchAll(/^ortune_http_requests_total\{.*status="5..".*$/gm)].map(String);
  console.log(`left over: ${left[0]} running, ${left[1]} waiting; errors: ${errors.join() || "0"}`);
  const wrong = [...outcomes.keys()].filter((outcome) => !["answered", "left"].includes(outcome));
  const checks = {
    [`p99 of /health within ${GOAL_STEPS} steps`]: quantile(inSteps, 0.99) <= GOAL_STEPS,
    [`drift below ${GOAL_DRIFT} %`]: drift < GOAL_DRIFT,
    "no chat stuck or broken": wrong.length === 0 && left.every((each) => each === 0),
    "steps counted": inSteps.length > 0,
    "no status 5xx, no probe failed": errors.length === 0 && failures.length === 0,
  };
  for (const [goal, met] of Object.entries(checks)) {
    console.log(`${met ? "ok" : "MISSED"}: ${goal}`);
  }
  return Object.values(checks).every((met) => met);
}

/** One chat, streamed or not; every tenth is left midway. */
async function chat(url: string, index: number): Promise<string> {
  const stream = index % 4 !== 0;
  const leaves = index % 10 === 3;
  const stuck = AbortSignal.timeout(STUCK);
  const leave = new AbortController();
  const content = QUESTIONS[index % QUESTIONS.length].repeat(1 + index % 5);
  const body = JSON.stringify({
    model: "base",
    messages: [{ role: "user", content }],
    stream,
    max_tokens: 16 + (index * 13) % 48,
    temperature: 0.8,
    ignore_eos: true,
    seed: index,
  });
  const timer = leaves ? setTimeout(() => leave.abort(), 50 + index % 400) : undefined;
  try {
    const response = await fetch(`${url}/v1/chat/completions`, {
      method: "POST",
      body,
      headers: { "content-type": "application/json" },
      signal: AbortSignal.any([stuck, leave.signal]),
    });
    const text = await response.text();
    if (response.status !== 200) return `with status ${response.status}`;
    return text.includes('"finish_reason":"length"') ? "answered" : "broken";
  } catch (error) {
    if (leave.signal.aborted) return "left";
    return stuck.aborted ? "stuck" : `failed (${(error as Error).message})`;
  } finally {
    clearTimeout(timer);
  }
}

async function stepsOf(url: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(/^ortune_decoding_steps_total (\S+)$/m.exec(text)![1]);
}

function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? NaN;
}
