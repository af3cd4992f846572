/**
 * What the comparison found, for people. In: one result a contender. Out: Markdown.
 */

/** What is known of one contender; what is missing was not measured. */
export interface ContenderResult {
  readonly shape: string;
  readonly method: "full" | "lora";
  readonly name: string;
  /** Seconds from the process's start to its first update's end. */
  firstStepSeconds?: number;
  /** Real tokens a second over whole updates, median of the rounds. */
  fourTokensPerSecond?: number;
  fourMfu?: number;
  largeTokensPerSecond?: number;
  largeMfu?: number;
  /** The most memory by its own count: torch's allocator, ortune's tensors. */
  ownPeakBytes?: number;
  /** The most it held of the device, by nvidia-smi. */
  devicePeakBytes?: number;
  /** Largest difference of its loss to the first contender's over the first updates. */
  lossDifference?: number;
  losses: number[];
  profile?: Readonly<
    Record<string, {
      readonly wallMs: number;
      readonly graphs: Readonly<Record<string, { readonly ms: number; readonly runs: number }>>;
    }>
  >;
  /** Why anything is missing. */
  failure?: string;
  /** Why it was not run at all. */
  skipped?: string;
}

const HEAD = [
  "shape",
  "method",
  "contender",
  "tokens/s, 4 rows",
  "MFU",
  "tokens/s, large",
  "MFU",
  "own peak GB",
  "device peak GB",
  "first step s",
  "loss differs by",
  "failed",
];

/** The table of results, and where ortune's steps went. */
export function formatResults(results: readonly ContenderResult[]): string {
  const rows = results.map((each) => [
    each.shape,
    each.method,
    each.name,
    show(each.fourTokensPerSecond, (n) => Math.round(n).toLocaleString("en")),
    show(each.fourMfu, percent),
    show(each.largeTokensPerSecond, (n) => Math.round(n).toLocaleString("en")),
    show(each.largeMfu, percent),
    show(each.ownPeakBytes, gigabytes),
    show(each.devicePeakBytes, gigabytes),
    show(each.firstStepSeconds, (n) => n.toFixed(1)),
    show(each.lossDifference, (n) => n.toExponential(1)),
    (each.failure ?? (each.skipped && `skipped: ${each.skipped}`) ?? "")
      .replaceAll(/[|\s]+/g, " ").slice(0, 160),
  ]);
  const table = [HEAD, HEAD.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`);
  return [table.join("\n"), ...results.flatMap(formatProfiles)].join("\n\n") + "\n";
}

function show(value: number | undefined, format: (value: number) => string): string {
  return value === undefined || Number.isNaN(value) ? "–" : format(value);
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)}%`;
}

function gigabytes(bytes: number): string {
  return (bytes / 1e9).toFixed(1);
}

function formatProfiles({ shape, name, profile = {} }: ContenderResult): string[] {
  return Object.entries(profile).map(([phase, { wallMs, graphs }]) => {
    const entries = Object.entries(graphs).toSorted(([, a], [, b]) => b.ms - a.ms);
    const inGraphs = entries.reduce((sum, [, { ms }]) => sum + ms, 0);
    const lines = [...entries, ["between graphs", { ms: wallMs - inGraphs, runs: 0 }] as const].map(
      ([graph, { ms, runs }]) =>
        `| ${graph} | ${runs || "–"} | ${ms.toFixed(1)} | ${percent(ms / wallMs)} |`,
    );
    return [
      `${shape} ${name}, one update of ${phase}, a wait after every graph: ${wallMs.toFixed(1)} ms`,
      "",
      "| graph | runs | ms | share |",
      "| --- | --- | --- | --- |",
      ...lines,
    ].join("\n");
  });
}
