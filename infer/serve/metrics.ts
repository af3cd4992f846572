/**
 * Counts and times of a server, for Prometheus.
 *
 * In: what happened. Out: its text format (https://prometheus.io/docs/instrumenting/exposition_formats/).
 */

/** Seconds that the histograms tell apart. */
const BUCKETS = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

/** Values of a figure's labels, by name. */
export type Labels = Readonly<Record<string, string>>;

interface Family {
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  /** Lines of samples by their labels. */
  readonly series: Map<string, Series>;
}

interface Series {
  value: number;
  readonly buckets: number[];
  count: number;
}

/** A registry of metrics. Names and labels are the program's own: no request adds any. */
export class Metrics {
  readonly #families = new Map<string, Family>();

  /** Adds to a counter. */
  add(name: string, help: string, labels: Labels = {}, amount = 1): void {
    this.#series(name, "counter", help, labels).value += amount;
  }

  /** Sets a counter to what something else has counted. */
  total(name: string, help: string, value: number): void {
    this.#series(name, "counter", help, {}).value = value;
  }

  /** Sets a gauge. */
  set(name: string, help: string, value: number): void {
    this.#series(name, "gauge", help, {}).value = value;
  }

  /** Counts a time in seconds. */
  observe(name: string, help: string, labels: Labels, seconds: number): void {
    const series = this.#series(name, "histogram", help, labels);
    series.value += seconds;
    series.count++;
    BUCKETS.forEach((bound, i) => {
      if (seconds <= bound) series.buckets[i]++;
    });
  }

  #series(name: string, type: Family["type"], help: string, labels: Labels): Series {
    let family = this.#families.get(name);
    if (!family) this.#families.set(name, family = { type, help, series: new Map() });
    const key = Object.entries(labels).map(([label, value]) => `${label}="${escape(value)}"`)
      .join();
    let series = family.series.get(key);
    if (!series) {
      series = { value: 0, buckets: BUCKETS.map(() => 0), count: 0 };
      family.series.set(key, series);
    }
    return series;
  }

  /** All of them. */
  toString(): string {
    const lines: string[] = [];
    for (const [name, { type, help, series }] of this.#families) {
      lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
      for (const [labels, { value, buckets, count }] of series) {
        const braced = labels === "" ? "" : `{${labels}}`;
        if (type !== "histogram") {
          lines.push(`${name}${braced} ${value}`);
          continue;
        }
        const comma = labels === "" ? "" : `${labels},`;
        BUCKETS.forEach((bound, i) =>
          lines.push(`${name}_bucket{${comma}le="${bound}"} ${buckets[i]}`)
        );
        lines.push(`${name}_bucket{${comma}le="+Inf"} ${count}`);
        lines.push(`${name}_sum${braced} ${value}`, `${name}_count${braced} ${count}`);
      }
    }
    return `${lines.join("\n")}\n`;
  }
}

function escape(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
