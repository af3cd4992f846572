import assert from "node:assert/strict";
import type { EndEvent, EvaluateEvent, LogEvent, StepEvent, TrainEvent } from "../events.ts";
import { logEvent, startEvent } from "../../tests/support/run_events.ts";
import { createConsoleTracker } from "./console_tracker.ts";

const start: TrainEvent = {
  type: "start",
  method: "full",
  totalSteps: 100,
  epochs: 2,
  examples: 800,
  evalExamples: 20,
  trainableParameters: 596_049_920,
  resumedStep: 0,
};
const step = (number: number): StepEvent => ({
  type: "step",
  step: number,
  epoch: number / 50,
  loss: 1.5,
  gradNorm: 0.75,
  learningRate: 1e-4,
  tokens: 2000,
  supervisedTokens: 900,
  seconds: 2,
});
const lasting: TrainEvent[] = [
  {
    type: "log",
    step: 5,
    epoch: 0.1,
    loss: 2.5,
    gradNorm: 1.25,
    learningRate: 1e-4,
    tokensPerSecond: 1234,
    memoryBytes: 9.6 * 2 ** 30,
  },
  {
    type: "evaluate",
    step: 5,
    epoch: 0.1,
    evalLoss: 2.25,
    evalTokenLoss: 2,
    examples: 20,
    supervisedTokens: 900,
    seconds: 3,
  },
  { type: "save", step: 5, directory: "out/5", bytes: 2048, seconds: 1, waitedSeconds: 1 },
  { type: "skip", step: 6, loss: NaN, gradNorm: Infinity, consecutive: 1 },
];
const end: TrainEvent = {
  type: "end",
  epoch: 1,
  tokens: 1000,
  step: 100,
  reason: "completed",
  seconds: 200,
  trainLoss: 1.75,
  best: { step: 80, metric: "eval_loss", value: 1.25, loaded: false },
};

/** A tracker on a fake terminal of `width` columns and a clock that the test turns. */
function fake(
  { isTty = true, width = 120, noColor = false } = {},
): {
  tracker: ReturnType<typeof createConsoleTracker>;
  terminal: { now: number; width: number };
  writes: string[];
} {
  const writes: string[] = [];
  const terminal = { now: 0, width };
  const tracker = createConsoleTracker({
    write: (text) => writes.push(text),
    isTty,
    noColor,
    columns: () => terminal.width,
    clock: () => terminal.now,
    date: () => new Date("2026-11-28T12:41:38Z"),
  });
  return { tracker, terminal, writes };
}

/** What a screen shows after text with carriage returns and clear-to-end codes. */
function screenOf(text: string): string[] {
  return text.split("\n").map((line) => {
    let shown = "";
    let column = 0;
    // deno-lint-ignore no-control-regex -- a terminal's own codes
    for (const part of line.match(/\r|\x1b\[K|[^\r\x1b]+/g) ?? []) {
      if (part === "\r") column = 0;
      else if (part === "\x1b[K") shown = shown.slice(0, column);
      else {
        shown = shown.slice(0, column) + part + shown.slice(column + part.length);
        column += part.length;
      }
    }
    return shown;
  });
}

for (const isTty of [true, false]) {
  Deno.test(`the second update of a long run tells the time to go, ${isTty ? "" : "not "}on a terminal`, async () => {
    let text = "";
    await using tracker = createConsoleTracker({ write: (part) => text += part, isTty });
    await tracker.event({ ...start, resumedStep: 5, totalSteps: 107 });
    for (const number of [6, 7, 8]) await tracker.event(step(number));
    assert.deepEqual(text.match(/an update.*/g), [
      "an update takes 2.0 s: about 0:03:20 to go, evaluation and checkpoints left out",
    ]);
  });
}

Deno.test("a run over the data once tells of one epoch", async () => {
  let text = "";
  await using tracker = createConsoleTracker({ write: (part) => text += part, isTty: false });
  await tracker.event({ ...start, epochs: 1 });
  assert.match(text, /100 steps, 1 epoch, 800 examples/);
});

Deno.test("a run of less than a minute tells no time to go", async () => {
  let text = "";
  await using tracker = createConsoleTracker({ write: (part) => text += part, isTty: false });
  await tracker.event({ ...start, totalSteps: 31 });
  for (const number of [1, 2, 3]) await tracker.event(step(number));
  assert.doesNotMatch(text, /an update/);
});

Deno.test("createConsoleTracker() writes plain lines where no person watches", async () => {
  const { tracker, writes } = fake({ isTty: false });
  for (const event of [start, step(1), ...lasting, end]) await tracker.event(event);
  await tracker[Symbol.asyncDispose]();
  assert.equal(
    writes.join(""),
    [
      "full fine-tuning: 100 steps, 2 epochs, 800 examples, 20 for evaluation, 596M trainable parameters",
      "step 5/100 | epoch 0.10 | loss 2.5000 | lr 1.00e-4 | grad 1.2500 | 1,234 tok/s | 9.60 GiB",
      "step 5/100 | epoch 0.10 | eval loss 2.2500 | per token 2.0000 | 20 examples in 0:00:03",
      "step 5/100 | saved out/5 | 2.00 KiB in 0:00:01",
      "step 6/100 | update skipped: loss NaN | grad inf | 1 in a row",
      "completed at step 100/100 | train loss 1.7500 | 0:03:20 | best eval loss 1.2500 at step 80 | " +
      "2026-11-28 12:41 UTC",
      "",
    ].join("\n"),
  );
});

Deno.test("createConsoleTracker() lets no control characters of a folder through", async () => {
  const { tracker, writes } = fake({ isTty: false });
  const directory = "a\x1b[31mb\r\nc\x9b";
  const seconds = { seconds: 0, waitedSeconds: 0 };
  await tracker.event({ type: "save", step: 5, directory, bytes: 1, ...seconds });
  assert.equal(
    writes.join(""),
    "step 5 | saved a\ufffd[31mb\ufffd\ufffdc\ufffd | 1 B in 0:00:00\n",
  );
});

Deno.test("createConsoleTracker() tells how long training waited for a save, if not all the time", async () => {
  const { tracker, writes } = fake({ isTty: false });
  const save = { type: "save", step: 5, directory: "out/5", bytes: 2048, seconds: 75 } as const;
  await tracker.event({ ...save, waitedSeconds: 3 });
  await tracker.event({ ...save, waitedSeconds: 74.9 });
  assert.deepEqual(writes.join("").trimEnd().split("\n"), [
    "step 5 | saved out/5 | 2.00 KiB in 0:01:15 | training waited 0:00:03",
    "step 5 | saved out/5 | 2.00 KiB in 0:01:15",
  ]);
});

Deno.test("createConsoleTracker() keeps lines above the bar on a terminal", async () => {
  const { tracker, terminal, writes } = fake({ width: 132 });
  await tracker.event(start);
  for (const event of [step(4), step(5), ...lasting]) {
    terminal.now += 2000;
    await tracker.event(event);
  }
  const screen = screenOf(writes.join(""));
  assert.equal(screen.length, 6);
  assert.match(screen[1], /^step 5\/100 \| epoch 0\.10 \| loss 2\.5000/);
  assert.match(screen[4], /update skipped/);
  assert.match(
    screen[5],
    /^ {2}6% \[=+>-+\] \| 6\/100 \| epoch 0\.10 \| loss 1\.5000 \| lr 1\.00e-4 \| grad 0\.7500 \| 1,000 tok\/s \| 9\.60 GiB \| ETA 0:03:08$/,
  );
});

const said = { question: "头痛？", think: "Rest\nfirst.", answer: "Lie\tdown." };

Deno.test("createConsoleTracker() prints samples with their thinking between tags where no person watches", async () => {
  const { tracker, writes } = fake({ isTty: false });
  await tracker.event(start);
  await tracker.samples(5, [said, { question: "1+1?", answer: "2\x1b[2J\r" }]);
  await tracker.samples(6, []);
  assert.deepEqual(writes.slice(1), [
    "step 5/100 | sample 1/2\n\nQuestion: 头痛？\n\nLLM:<think>\nRest\nfirst.\n</think>\n\nLie\tdown.\n" +
    "step 5/100 | sample 2/2\n\nQuestion: 1+1?\n\nLLM:2\ufffd[2J\ufffd\n\n",
  ]);
});

Deno.test("createConsoleTracker() dims thinking on a terminal, above the bar", async () => {
  const { tracker, writes } = fake();
  await tracker.event(start);
  await tracker.samples(5, [{ ...said, think: "Rest\x1b[0m" }]);
  assert.equal(
    writes[2],
    "\r\x1b[Kstep 5/100 | sample 1/1\n\nQuestion: 头痛？\n\nLLM:\n" +
      "\x1b[2mRest\ufffd[0m\x1b[0m\n\nLie\tdown.\n\n",
  );
  assert.match(writes[3], /^\r {2}0% /);
  // After the end there is no bar to draw again.
  await tracker.event(end);
  const before = writes.length;
  await tracker.samples(100, [said]);
  assert.deepEqual(writes.length - before, 1);

  const plain = fake({ noColor: true });
  await plain.tracker.samples(5, [said]);
  assert.match(plain.writes[0], /LLM:<think>\nRest\nfirst\.\n<\/think>\n\nLie/);
});

Deno.test("createConsoleTracker() redraws at most ten times a second", async () => {
  const { tracker, terminal, writes } = fake();
  await tracker.event(start);
  const before = writes.length;
  for (let number = 1; number <= 100; number++) {
    terminal.now += 10;
    await tracker.event(step(number));
  }
  const redraws = writes.slice(before).filter((text) => !text.includes("\n"));
  assert.equal(redraws.length, 10);
});

Deno.test("createConsoleTracker() moves the bar within an update", async () => {
  const { tracker, terminal, writes } = fake();
  await tracker.event({ ...start, totalSteps: 1 });
  terminal.now = 1000;
  await tracker.event({ type: "micro-step", step: 1, micro: 1, microSteps: 4 });
  assert.match(writes.at(-1) ?? "", /^\r 25% .* 0\/1 .* ETA 0:00:03/);
});

Deno.test("createConsoleTracker() counts a resumed run's pace from where it resumed", async () => {
  const { tracker, terminal, writes } = fake();
  await tracker.event({ ...start, resumedStep: 90 });
  assert.match(writes[0], /resumed after step 90\n$/);
  assert.match(writes[1], /ETA -:--:--/);
  terminal.now = 1000;
  await tracker.event(step(91));
  assert.match(writes.at(-1) ?? "", /91% .* ETA 0:00:09/);
});

Deno.test("createConsoleTracker() fits the bar to each width", async () => {
  for (let width = 0; width <= 200; width++) {
    const { tracker, terminal, writes } = fake({ width });
    await tracker.event(start);
    await tracker.event(lasting[0]);
    terminal.now = 1000;
    await tracker.event(step(50));
    const line = screenOf(writes.join("")).at(-1) ?? "";
    assert.ok(line.length <= Math.max(0, width - 1), `${width}: ${line}`);
    if (width >= 6) assert.ok(line.includes("50%"), `${width}: ${line}`);
    if (width >= 40) {
      assert.ok(line.includes("ETA") && line.includes("50/100"), `${width}: ${line}`);
    }
    assert.ok(!line.includes("GiB") || line.includes("["), `${width}: ${line}`);
    if (width >= 125) assert.ok(line.includes("9.60 GiB"), `${width}: ${line}`);
    if (width >= 110) assert.ok(line.includes("lr") && line.includes("["), `${width}: ${line}`);
  }
});

Deno.test("createConsoleTracker() leaves out what matters least where a line is narrow", async () => {
  const [percent, made, epoch, loss, rate] = [
    " 50%",
    "50/100",
    "epoch 1.00",
    "loss 1.5000",
    "lr 1.00e-4",
  ];
  const [grad, speed, memory, left] = ["grad 0.7500", "1,000 tok/s", "9.60 GiB", "ETA 0:00:01"];
  const all = [made, epoch, loss, rate, grad, speed];
  const bar = (width: number): string =>
    `${percent} [${`${"=".repeat(width / 2)}>`.padEnd(width, "-")}]`;
  for (
    const [width, ...parts] of [
      [160, bar(40), ...all, memory, left],
      [149, bar(40), ...all, memory, left],
      [148, bar(39), ...all, memory, left],
      [119, bar(10), ...all, memory, left],
      [118, bar(20), ...all, left],
      [108, bar(10), ...all, left],
      [107, percent, ...all, left],
      [95, percent, ...all, left],
      [94, percent, made, epoch, loss, grad, speed, left],
      [82, percent, made, epoch, loss, grad, speed, left],
      [81, percent, made, loss, grad, speed, left],
      [69, percent, made, loss, grad, speed, left],
      [68, bar(10), made, loss, speed, left],
      [54, bar(10), made, loss, left],
      [40, bar(10), made, left],
      [26, bar(10), made],
      [13, percent, made],
      [12, percent],
      [4, percent],
      [3, " 50"],
      [0, ""],
    ] as const
  ) {
    const { tracker, terminal, writes } = fake({ width: width + 1 });
    await tracker.event(start);
    await tracker.event(lasting[0]);
    terminal.now = 1000;
    await tracker.event(step(50));
    assert.equal(writes.at(-1), `\r${parts.join(" | ")}\x1b[K`, `${width}`);
  }
});

Deno.test("createConsoleTracker() takes a terminal for one of 80 columns where nothing is said", async () => {
  const writes: string[] = [];
  await using tracker = createConsoleTracker({ write: (text) => writes.push(text), isTty: true });
  await tracker.event({ ...start, totalSteps: 1e13 });
  assert.deepEqual(writes[1], `\r  0% [>${"-".repeat(38)}] | 0/10000000000000 | ETA -:--:--\x1b[K`);
  assert.equal(writes[1].length, 79 + 4);
});

Deno.test("createConsoleTracker() shows a run of no updates as done", async () => {
  const { tracker, writes } = fake({ width: 80 });
  await tracker.event({ ...start, totalSteps: 0 });
  assert.equal(writes[1], `\r100% [${"=".repeat(40)}] | 0/0 | ETA -:--:--\x1b[K`);
});

Deno.test("createConsoleTracker() weighs the speed of the last update with that of earlier ones", async () => {
  const { tracker, terminal, writes } = fake();
  await tracker.event(start);
  for (const [number, seconds] of [[1, 2], [2, 4], [3, 1]]) {
    terminal.now += 1000 * seconds;
    await tracker.event({ ...step(number), tokens: 1000 * number, seconds });
  }
  // (1000 · 0.95² + 2000 · 0.95 + 3000) / (2 · 0.95² + 4 · 0.95 + 1) = 5802.5 / 6.605
  assert.match(writes.at(-1)!, /\| 879 tok\/s \|/);
  // Of 100 updates 3 took 7 seconds.
  assert.match(writes.at(-1)!, /ETA 0:03:46/);
});

Deno.test("createConsoleTracker() counts a skipped update as made, and tells the pace of the second one only", async () => {
  for (const [totalSteps, told] of [[31, 0], [32, 1]]) {
    const { tracker, writes } = fake({ isTty: false });
    await tracker.event({ ...start, totalSteps });
    await tracker.event(step(1));
    await tracker.event(step(2));
    await tracker.event(step(3));
    assert.deepEqual(
      writes.slice(1),
      told === 0 ? [] : [
        "an update takes 2.0 s: about 0:01:00 to go, evaluation and checkpoints left out\n",
      ],
    );
  }
  const { tracker, writes } = fake({ isTty: false });
  await tracker.event(step(2));
  assert.deepEqual(writes, []);
});

Deno.test("createConsoleTracker() tells the figures of pairs and of generated replies", async () => {
  const { tracker, writes } = fake({ isTty: false });
  const [log, evaluation] = lasting as [LogEvent, EvaluateEvent];
  const pairs = { "rewards/accuracies": 0.375, "rewards/margins": -0.25 };
  await tracker.event({ ...log, figures: pairs });
  await tracker.event({ ...log, figures: { "rewards/accuracies": 1 }, memoryBytes: undefined });
  const replies = { stop_rate: 1, exact_match: 0.5, nothing: 3 };
  await tracker.event({ ...evaluation, figures: { ...pairs, ...replies }, best: true });
  await tracker.event({ ...evaluation, figures: replies });
  const [logged, evaluated] = [
    "step 5 | epoch 0.10 | loss 2.5000",
    "step 5 | epoch 0.10 | eval loss 2.2500",
  ];
  const speed = "lr 1.00e-4 | grad 1.2500 | 1,234 tok/s";
  const measured = "exact_match 0.5000, stop_rate 1.0000 | 20 examples in 0:00:03";
  assert.deepEqual(writes, [
    `${logged} | accuracy 0.38 | margin -0.2500 | ${speed} | 9.60 GiB\n`,
    `${logged} | ${speed}\n`,
    `${evaluated} | per token 2.0000 | accuracy 0.38 | margin -0.2500 | ${measured} | best so far\n`,
    `${evaluated} | per token 2.0000 | ${measured}\n`,
  ]);
});

Deno.test("createConsoleTracker() tells how a run ended without losses, and of each method", async () => {
  const { tracker, writes } = fake({ isTty: false });
  await tracker.event({ ...start, method: "lora", totalSteps: 12_345, resumedStep: 1 });
  const { best: _, trainLoss: __, ...others } = end as EndEvent;
  await tracker.event({ ...others, reason: "aborted" });
  await tracker.event({ ...others, reason: "early-stopped", trainLoss: 2 });
  assert.deepEqual(writes, [
    "LoRA fine-tuning: 12,345 steps, 2 epochs, 800 examples, 20 for evaluation, 596M trainable parameters, " +
    "resumed after step 1\n",
    "aborted at step 100/12345 | 0:03:20 | 2026-11-28 12:41 UTC\n",
    "early-stopped at step 100/12345 | train loss 2.0000 | 0:03:20 | 2026-11-28 12:41 UTC\n",
  ]);
});

Deno.test("createConsoleTracker() draws a bar only between the start and the end of a run on a terminal", async () => {
  const { tracker, terminal, writes } = fake();
  await tracker.event(lasting[2]);
  assert.deepEqual(writes, ["step 5 | saved out/5 | 2.00 KiB in 0:00:01\n"]);
  await tracker.samples(3, [said]);
  assert.equal(writes.length, 2);
  await tracker.event(start);
  assert.equal(writes.length, 4);
  await tracker.event(step(3));
  // Within a tenth of a second of the last time only what stays is written.
  assert.equal(writes.length, 4);
  terminal.now = 99;
  await tracker.event(step(4));
  assert.equal(writes.length, 4);
  terminal.now = 100;
  await tracker.event(step(5));
  assert.equal(writes.length, 5);
  await tracker.event(end);
  assert.deepEqual(writes.slice(5).map((text) => text.slice(0, 8)), [
    "\r  5% [=",
    "\n",
    "complete",
  ]);
  await tracker.event(start);
  assert.match(writes.at(-1)!, /^\r {2}0% \[>-+\] \| 0\/100 \|/);
});

Deno.test("createConsoleTracker() leaves the cursor on a new line, however the run ends", async () => {
  const ended = fake();
  for (const event of [start, step(100), end]) await ended.tracker.event(event);
  await ended.tracker[Symbol.asyncDispose]();
  const screen = screenOf(ended.writes.join(""));
  assert.match(screen[1], /^100% \[=+\] \| 100\/100/);
  assert.deepEqual(screen.slice(2), [
    "completed at step 100/100 | train loss 1.7500 | 0:03:20 | best eval loss 1.2500 at step 80 | " +
    "2026-11-28 12:41 UTC",
    "",
  ]);

  const broken = fake();
  await broken.tracker.event(start);
  await broken.tracker[Symbol.asyncDispose]();
  await broken.tracker[Symbol.asyncDispose]();
  assert.equal(broken.writes.filter((text) => text === "\n").length, 1);
});

Deno.test("createConsoleTracker() speaks Chinese where it is told to, with Hugging Face's names", async () => {
  let text = "";
  const date = () => new Date("2026-11-28T13:15:00Z");
  const write = (part: string) => void (text += part);
  {
    await using tracker = createConsoleTracker({ write, isTty: false, date, language: "zh" });
    await tracker.event(startEvent(4, "full"));
    await tracker.event(logEvent(5));
    await tracker.event({
      ...{
        type: "evaluate",
        step: 5,
        epoch: 1,
        evalLoss: 2,
        evalTokenLoss: 3,
        examples: 4,
        best: true,
      },
      ...{ batches: 1, supervisedTokens: 9, seconds: 7 },
    });
    const directory = "output/run/checkpoint-5";
    await tracker.event({
      type: "save",
      step: 5,
      directory,
      bytes: 2 ** 20,
      seconds: 3,
      waitedSeconds: 1,
    });
    await tracker.event({ type: "skip", step: 6, loss: NaN, gradNorm: 1, consecutive: 2 });
    const best = { step: 5, metric: "eval_loss", value: 2, directory, loaded: false } as const;
    await tracker.event({
      ...{ type: "end", step: 10, epoch: 2, reason: "completed", best, tokens: 9, seconds: 61 },
      trainLoss: 1.25,
    });
  }
  assert.equal(
    text,
    "全参数微调：共 10 步，2 轮，20 条训练样本，4 条评估样本，100 个可训练参数，从第 4 步之后继续\n" +
      "步 5/10 | 轮 1.00 | loss 1.5000 | lr 5.00e-1 | grad 2.0000 | 1,000 tok/s | 1.50 GiB\n" +
      "步 5/10 | 轮 1.00 | 评估 loss 2.0000 | 每 token 评估 loss 3.0000 | 4 条样本，用时 0:00:07 | 目前最佳\n" +
      "步 5/10 | 已保存 output/run/checkpoint-5 | 1.00 MiB，用时 0:00:03 | 训练等待 0:00:01\n" +
      "步 6/10 | 跳过本次更新：loss NaN | grad 1.0000 | 连续 2 次\n" +
      "已完成，步 10/10 | 训练 loss 1.2500 | 0:01:01 | 最佳评估 loss 2.0000（步 5） | 2026-11-28 13:15 UTC\n",
  );
});
