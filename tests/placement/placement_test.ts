/**
 * Every graph has a CUDA kernel for each of its nodes, in its data type. Needs no GPU, but the CUDA
 * provider: a folder that `build_folder.ts` makes once, named by ORTUNE_PLACEMENT.
 */

import assert from "node:assert/strict";
import type { PlacementReport } from "./check.ts";

const folder = Deno.env.get("ORTUNE_PLACEMENT");
if (!folder) {
  console.warn(
    "placement test skipped: no CUDA provider. Make a folder of it once, which needs gcc, npm and " +
      "the network: deno run --allow-all tests/placement/build_folder.ts DIR; then run " +
      "ORTUNE_PLACEMENT=DIR deno task test:placement",
  );
}

async function check(folder: string): Promise<PlacementReport> {
  const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", new URL("check.ts", import.meta.url).pathname, folder],
    env: { LD_LIBRARY_PATH: folder },
  }).output();
  const [line] = new TextDecoder().decode(stdout).split("\n");
  // The stand-ins may end the process badly after the report; without a report it failed.
  assert.ok(line, new TextDecoder().decode(stderr));
  return JSON.parse(line) as PlacementReport;
}

Deno.test({
  name: "every node of every graph has a CUDA kernel in its data type that starts",
  ignore: !folder,
  fn: async () => {
    const { graphs, refusals, runs, failures, control, runControl } = await check(folder!);
    assert.deepEqual([refusals, failures], [[], []]);
    assert.ok(graphs > 300 && runs > 100, `only ${graphs} graphs were created and ${runs} run`);
    // A check that refuses nothing would show nothing.
    assert.equal(control.length, 1);
    assert.match(control[0], /LogSoftmax\(bfloat16\)/);
    assert.match(runControl ?? "it ran", /ScatterND/);
  },
});
