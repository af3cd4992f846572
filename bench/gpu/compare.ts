/**
 * ortune beside the seed's scripts and a packed PyTorch on one GPU, in one command and 8 minutes.
 *
 * In: a Python with torch, transformers and peft; no network. Out: one JSON line and a Markdown
 * table on stdout, progress on stderr. Contenders are processes that take turns, so that all meet
 * the same clocks; one that fails, or takes too long, is named in the table and the rest go on.
 * README.md beside this file says what is measured, and how.
 *
 *     deno run -A bench/gpu/compare.ts --python python3
 *     deno run -A bench/gpu/compare.ts --python python3 --cpu --tiny
 */

import { parseArgs } from "node:util";
import { Contender, type Reply } from "./contender.ts";
import { DeviceShare, lossDifference, mfu, trainingFlop } from "./figures.ts";
import { type OrtuneSide, runOrtune } from "./ortune_side.ts";
import { type ContenderResult, formatResults } from "./report.ts";
import { TimeBudget } from "./time_budget.ts";
import { countTokens, makeWorkload, type Row, SHAPES, type Workload } from "./workload.ts";

const AGREE = 20;
// Qwen3-Medical-SFT: 1e-4 falling to 0 over 1084 updates.
const LEARNING_RATE = 1e-4;
const TOTAL_STEPS = 1084;
const SEED = 42;
const START_SECONDS = 75;
const TURN_SECONDS = 60;

/** What torch_side.py takes. */
interface TorchSide {
  readonly model: string;
  readonly adapter: string;
  readonly workload: string;
  readonly device: string;
  readonly shape: object;
  readonly seed: number;
  readonly lora: boolean;
  readonly dropout: number;
  readonly threads?: number;
  readonly microRows: number;
  readonly learningRate: number;
  readonly totalSteps: number;
}

/** A contender before it is started. */
interface Entry {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  /** Whether it takes large updates, and tells where time goes. */
  readonly large: boolean;
  readonly ortune: boolean;
  /** Whether its losses can be compared. */
  readonly comparable: boolean;
}

/** A contender that takes turns. */
interface Player {
  readonly entry: Entry;
  readonly contender: Contender;
  readonly result: ContenderResult;
  readonly share: DeviceShare;
  readonly speeds: { four: number[]; large: number[] };
  readonly made: { four: number; large: number };
}

const say = (text: string): void => console.error(text);

/** The device's memory in use, in bytes; nothing where there is no nvidia-smi. */
async function deviceUse(): Promise<number | undefined> {
  try {
    const { success, stdout } = await new Deno.Command("nvidia-smi", {
      args: ["--query-gpu=memory.used", "--format=csv,noheader,nounits", "--id=0"],
      stderr: "null",
    }).output();
    return success ? 2 ** 20 * Number(new TextDecoder().decode(stdout).split("\n")[0]) : undefined;
  } catch {
    return undefined;
  }
}

/** Does the work, and samples the device's use before, meanwhile and after. */
async function sampled<T>(share: DeviceShare, work: () => Promise<T>): Promise<T> {
  const samples: number[] = [];
  const sample = async (): Promise<boolean> => {
    const used = await deviceUse();
    if (used !== undefined) samples.push(used);
    return used !== undefined;
  };
  let watching = await sample();
  const watch = (async () => {
    while (watching) {
      await sample();
      await new Promise((resolve) => setTimeout(resolve, 150));
    }
  })();
  try {
    return await work();
  } finally {
    watching = false;
    await watch;
    await sample();
    share.turn(samples);
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}

/** All contenders of one shape and method. */
class Race {
  readonly #results: ContenderResult[];
  readonly #players: Player[] = [];
  readonly #shape: string;
  readonly #method: "full" | "lora";
  readonly #workload: Workload;
  readonly #budget: TimeBudget;

  /** Adds to the results while it runs. */
  constructor(
    results: ContenderResult[],
    { shape, method, workload, budget }: {
      readonly shape: string;
      readonly method: "full" | "lora";
      readonly workload: Workload;
      readonly budget: TimeBudget;
    },
  ) {
    this.#results = results;
    this.#shape = shape;
    this.#method = method;
    this.#workload = workload;
    this.#budget = budget;
  }

  async run(entries: readonly Entry[], rounds: number, updates: { four: number; large: number }) {
    try {
      for (const entry of entries) await this.#start(entry);
      this.#compareLosses();
      for (let round = 0; round < rounds; round++) {
        // The other way round every other time, so that nobody always follows the same one.
        const order = round % 2 === 0 ? this.#players : this.#players.toReversed();
        for (const player of [...order]) {
          await this.#turn(player, "four", updates.four);
          if (player.entry.large) await this.#turn(player, "large", updates.large);
        }
      }
      for (const player of [...this.#players]) await this.#profile(player);
    } finally {
      for (const { contender } of this.#players) await contender.stop();
    }
  }

  /** Starts one, and has it make the updates that losses are compared over. */
  async #start(entry: Entry): Promise<void> {
    const { name, command, args, large } = entry;
    const result: ContenderResult = {
      shape: this.#shape,
      method: this.#method,
      name,
      losses: [],
    };
    this.#results.push(result);
    const began = performance.now();
    let player: Player | undefined;
    try {
      if (this.#budget.left() < 5) throw new Error("There was no time left for it");
      const share = new DeviceShare();
      await sampled(share, async () => {
        const contender = new Contender(command, args);
        player = {
          entry,
          contender,
          result,
          share,
          speeds: { four: [], large: [] },
          made: { four: 0, large: 0 },
        };
        this.#players.push(player);
        await contender.reply(this.#budget, START_SECONDS);
        const first = await this.#ask(player, "four", 1, { agree: true });
        result.firstStepSeconds = (performance.now() - began) / 1000;
        const more = await this.#ask(player, "four", AGREE - 1, { agree: true });
        result.losses.push(...first.losses, ...more.losses);
        // Shapes of large updates are met once before they are timed.
        if (large) await this.#ask(player, "large", 1);
      });
      if (!Number.isNaN(share.peak)) result.devicePeakBytes = share.peak;
      say(
        `${this.#shape} ${this.#method} ${name}: first step ${
          result.firstStepSeconds?.toFixed(1)
        } s`,
      );
    } catch (error) {
      this.#drop(player, result, error);
    }
  }

  async #ask(
    player: Player,
    phase: "four" | "large",
    count: number,
    options: { agree?: boolean; profile?: boolean } = {},
  ): Promise<Reply> {
    const reply = await player.contender.ask(
      { phase, count, ...options },
      this.#budget,
      TURN_SECONDS,
    );
    player.made[phase] += count;
    if (reply.losses.some((loss) => !Number.isFinite(loss))) {
      throw new Error(`Its loss is not finite: ${reply.losses.join(", ")}`);
    }
    if (reply.peakBytes !== null) {
      player.result.ownPeakBytes = Math.max(player.result.ownPeakBytes ?? 0, reply.peakBytes);
    }
    return reply;
  }

  #rows(phase: "four" | "large", from: number, count: number): Row[] {
    const updates = this.#workload[phase];
    return Array.from({ length: count }, (_, i) => updates[(from + i) % updates.length]).flat();
  }

  async #turn(player: Player, phase: "four" | "large", count: number): Promise<void> {
    if (!this.#players.includes(player)) return;
    // What was measured counts, even where there is no time for another round.
    if (player.speeds[phase].length > 0 && this.#budget.left() < 10) return;
    const { result, share, speeds } = player;
    const rows = this.#rows(phase, player.made[phase], count);
    try {
      const { seconds } = await sampled(share, () => this.#ask(player, phase, count));
      speeds[phase].push(seconds);
      const tokensPerSecond = countTokens(rows) / seconds;
      say(
        `${this.#shape} ${this.#method} ${result.name}, ${phase}: ${
          tokensPerSecond.toFixed(0)
        } tokens/s`,
      );
      this.#record(player, phase, tokensPerSecond, rows);
      if (!Number.isNaN(share.peak)) result.devicePeakBytes = share.peak;
    } catch (error) {
      this.#drop(player, result, error);
    }
  }

  /** The median of the rounds so far. */
  #record(player: Player, phase: "four" | "large", tokensPerSecond: number, rows: Row[]): void {
    const { result, speeds } = player;
    speeds[phase][speeds[phase].length - 1] = tokensPerSecond;
    const speed = median(speeds[phase]);
    const flop = trainingFlop(SHAPES[this.#shape], rows, this.#method === "lora");
    const share = mfu(flop, countTokens(rows) / speed);
    if (phase === "four") [result.fourTokensPerSecond, result.fourMfu] = [speed, share];
    else [result.largeTokensPerSecond, result.largeMfu] = [speed, share];
  }

  async #profile(player: Player): Promise<void> {
    const { entry, result } = player;
    if (!entry.ortune || this.#budget.left() < 5 || !this.#players.includes(player)) return;
    try {
      for (const phase of ["four", "large"] as const) {
        const { seconds, profile } = await this.#ask(player, phase, 1, { profile: true });
        const graphs = profile ?? {};
        result.profile = { ...result.profile, [phase]: { wallMs: 1000 * seconds, graphs } };
      }
    } catch (error) {
      this.#drop(player, result, error);
    }
  }

  #compareLosses(): void {
    const reference = this.#players.find(({ entry }) => entry.comparable)?.result;
    for (const { entry, result } of this.#players) {
      if (!reference || !entry.comparable || result === reference) continue;
      result.lossDifference = lossDifference(result.losses, reference.losses);
    }
  }

  #drop(player: Player | undefined, result: ContenderResult, error: unknown): void {
    result.failure = error instanceof Error ? error.message : String(error);
    say(`${this.#shape} ${this.#method} ${result.name} failed: ${result.failure}`);
    if (!player) return;
    const at = this.#players.indexOf(player);
    if (at >= 0) this.#players.splice(at, 1);
    // Not waited for: a process that hangs in the driver must not hold up the others.
    player.contender.stop();
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      contender: { type: "string" },
      python: { type: "string", default: "python3" },
      "torch-side": { type: "string", default: new URL("torch_side.py", import.meta.url).pathname },
      cpu: { type: "boolean", default: false },
      tiny: { type: "boolean", default: false },
      seconds: { type: "string", default: "470" },
      rounds: { type: "string", default: "2" },
      shapes: { type: "string" },
      "only": { type: "string" },
    },
  });
  if (values.contender !== undefined) {
    return await runOrtune(JSON.parse(values.contender) as OrtuneSide);
  }
  const { cpu, tiny, python } = values;
  const budget = new TimeBudget(Number(values.seconds));
  const scratch = await Deno.makeTempDir({ prefix: "ortune-compare-" });
  const results: ContenderResult[] = [];
  const began = Date.now();
  const publish = (): void => {
    const seconds = (Date.now() - began) / 1000;
    console.log(JSON.stringify({ date: new Date(began).toISOString(), seconds, cpu, results }));
    console.log(`\n${formatResults(results)}`);
  };
  // Whoever ends this early still gets what was measured.
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, () => {
      publish();
      Deno.removeSync(scratch, { recursive: true });
      Deno.exit(1);
    });
  }
  try {
    const shapes = (values.shapes ?? (tiny ? "tiny" : "1.7B,0.6B")).split(",");
    const races = shapes.flatMap((shape) =>
      (["full", "lora"] as const).map((method) => ({ shape, method }))
    );
    // The first shape's full training matters most and loads slowest.
    const weights = races.map(({ shape, method }) =>
      (shape === "0.6B" ? 0.8 : 1.2) * (method === "full" ? 1.3 : 1)
    );
    for (const [i, { shape, method }] of races.entries()) {
      const race = budget.part(weights.slice(i));
      const [model, adapter, workload] = ["", ".adapter", ".rows.json"].map((end) =>
        `${scratch}/${shape}${end}`
      );
      const rows = makeWorkload({
        seed: SEED,
        vocabulary: SHAPES[shape].vocab_size,
        maxLength: tiny ? 256 : 2048,
        four: AGREE + 60,
        large: 6,
        largeTokens: tiny ? 2048 : 32768,
      });
      const device = cpu ? "cpu" : "cuda:0";
      const torch: TorchSide = {
        model,
        adapter,
        workload,
        device,
        shape: SHAPES[shape],
        seed: SEED,
        lora: method === "lora",
        dropout: 0.1,
        microRows: 2,
        learningRate: LEARNING_RATE,
        totalSteps: TOTAL_STEPS,
        ...cpu ? { threads: 2 } : {},
      };
      if (method === "full") {
        await Deno.writeTextFile(workload, JSON.stringify(rows));
        say(`${shape}: writing initial weights`);
        const maker = new Contender(python, [
          values["torch-side"],
          "weights",
          JSON.stringify(torch),
        ]);
        try {
          await maker.reply(race, START_SECONDS);
          await withoutDropout(adapter);
        } catch (error) {
          say(`${shape}: no weights: ${error}`);
          results.push({
            shape,
            method,
            name: "initial weights",
            losses: [],
            failure: String(error),
          });
        } finally {
          await maker.stop();
        }
      }
      const entries = [
        ...torchEntries(python, values["torch-side"], torch),
        ...ortuneEntries(method, cpu, {
          model,
          workload,
          device,
          microRows: 4,
          learningRate: LEARNING_RATE,
          totalSteps: TOTAL_STEPS,
          gradientCheckpointing: true,
          kernels: !cpu,
          ...method === "lora" ? { adapter } : {},
          ...cpu ? { threads: 2 } : {},
        }),
      ].filter(({ name }) => values.only === undefined || name.includes(values.only));
      const runner = new Race(results, { shape, method, workload: rows, budget: race });
      await runner.run(
        entries,
        Number(values.rounds),
        tiny ? { four: 4, large: 1 } : { four: 10, large: 2 },
      );
    }
  } finally {
    publish();
    await Deno.remove(scratch, { recursive: true });
  }
}

/** A copy of the adapter, under the name with `-still`, whose dropout is 0. */
async function withoutDropout(adapter: string): Promise<void> {
  await Deno.mkdir(`${adapter}-still`);
  for await (const { name } of Deno.readDir(adapter)) {
    await Deno.copyFile(`${adapter}/${name}`, `${adapter}-still/${name}`);
  }
  const path = `${adapter}-still/adapter_config.json`;
  const config = JSON.parse(await Deno.readTextFile(path));
  await Deno.writeTextFile(path, JSON.stringify({ ...config, lora_dropout: 0 }));
}

function torchEntries(python: string, script: string, side: TorchSide): Entry[] {
  const entry = (role: string, name: string, large: boolean): Entry => ({
    name,
    command: python,
    args: [script, role, JSON.stringify(side)],
    large,
    ortune: false,
    comparable: true,
  });
  return [
    entry("seed", side.lora ? "train_lora.py (HF Trainer)" : "train.py (HF Trainer)", false),
    entry("packed", "torch, packed", true),
  ];
}

/** On the CPU ortune computes in float32 alone. */
function ortuneEntries(method: "full" | "lora", cpu: boolean, side: OrtuneSide): Entry[] {
  const entry = (name: string, options: Partial<OrtuneSide>, comparable = true): Entry => ({
    name: `ortune ${name}`,
    command: Deno.execPath(),
    args: [
      "run",
      "--allow-all",
      // The file that runs, which may be the bundle.
      new URL(import.meta.url).pathname,
      "--contender",
      JSON.stringify({ ...side, ...options }),
    ],
    large: true,
    ortune: true,
    comparable,
  });
  if (method === "lora") {
    return [
      entry("no dropout", { adapter: `${side.adapter}-still` }),
      entry("as the seed", {}, false),
      entry("nothing recomputed", { gradientCheckpointing: false }, false),
      ...cpu ? [] : [entry("as the seed, ONNX Runtime alone", { kernels: false }, false)],
    ];
  }
  if (cpu) {
    return [
      entry("fp32", { precision: "fp32" }),
      entry("fp32, nothing recomputed", { precision: "fp32", gradientCheckpointing: false }),
    ];
  }
  return [
    entry("bf16", { precision: "bf16" }),
    entry("bf16-pure", { precision: "bf16-pure" }),
    entry("adamw_bf16", { precision: "bf16", stochasticRounding: true }),
    entry("adamw_bf16, nothing recomputed", {
      precision: "bf16",
      stochasticRounding: true,
      gradientCheckpointing: false,
    }),
    entry("bf16, ONNX Runtime alone", { precision: "bf16", kernels: false }),
  ];
}

if (import.meta.main) await main();
