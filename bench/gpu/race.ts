/**
 * The contenders of one shape and method. In: entries, a workload, a budget. Out: results, which grow
 * while it runs. One that fails, or takes too long, is named and the rest go on.
 *
 * Each has the device to itself, from its start to its end: all of them together hold more than it has.
 * Where they fit, they may be kept there together and take turns, so that all meet the same clocks.
 */

import { Contender, type Reply } from "./contender.ts";
import { deviceUse, sampled } from "./device_use.ts";
import type { Entry, Method } from "./entries.ts";
import { DeviceShare, lossDifference, mfu, trainingFlop } from "./figures.ts";
import type { ContenderResult } from "./report.ts";
import { TimeBudget } from "./time_budget.ts";
import { countTokens, type Row, SHAPES, type Workload } from "./workload.ts";

/** Updates that losses are compared over. */
export const AGREE = 20;
const START_SECONDS = 75;
const TURN_SECONDS = 60;
// As much as a contender alone needs on a slow start, even where less would be a fair share.
const LEAST_SECONDS = 45;

/** A kind of update. */
type Phase = "four" | "large";

/** What a race is over. */
export interface RaceOptions {
  readonly shape: string;
  readonly method: Method;
  readonly workload: Workload;
  readonly budget: TimeBudget;
  /** Timed turns of each. */
  readonly rounds: number;
  /** Updates of a turn. */
  readonly updates: Readonly<Record<Phase, number>>;
  /** Whether all stay on the device until the last is through. */
  readonly together: boolean;
  /** Takes a line of progress. */
  readonly say: (text: string) => void;
}

/** A contender that takes turns. */
interface Player {
  readonly entry: Entry;
  readonly contender: Contender;
  readonly result: ContenderResult;
  readonly speeds: Record<Phase, number[]>;
  readonly made: Record<Phase, number>;
}

/** All contenders of one shape and method. */
export class Race {
  readonly #results: ContenderResult[];
  readonly #own: { readonly entry: Entry; readonly result: ContenderResult }[] = [];
  readonly #players: Player[] = [];
  readonly #options: RaceOptions;
  #budget: TimeBudget;

  /** Adds to the results while it runs. */
  constructor(results: ContenderResult[], options: RaceOptions) {
    this.#results = results;
    this.#options = options;
    this.#budget = options.budget;
  }

  /** Runs them all, in order. */
  async run(entries: readonly Entry[]): Promise<void> {
    const { together, budget } = this.#options;
    if (together) return await this.#heat(entries);
    for (const [i, entry] of entries.entries()) {
      const share = Math.max(budget.left() / (entries.length - i), LEAST_SECONDS);
      this.#budget = new TimeBudget(budget.limit(share));
      await this.#heat([entry]);
    }
  }

  /** Starts some, has them take turns, and ends them. */
  async #heat(entries: readonly Entry[]): Promise<void> {
    const { rounds, updates } = this.#options;
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
      for (const { contender } of this.#players.splice(0)) await contender.stop();
    }
  }

  #say(name: string, text: string): void {
    const { shape, method, say } = this.#options;
    say(`${shape} ${method} ${name}${text}`);
  }

  /** Starts one, and has it make the updates that losses are compared over. */
  async #start(entry: Entry): Promise<void> {
    const { name, command, args, large } = entry;
    const { shape, method } = this.#options;
    const result: ContenderResult = { shape, method, name, losses: [] };
    this.#results.push(result);
    this.#own.push({ entry, result });
    let player: Player | undefined;
    try {
      if (this.#budget.left() < 5) throw new Error("There was no time left for it");
      const share = new DeviceShare();
      const before = await deviceUse();
      const began = performance.now();
      const contender = new Contender(command, args);
      player = {
        entry,
        contender,
        result,
        speeds: { four: [], large: [] },
        made: { four: 0, large: 0 },
      };
      const started = player;
      this.#players.push(started);
      await contender.reply(this.#budget, START_SECONDS);
      const first = await this.#ask(started, "four", 1, { agree: true });
      result.firstStepSeconds = (performance.now() - began) / 1000;
      // Not timed: here its memory is looked at, and shapes of large updates are met once.
      await sampled(share, before, async () => {
        const more = await this.#ask(started, "four", AGREE - 1, { agree: true });
        result.losses.push(...first.losses, ...more.losses);
        if (large) await this.#ask(started, "large", 1);
      });
      if (!Number.isNaN(share.peak)) result.devicePeakBytes = share.peak;
      this.#say(name, `: first step ${result.firstStepSeconds.toFixed(1)} s`);
    } catch (error) {
      await this.#drop(player, result, error);
    }
  }

  async #ask(
    player: Player,
    phase: Phase,
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

  #rows(phase: Phase, from: number, count: number): Row[] {
    const updates = this.#options.workload[phase];
    return Array.from({ length: count }, (_, i) => updates[(from + i) % updates.length]).flat();
  }

  async #turn(player: Player, phase: Phase, count: number): Promise<void> {
    if (!this.#players.includes(player)) return;
    // What was measured counts, even where there is no time for another round.
    if (player.speeds[phase].length > 0 && this.#budget.left() < 10) return;
    const { result } = player;
    const rows = this.#rows(phase, player.made[phase], count);
    try {
      const { seconds } = await this.#ask(player, phase, count);
      const tokensPerSecond = countTokens(rows) / seconds;
      this.#say(result.name, `, ${phase}: ${tokensPerSecond.toFixed(0)} tokens/s`);
      this.#record(player, phase, tokensPerSecond, rows);
    } catch (error) {
      await this.#drop(player, result, error);
    }
  }

  /** The median of the rounds so far. */
  #record(player: Player, phase: Phase, tokensPerSecond: number, rows: Row[]): void {
    const { result, speeds } = player;
    const { shape, method } = this.#options;
    speeds[phase].push(tokensPerSecond);
    const speed = median(speeds[phase]);
    const flop = trainingFlop(SHAPES[shape], rows, method === "lora");
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
      await this.#drop(player, result, error);
    }
  }

  /** Each beside the first that can be compared, whether it still runs or not. */
  #compareLosses(): void {
    const able = this.#own.filter(({ entry, result }) =>
      entry.comparable && result.losses.length > 0
    );
    const reference = able[0]?.result;
    for (const { result } of able.slice(1)) {
      result.lossDifference = lossDifference(result.losses, reference.losses);
    }
  }

  async #drop(player: Player | undefined, result: ContenderResult, error: unknown): Promise<void> {
    result.failure = error instanceof Error ? error.message : String(error);
    this.#say(result.name, ` failed: ${result.failure}`);
    if (!player) return;
    const at = this.#players.indexOf(player);
    if (at >= 0) this.#players.splice(at, 1);
    // A process that hangs in the driver must not hold up the others.
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise((resolve) => timer = setTimeout(resolve, 2000));
    await Promise.race([player.contender.stop(), late]);
    clearTimeout(timer);
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}
