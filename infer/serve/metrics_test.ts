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
