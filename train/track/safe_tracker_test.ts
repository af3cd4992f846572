import assert from "node:assert/strict";
import type { TrainEvent } from "../events.ts";
import { createMetricsLog } from "./metrics_log.ts";
import { createSafeTracker } from "./safe_tracker.ts";
import type { Tracker } from "./tracker.ts";

function skip(step: number): TrainEvent {
  return { type: "skip", step, loss: 1, gradNorm: 1, consecutive: 1 };
}

function tracker(fail: (step: number) => void): Tracker & { readonly told: number[] } {
  const told: number[] = [];
  const take = (step: number): void => {
    told.push(step);
    fail(step);
  };
  return {
    told,
    event: (event) => take("step" in event ? event.step : 0),
    samples: (step) => take(step),
    [Symbol.asyncDispose]: () => Promise.reject(systemError("EIO")),
  };
}

function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: broken, write`), { code });
}

for (const code of ["ENOSPC", "EPERM", "EIO", "EROFS", "ENOENT"]) {
  Deno.test(`createSafeTracker() tells of ${code} once and goes on without the file`, async () => {
    const said: string[] = [];
    const inner = tracker((step) => {
      if (step === 2) throw systemError(code);
    });
    {
      await using safe = createSafeTracker(inner, {
        path: "output/metrics.jsonl",
        say: (line) => said.push(line),
      });
      for (const step of [1, 2, 3]) await safe.event(skip(step));
      await safe.samples(4, []);
    }
    assert.deepEqual(inner.told, [1, 2]);
    assert.deepEqual(said, [
      `warning: Cannot write output/metrics.jsonl: ${code}: broken, write; the run goes on, and ` +
      "nothing from step 2 on is logged there. Free space or make it writable; a run that is " +
      "resumed logs there again",
    ]);
  });
}

Deno.test("createSafeTracker() tells of a file that fails when it is closed, and throws mistakes", async () => {
  const said: string[] = [];
  const options = { path: "a", say: (line: string) => said.push(line) };
  await createSafeTracker(tracker(() => {}), options)[Symbol.asyncDispose]();
  assert.match(
    said.join(),
    /^warning: Cannot write a: EIO: broken, write; .* nothing more is logged/,
  );
  const mistaken = createSafeTracker(
    tracker(() => {
      throw new TypeError("closed");
    }),
    options,
  );
  await assert.rejects(async () => await mistaken.event(skip(1)), { message: "closed" });
});

Deno.test({
  name: "createSafeTracker() carries a metrics log over a disk that is full",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const folder = await Deno.makeTempDir();
    await Deno.symlink("/dev/full", `${folder}/metrics.jsonl`);
    const said: string[] = [];
    {
      await using safe = createSafeTracker(createMetricsLog(`${folder}/metrics.jsonl`), {
        path: `${folder}/metrics.jsonl`,
        say: (line) => said.push(line),
      });
      for (const step of [1, 2]) await safe.event(skip(step));
    }
    assert.equal(said.length, 1);
    assert.match(said[0], /metrics\.jsonl: ENOSPC/);
    await Deno.remove(folder, { recursive: true });
  },
});
