import assert from "node:assert/strict";
import { tempFolder } from "../../../tests/support/temp_folder.ts";
import { TimeBudget } from "../time_budget.ts";
import { type Step, StepRunner } from "./step_runner.ts";

function step(name: string, script: string, options: Partial<Step> = {}): Step {
  const commands = () => [{ command: ["bash", "-c", script] }];
  return { name, seconds: 20, log: "log.txt", commands, ...options };
}

async function run(
  steps: readonly Step[],
  budget = new TimeBudget(60),
): Promise<{ runner: StepRunner; said: string; log: string }> {
  await using folder = await tempFolder();
  const said: string[] = [];
  const runner = new StepRunner({ budget, out: folder.path, say: (text) => said.push(text) });
  await runner.run(steps);
  const log = await Deno.readTextFile(`${folder.path}/log.txt`).catch(() => "");
  return { runner, said: said.join("\n"), log };
}

Deno.test("StepRunner tells of each step, with exit code and reason of one that failed", async () => {
  const { runner, said, log } = await run([
    step("first", "echo well"),
    step(
      "second",
      "echo noise; echo 'error: libx is missing' >&2; echo 'error: Test failed'; exit 7",
    ),
    step("third", "echo 'skipped: torch: none here'"),
  ]);
  assert.deepEqual(runner.results.map(({ name, state }) => [name, state]), [
    ["first", "ok"],
    ["second", "FAILED"],
    ["third", "ok"],
  ]);
  assert.match(runner.results[1].text, /^\d+ s, \d+ s left; exit code 7: error: libx is missing$/);
  assert.match(runner.results[2].text, /; skipped: torch: none here$/);
  assert.ok(runner.failed);
  assert.match(said, /--- first\nwell\nok {6}first: /);
  assert.match(log, /=== first \(20 s at the most\): bash -c echo well\nwell\n=== second/);
  assert.match(runner.summary(), /\n2 ok, 1 failed, 0 skipped$/);
});

Deno.test("StepRunner ends what is too slow with all that it started, and what has no time is not begun", async () => {
  await using folder = await tempFolder();
  let now = 0;
  const budget = new TimeBudget(60, () => now);
  const slow = step("slow", `sleep 300 & echo $! >${folder.path}/pid; wait`, { seconds: 1 });
  const late = step("late", "echo never");
  const began = performance.now();
  const { runner } = await run([
    slow,
    {
      ...step("last", "true"),
      commands: () => {
        now = 57_000;
        return [{ command: ["true"] }];
      },
    },
    late,
  ], budget);
  assert.ok(performance.now() - began < 5_000);
  assert.match(runner.results[0].text, /; ended after 1 s$/);
  const pid = (await Deno.readTextFile(`${folder.path}/pid`)).trim();
  // A zombie has ended: whoever adopted it has not asked for its exit code.
  const status = await Deno.readTextFile(`/proc/${pid}/status`).catch(() => "State: Z");
  assert.match(status, /State:\s+Z/);
  assert.deepEqual(runner.results[2], { name: "late", state: "skipped", text: "no time left" });
});

Deno.test("StepRunner takes a step without its proof for failed", async () => {
  const commands = (text: string) => () => [{
    command: ["echo", text],
    proof: /[1-9]\d* passed/,
  }];
  const { runner } = await run([
    step("empty", "", { commands: commands("ok | 0 passed | 0 failed") }),
    step("tested", "", { commands: commands("ok | 12 passed | 0 failed") }),
  ]);
  assert.deepEqual(runner.results.map(({ state }) => state), ["FAILED", "ok"]);
  assert.match(runner.results[0].text, /it did not print /);
});

Deno.test("StepRunner runs a step's commands at once and names those that failed alike together", async () => {
  const began = performance.now();
  const command = (name: string, script: string) => ({ name, command: ["bash", "-c", script] });
  const { runner, log } = await run([step("several", "", {
    commands: () => [
      command("a", "sleep 1; echo 'error: same'; exit 1"),
      command("b", "sleep 1; echo fine"),
      command("c", "sleep 1; echo 'error: same'; exit 1"),
    ],
  })]);
  assert.ok(performance.now() - began < 2500);
  assert.match(runner.results[0].text, /; a, c: exit code 1: error: same$/);
  assert.match(log, /=== several: b .*\nfine\n/);
});

Deno.test("StepRunner starts what runs alone only when what runs beside has ended", async () => {
  await using folder = await tempFolder();
  const order = `${folder.path}/order`;
  await run([
    step("beside", `sleep 1; echo beside >>${order}`, { beside: true }),
    step("meanwhile", `echo meanwhile >>${order}`),
    step("alone", `echo alone >>${order}`, { alone: true }),
  ]);
  assert.equal(await Deno.readTextFile(order), "meanwhile\nbeside\nalone\n");
});

Deno.test("StepRunner leaves out what has no cause, cannot run here, or has no time left", async () => {
  const { runner } = await run([
    step("first", "echo fault"),
    step("on a fault", "echo yes", { when: (outputs) => /fault/.test(outputs.get("first")!) }),
    step("without", "echo no", { when: (outputs) => /other/.test(outputs.get("first")!) }),
    step("impossible", "echo no", { skip: "there is no tool" }),
  ]);
  assert.deepEqual(runner.results.map(({ name, state }) => [name, state]), [
    ["first", "ok"],
    ["on a fault", "ok"],
    ["impossible", "skipped"],
  ]);
});

Deno.test("StepRunner that is stopped ends what runs and names what it leaves out", async () => {
  await using folder = await tempFolder();
  const options = { budget: new TimeBudget(60), out: folder.path, say: () => {} };
  const runner = new StepRunner(options);
  const running = runner.run([step("long", "sleep 300"), step("next", "true")]);
  setTimeout(() => runner.stop("ended early"), 200);
  await running;
  assert.deepEqual(runner.results.map(({ state }) => state), ["FAILED", "skipped"]);
  assert.equal(runner.results[1].text, "ended early");
  assert.ok(runner.failed);
});
