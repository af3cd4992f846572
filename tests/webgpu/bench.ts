/** `bench/webgpu.ts` in the least time: what it counts of a whole update, and its numbers. */

import assert from "node:assert/strict";
import type { Findings } from "../../bench/webgpu/findings.ts";
import { repositoryPath, runDeno } from "../support/run_script.ts";

Deno.test("bench/webgpu.ts counts the calls of an update and of a token", async () => {
  const script = repositoryPath("bench/webgpu.ts");
  const flags = ["--budget", "1", "--threads", "2", "--json"];
  const { code, stdout, stderr } = await runDeno(["run", "--allow-all", script, ...flags]);
  assert.equal(code, 0, stderr);
  const { counted, hostCost, driver, calculated, skipped }: Findings = JSON.parse(stdout);
  assert.ok(driver);
  assert.ok(hostCost!.microsecondsADispatch > 0 && hostCost!.uploadRate > 0);
  assert.deepEqual(counted!.map(({ what }) => what), ["full", "decode"]);
  const [full, token] = counted!.map(({ calls }) => calls);
  for (const calls of [full, token]) {
    // The loss and norm of an update, or a token's logits: nothing else is waited for.
    assert.equal(calls.fromDevice.copies, 1);
    assert.ok(calls.toDevice.copies > 0 && calls.toDevice.bytes < 1e5);
  }
  assert.equal(token.fromDevice.bytes, 4 * 256);
  // A run a layer each way, and one for all layers forwards.
  assert.ok(full.runs > 2 * 28 && token.runs >= 28 && token.runs < 2 * 28);
  assert.ok(full.dispatches > 28 * 150);
  assert.equal(calculated!.dispatches, full.dispatches);
  // The calls of LoRA, and models of either method.
  assert.equal(skipped.length, 3);
});
