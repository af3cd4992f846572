import assert from "node:assert/strict";
import { Metrics } from "./metrics.ts";

Deno.test("Metrics writes counters, gauges and cumulative histograms", () => {
  const metrics = new Metrics();
  metrics.add("a_total", "A.", { model: 'b"\\\n' });
  metrics.add("a_total", "A.", { model: 'b"\\\n' }, 2);
  metrics.set("g", "G.", 1);
  metrics.set("g", "G.", 7);
  metrics.observe("s", "S.", {}, 0.02);
  metrics.observe("s", "S.", {}, 400);
  const lines = metrics.toString().split("\n");
  assert.deepEqual(lines.slice(0, 7), [
    "# HELP a_total A.",
    "# TYPE a_total counter",
    'a_total{model="b\\"\\\\\\n"} 3',
    "# HELP g G.",
    "# TYPE g gauge",
    "g 7",
    "# HELP s S.",
  ]);
  assert.ok(lines.includes('s_bucket{le="0.01"} 0'));
  assert.ok(lines.includes('s_bucket{le="300"} 1'));
  assert.deepEqual(lines.slice(-4), ['s_bucket{le="+Inf"} 2', "s_sum 400.02", "s_count 2", ""]);
});

Deno.test("Metrics tells times apart by these bounds, each of which counts what is as long", () => {
  const metrics = new Metrics();
  const bounds = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];
  for (const seconds of bounds) metrics.observe("s", "S.", { model: "m" }, seconds);
  metrics.total("t_total", "T.", 4);
  metrics.total("t_total", "T.", 9);
  metrics.add("u_total", "U.");
  const sum = bounds.reduce((total, each) => total + each);
  assert.deepEqual(metrics.toString().split("\n"), [
    "# HELP s S.",
    "# TYPE s histogram",
    ...bounds.map((bound, i) => `s_bucket{model="m",le="${bound}"} ${i + 1}`),
    's_bucket{model="m",le="+Inf"} 12',
    `s_sum{model="m"} ${sum}`,
    's_count{model="m"} 12',
    "# HELP t_total T.",
    "# TYPE t_total counter",
    "t_total 9",
    "# HELP u_total U.",
    "# TYPE u_total counter",
    "u_total 1",
    "",
  ]);
});
