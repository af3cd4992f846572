/**
 * Commands of steps: bundles of the pack, started as they must be without a network. In: files and
 * their arguments. Out: command lines, for the pack's `js` folder.
 */

/** What decides how races run. */
export interface RaceSettings {
  readonly python: string;
  /** Folder of weights. */
  readonly scratch: string;
  /** Whether they are of a tiny model, on the CPU. */
  readonly rehearse: boolean;
}

/** One race, or two of one shape. */
export interface RaceChoice {
  readonly shape: string;
  readonly methods: "full" | "lora" | "full,lora";
  /** Who takes part on a GPU: a regular expression of whole names. */
  readonly only: string;
  /** Who takes part in a rehearsal. @default the same */
  readonly rehearsed?: string;
  /** @default 1 */
  readonly rounds?: number;
}

// Without a configuration, which the pack has none of and a folder above it might.
const RUN = "deno run --allow-all --no-config".split(" ");
const TEST = "deno test --allow-all --no-check --no-config".split(" ");
// A race tells what it measured before its time is over.
const END_SECONDS = 8;

/** Runs a bundle. */
export function runBundle(file: string): readonly string[] {
  return [...RUN, file];
}

/** Runs the tests of a bundle, or those whose names match. */
export function testBundle(file: string, filter?: string): readonly string[] {
  return [...TEST, ...filter === undefined ? [] : ["--filter", `/${filter}/`], file];
}

function compare(settings: RaceSettings, seconds: number, shapes: string): readonly string[] {
  const { python, scratch, rehearse } = settings;
  return [
    ...runBundle("compare.js"),
    ...["--python", python, "--scratch", scratch],
    ...["--seconds", `${Math.max(5, seconds - END_SECONDS)}`],
    ...rehearse ? ["--cpu", "--tiny", "--shapes", "tiny"] : ["--shapes", shapes],
  ];
}

/** Runs a race within so many seconds. */
export function runRace(
  settings: RaceSettings,
  { shape, methods, only, rehearsed = only, rounds = 1 }: RaceChoice,
  seconds: number,
): readonly string[] {
  return [
    ...compare(settings, seconds, shape),
    ...["--methods", methods, "--rounds", `${rounds}`],
    ...["--only", `^(${settings.rehearse ? rehearsed : only})$`],
  ];
}

/** Writes the weights that races start from. */
export function writeWeights(
  settings: RaceSettings,
  shapes: readonly string[],
  seconds: number,
): readonly string[] {
  return [
    ...compare(settings, seconds, shapes.join(",")),
    ...["--methods", "full", "--weights-only"],
  ];
}
