/** Ctrl-C is answered at once, loses nothing, and resumes to the same bytes; so does a kill. */

import assert from "node:assert/strict";
import { setTimeout as delay } from "node:timers/promises";
import { makeBatches } from "../data/batches/batches.ts";
import { readExamples } from "../data/examples/read_examples.ts";
import { loadTokenizer } from "../data/text/tokenizer.ts";
import { Runtime } from "../ort/runtime/runtime.ts";
import { Binding } from "../ort/runtime/session.ts";
import { listCheckpoints, verifyCheckpoint } from "../train/checkpoints/checkpoint.ts";
import { createFullTrainer } from "../train/trainers/full_trainer.ts";
import { folderHashes } from "./support/folder_hashes.ts";
import { denoArgs, startDeno } from "./support/process.ts";
import { quickstartFolder, THREADS } from "./support/quickstart_folder.ts";
import { repositoryPath } from "./support/run_script.ts";
import { tempFolder } from "./support/temp_folder.ts";
import { trainCommand, trainFlags } from "./support/train_command.ts";

/** Milliseconds within which a signal must have led to a checkpoint; 60 to 115 are measured. */
const ANSWER = 2000;
/** Milliseconds within which a second Ctrl-C ends the process; 64 are measured. */
const QUIT = 300;
/** Milliseconds within which two signals are one press, as run_command.ts has it. */
const SAME_PRESS = 100;
/** Milliseconds that the event loop may stand still beyond one graph's run; 0 to 1 are measured. */
const GAP = 200;

const STEPS = 30;
const script = repositoryPath("cli/commands/train.ts");

function flags(folder: string, output: string): string[] {
  return [
    ...trainFlags(folder),
    ...["--output-dir", `${folder}/${output}`],
    ...["--validation-file", `${folder}/data/val.jsonl`],
    ...["--max-steps", `${STEPS}`],
    ...["--gradient-accumulation-steps", "1"],
    ...["--save-steps", "6", "--eval-steps", "10", "--logging-steps", "4"],
  ];
}

Deno.test("a run that a signal ended resumes to the bytes of one that nobody ended", async (t) => {
  await using folder = await quickstartFolder();
  assert.deepEqual(await trainCommand(flags(folder.path, "whole")), { code: 0, stderr: "" });
  const expected = await folderHashes(`${folder.path}/whole/checkpoint-${STEPS}`);

  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGKILL"] as const) {
    await t.step(signal, async () => {
      const args = flags(folder.path, signal);
      await using child = startDeno(script, { args });
      await child.waitFor(signal === "SIGKILL" ? /checkpoint-6 / : /step 4\/30 .* loss/);
      const sent = performance.now();
      child.kill(signal);
      if (signal !== "SIGKILL") await child.waitFor(/aborted at step/);
      const milliseconds = performance.now() - sent;
      const { code, text } = await child.ended();
      const output = `${folder.path}/${signal}`;
      const newest = (await listCheckpoints(output)).at(-1)!;
      await verifyCheckpoint(newest.directory);
      assert.ok(newest.step >= 4 && newest.step < STEPS, `update ${newest.step}`);
      if (signal !== "SIGKILL") {
        assert.equal(code, 130, text);
        assert.match(text, new RegExp(`saved ${newest.directory} `));
        assert.ok(milliseconds < ANSWER, `saved ${milliseconds} ms after the signal`);
        console.log(`${signal}: saved after ${milliseconds.toFixed(0)} ms`);
      }
      // A checkpoint is the same by whichever signal it came: that one goes on from it shows for all.
      if (signal === "SIGTERM" || signal === "SIGHUP") return;
      const resumed = await trainCommand([...args, "--resume-from-checkpoint"]);
      assert.deepEqual(resumed, { code: 0, stderr: "" });
      assert.deepEqual(await folderHashes(`${output}/checkpoint-${STEPS}`), expected);
    });
  }
});

Deno.test("Ctrl-C is answered at once, and the last line is a command that goes on", async () => {
  await using folder = await quickstartFolder();
  const args = flags(folder.path, "out put").concat("--prediction-samples", "0");
  await using child = startDeno(script, { args: [...args, "--overwrite_output_dir", "true"] });
  await child.waitFor(/step 4\/30 .* loss/);
  child.kill("SIGINT");
  const { code, text } = await child.ended();
  assert.equal(code, 130, text);
  assert.match(text, /^stopping after this update; again to quit at once\n/m);
  const last = text.trimEnd().split("\n").at(-1)!;
  const [, command] = /^to go on: deno task train (.*)$/.exec(last) ?? [];
  assert.doesNotMatch(command, /overwrite/);
  const words = [...command.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) =>
    quoted ?? plain
  );
  assert.deepEqual(await trainCommand(words), { code: 0, stderr: "" });
  assert.equal((await listCheckpoints(`${folder.path}/out put`)).at(-1)?.step, STEPS);
});

Deno.test("Ctrl-C before the first log line ends with 130 without an error, and saves no update 0", async () => {
  await using folder = await quickstartFolder();
  const args = flags(folder.path, "output").concat("--eval-steps", "0");
  await using child = startDeno(script, { args });
  await child.waitFor(/full fine-tuning: .*\n/);
  child.kill("SIGINT");
  const { code, text } = await child.ended();
  assert.equal(code, 130, text);
  assert.doesNotMatch(text, /error|NaN/);
  const step = Number(/aborted at step (\d+)\//.exec(text)![1]);
  const saved = (await listCheckpoints(`${folder.path}/output`)).map((each) => each.step);
  assert.deepEqual(saved, step === 0 ? [] : [step]);
  assert.match(text, step === 0 ? /to start again: deno task train .*\n$/ : /to go on: .*\n$/);
});

Deno.test("Ctrl-C while data are prepared ends with 130 and leaves no half of a token file", async () => {
  await using folder = await quickstartFolder();
  const rows = Array.from(
    { length: 100_000 },
    (_, n) =>
      JSON.stringify({
        question: `${n}?`,
        think: "想".repeat(60),
        answer: `It is ${n}. `.repeat(9),
      }),
  );
  await folder.write("data/train.jsonl", rows.join("\n"));
  await using child = startDeno(script, { args: flags(folder.path, "output") });
  await child.waitFor(/preparing .*train\.jsonl: \d+ %, [\d,]+ rows, .* left\n/);
  const [staged, ...others] = await fileNames(`${folder.path}/output/tokens`);
  assert.match(staged, /^\.staging-\w{64}\.tokens$/);
  assert.deepEqual(others, []);
  child.kill("SIGINT");
  const { code, text } = await child.ended();
  assert.equal(code, 130, text);
  assert.doesNotMatch(text, /error|prepared/);
  assert.deepEqual(await fileNames(`${folder.path}/output/tokens`), []);
});

Deno.test({
  name: "a run whose terminal closes saves, though it can say nothing and hears of it twice",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    await using folder = await quickstartFolder();
    const child = new Deno.Command(Deno.execPath(), {
      args: denoArgs(script, { args: flags(folder.path, "output") }),
      env: { NO_COLOR: "1" },
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const reader = child.stderr.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    while (!/step 4\/30 .* loss/.test(text)) text += (await reader.read()).value;
    await reader.cancel();
    child.kill("SIGHUP");
    child.kill("SIGHUP");
    assert.equal((await child.status).code, 130);
    const output = `${folder.path}/output`;
    const newest = (await listCheckpoints(output)).at(-1)!;
    await verifyCheckpoint(newest.directory);
    const { status, checkpoint } = JSON.parse(await Deno.readTextFile(`${output}/run.json`));
    assert.deepEqual([status, checkpoint], ["aborted", newest.directory]);
  },
});

Deno.test({
  name: "a run that nohup started goes on when its terminal closes",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    await using folder = await quickstartFolder();
    const args = [...flags(folder.path, "output"), "--max-steps", "12"];
    const child = new Deno.Command("nohup", {
      args: [Deno.execPath(), ...denoArgs(script, { args })],
      env: { NO_COLOR: "1" },
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    let [text, sent] = ["", false];
    for await (const part of child.stderr.pipeThrough(new TextDecoderStream())) {
      text += part;
      if (sent || !/step 4\/12 .* loss/.test(text)) continue;
      child.kill("SIGHUP");
      sent = true;
    }
    assert.equal((await child.status).code, 0, text);
    assert.ok(sent);
    assert.equal((await listCheckpoints(`${folder.path}/output`)).at(-1)?.step, 12);
  },
});

Deno.test("a second Ctrl-C ends a command at once", async () => {
  await using folder = await tempFolder();
  const slow = await folder.write(
    "slow.ts",
    `import { runCommand } from "${repositoryPath("cli/process/run_command.ts")}";
    await runCommand({
      name: "slow", description: "", flags: () => {},
      run: ({ signal }) => {
        signal.addEventListener("abort", () => console.log("first"));
        console.log("ready");
        return new Promise(() => setInterval(() => {}, 1000));
      },
    });`,
  );
  await using child = startDeno(slow);
  await child.waitFor(/ready/);
  child.kill("SIGINT");
  await child.waitFor(/first/);
  await delay(2 * SAME_PRESS);
  const sent = performance.now();
  child.kill("SIGINT");
  const { code } = await child.ended();
  const milliseconds = performance.now() - sent;
  assert.equal(code, 130);
  assert.ok(milliseconds < QUIT, `${milliseconds} ms`);
});

Deno.test("a second Ctrl-C does not wait for the graph that runs", async () => {
  await using folder = await tempFolder();
  const stuck = await folder.write(
    "stuck.ts",
    `import { runCommand } from "${repositoryPath("cli/process/run_command.ts")}";
    await runCommand({
      name: "stuck", description: "", flags: () => {},
      run: async ({ signal }) => {
        console.log("ready");
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
        await new Promise((resolve) => setTimeout(resolve, ${2 * SAME_PRESS}));
        console.log("stuck");
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20_000);
      },
    });`,
  );
  await using child = startDeno(stuck);
  await child.waitFor(/ready/);
  child.kill("SIGINT");
  await child.waitFor(/stuck/);
  const sent = performance.now();
  child.kill("SIGINT");
  const { code } = await child.ended();
  const milliseconds = performance.now() - sent;
  assert.equal(code, 130);
  assert.ok(milliseconds < QUIT, `${milliseconds} ms`);
  console.log(`quit after ${milliseconds.toFixed(0)} ms`);
});

Deno.test("one Ctrl-C that deno task passes on besides is one", async () => {
  await using folder = await tempFolder();
  const once = await folder.write(
    "once.ts",
    `import { runCommand } from "${repositoryPath("cli/process/run_command.ts")}";
    await runCommand({
      name: "once", description: "", flags: () => {},
      run: async ({ signal }) => {
        console.log("ready");
        await new Promise((resolve) => signal.addEventListener("abort", resolve));
        await new Promise((resolve) => setTimeout(resolve, 300));
        console.log("saved");
      },
    });`,
  );
  await using child = startDeno(once);
  await child.waitFor(/ready/);
  child.kill("SIGINT");
  await delay(5);
  child.kill("SIGINT");
  const { code, text } = await child.ended();
  assert.equal(code, 130);
  assert.match(text, /saved/);
});

Deno.test("timers fire while an update is made", async () => {
  await using folder = await quickstartFolder();
  const model = `${folder.path}/models/tiny`;
  const tokenizer = await loadTokenizer(model);
  const { examples } = await readExamples(`${folder.path}/data/train.jsonl`, {
    tokenizer,
    maxLength: 512,
  });
  const packing = { maxLength: 512 };
  const batches = [
    ...makeBatches(examples, { batchSize: 4, packing, padId: 0, seed: 1, epoch: 0 }),
  ];
  using runtime = new Runtime({ threads: THREADS });
  await using trainer = await createFullTrainer(model, { runtime });
  let [last, largest, turns, longest] = [performance.now(), 0, 0, 0];
  const look = (): void => {
    const now = performance.now();
    largest = Math.max(largest, now - last);
    last = now;
    turns++;
  };
  // How long a graph keeps the thread is the machine's affair, and its other programs'.
  const run = Binding.prototype.run;
  Binding.prototype.run = function (this: Binding): void {
    const began = performance.now();
    run.call(this);
    longest = Math.max(longest, performance.now() - began);
  };
  const timer = setInterval(look, 10);
  const began = performance.now();
  try {
    // The first update also compiles the graphs.
    for (let step = 0; step < 2; step++) await trainer.trainStep(batches, { learningRate: 1e-3 });
  } finally {
    look();
    clearInterval(timer);
    Binding.prototype.run = run;
  }
  const total = performance.now() - began;
  console.log(
    `${total.toFixed(0)} ms of work, ${turns} turns, largest gap ${largest.toFixed(0)} ms, ` +
      `longest run ${longest.toFixed(0)} ms`,
  );
  const limit = GAP + longest;
  assert.ok(largest < limit, `timers stood still for ${largest} ms, the longest run ${longest} ms`);
  assert.ok(turns > 3, `only ${turns} turns in ${total} ms`);
});

async function fileNames(directory: string): Promise<string[]> {
  return await Array.fromAsync(Deno.readDir(directory), ({ name }) => name);
}
